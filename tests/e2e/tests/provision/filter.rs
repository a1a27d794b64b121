//! Every kind of job under the system call filter that the images have, over the agent's socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use control::provision::{
    Job, MAX_JOB_BYTES, MAX_OUTCOME_BYTES, Outcome, PREFIX_BYTES, Work, content, frame, length,
};
use provision::exchange::{Exchange, ExchangeError};
use provision::run::run;
use seccompiler::{BpfProgram, TargetArch, compile_from_json};

use crate::faults::keystore;
use crate::world::{PASSWORD, World, credential, public};

const FILTER: &str = include_str!("../../../../rootfs/seccomp/provision.json");

fn program() -> BpfProgram {
    compile_from_json(FILTER.as_bytes(), TargetArch::x86_64)
        .unwrap()
        .remove("main")
        .unwrap()
}

fn user() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The agent's side of one job.
fn hand_over(listener: &UnixListener, job: &Job) -> Outcome {
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&frame(job, MAX_JOB_BYTES).unwrap()).unwrap();
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).unwrap();
    let mut bytes = vec![0; length(prefix, MAX_OUTCOME_BYTES).unwrap()];
    stream.read_exact(&mut bytes).unwrap();
    content(&bytes).unwrap()
}

/// A call that is missing kills this test: the filter holds for the thread that does all the work.
#[test]
fn everything_is_done_under_the_filter() {
    let world = World::new();
    let socket = world.dir.path().join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut artefacts = world.artefacts(300);
    artefacts.push(world.sealed_key(
        300,
        &public(1000),
        &keystore(1000, PASSWORD).to_string(),
        &world.key,
    ));
    let config = || Some(Box::new(world.config.clone()));
    let set = Work::SetClients {
        credential: credential("ASIA1"),
        artefact: world.clients(3),
    };
    let jobs = [
        (config(), world.init(artefacts.clone())),
        (config(), world.add(vec![world.compact(0, 400)])),
        (config(), set),
        (
            config(),
            Work::RemoveKeys {
                public_keys: vec![public(0)],
            },
        ),
        (None, Work::Recover),
        (config(), Work::Rollback),
        (config(), world.init(artefacts)),
    ];
    let (expected, agent) = (jobs.len(), user());
    let done = std::thread::scope(|scope| {
        let (world, socket) = (&world, &socket);
        let worker = scope.spawn(move || {
            let outsides: Vec<_> = (0..expected).map(|_| Box::new(|| world.outside())).collect();
            seccompiler::apply_filter(&program()).unwrap();
            for outside in outsides {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let mut exchange = Exchange::connect(socket, agent).await.unwrap();
                    let job = exchange.job().await.unwrap();
                    let (ended, vault) = run(job, outside()).await;
                    exchange.answer(&ended.outcome).await.unwrap();
                    if let Some(swap) = &ended.swap {
                        vault.keep(swap).unwrap();
                    }
                });
            }
        });
        let outcomes = jobs
            .into_iter()
            .map(|(config, work)| hand_over(&listener, &Job { config, work }));
        let good = outcomes
            .filter(|outcome| matches!(outcome, Outcome::Done { .. }))
            .count();
        worker.join().unwrap();
        good
    });
    assert_eq!(done, expected);
    assert_eq!(world.done(Work::Recover).public_keys.len(), 301);
}

#[test]
fn only_the_agent_is_talked_to() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connect = |user| runtime.block_on(Exchange::connect(&socket, user));
    assert!(matches!(
        connect(user()).unwrap_err(),
        ExchangeError::Connect { .. }
    ));
    let listener = UnixListener::bind(&socket).unwrap();
    assert!(matches!(
        connect(user() + 1).unwrap_err(),
        ExchangeError::Peer { .. }
    ));
    drop(listener.accept().unwrap());
    let job = Job {
        config: None,
        work: Work::Recover,
    };
    let good = frame(&job, MAX_JOB_BYTES).unwrap().to_vec();
    for bytes in [
        &good[..2],
        &good[..good.len() - 1],
        &[0; PREFIX_BYTES],
        &[0xFF; PREFIX_BYTES],
        &[&good[..4], &b" ".repeat(good.len() - 4)].concat(),
    ] {
        let mut exchange = connect(user()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(bytes).unwrap();
        drop(stream);
        runtime.block_on(exchange.job()).unwrap_err();
    }
}

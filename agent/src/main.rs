//! Starts the agent. All it does is in the library.
#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use abi::events::{BOOT_FILE, MORE_FILE, output_file};
use abi::vsock::{CONTROL_PORT, SERVICE_PORT};
use agent::channel::Channel;
use agent::connection::BOUNDS;
use agent::core::{Core, Parts, Patience};
use agent::dial;
use agent::handover::Handover;
use agent::listen::Vsock;
use agent::measured;
use agent::phase::Machine;
use agent::pid1::Pid1;
use agent::ring::{Ring, Uptime};
use agent::run::{self, Voices};
use agent::sources::Sources;
use anyhow::Context;
use control::log::Source;
use control::policy::{self, ImagePolicy};
use control::provision::SOCKET;
use nsm::Session;

/// Where the signer listens.
const SIGNER: ([u8; 4], u16) = ([127, 0, 0, 1], 9000);
/// What `/etc/hosts` of an image with tunnels leads to.
const HOSTS: &str = "/run/agent/hosts";

fn main() -> anyhow::Result<()> {
    let channel = Channel::take(std::io::stdin()).context("taking the channel to PID 1")?;
    let session = Session::open().context("opening the NSM")?;
    let policy = read_policy().with_context(|| format!("reading {}", policy::PATH))?;
    let register = measured::read(&session).context("reading PCR16")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .context("starting the runtime")?;
    runtime.block_on(async {
        let listen = |port| Vsock::bind(port).with_context(|| format!("listening on vsock port {port}"));
        let (service, control) = (listen(SERVICE_PORT)?, listen(CONTROL_PORT)?);
        let handover = policy.users.signer.map(|user| {
            Handover::listen(Path::new(SOCKET), user).with_context(|| format!("listening on {SOCKET}"))
        });
        let sources = Sources::system();
        let parts = Parts {
            nsm: Arc::new(session),
            pid1: Pid1::new(&channel).context("taking the channel to PID 1")?,
            handover: handover.transpose()?,
            patience: Patience::of(&policy),
            policy,
            ring: Ring::new(uptime(&sources)),
            sources,
            dial: Arc::new(dial::Vsock),
            signer: SIGNER.into(),
            hosts: PathBuf::from(HOSTS),
        };
        let voices = Voices {
            events: vec![BOOT_FILE.into(), MORE_FILE.into()],
            outputs: vec![
                (output_file("signer").into(), Source::Signer),
                (output_file("provision").into(), Source::Provision),
            ],
        };
        let version = env!("CARGO_PKG_VERSION");
        writeln!(
            std::io::stderr(),
            "nitro-agent event=listening port={SERVICE_PORT} port={CONTROL_PORT} version={version}"
        )?;
        let core = Arc::new(Core::new(parts, Machine::new(register)));
        match run::run(core, service, control, voices, BOUNDS).await {
            Err(ended) => Err(ended.into()),
            Ok(never) => match never {},
        }
    })
}

fn read_policy() -> anyhow::Result<ImagePolicy> {
    let mut bytes = Vec::new();
    let most = u64::try_from(policy::MAX_BYTES)? + 1;
    std::fs::File::open(policy::PATH)?
        .take(most)
        .read_to_end(&mut bytes)?;
    Ok(ImagePolicy::parse(&bytes)?)
}

/// Milliseconds since the kernel started: read once, counted on from there.
fn uptime(sources: &Sources) -> Uptime {
    let (at_start, started) = (sources.uptime_ms().unwrap_or(0), Instant::now());
    Arc::new(move || at_start + u64::try_from(started.elapsed().as_millis()).unwrap_or(0))
}

//! Really enters a root: the host's `/usr` shown read-only in an otherwise empty one.
//!
//! Needs a host that allows user namespaces, as building does; on another the tests fail and say the setting.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use eif_builder::enter::{self, Bind, EnterError, Fault, Job, Limits, Step};
use tempfile::TempDir;

const EXE: &str = env!("CARGO_BIN_EXE_eif-builder");

/// A job that runs `script` with the host's shell; its folders live as long as the `TempDir`.
fn job(script: &str) -> (TempDir, Job) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for name in ["root/usr", "root/etc", "stage", "out"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    fs::write(root.join("etc/marker"), "from the root\n").unwrap();
    for name in ["bin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
    let bind = |host: &Path, inside: &str, writable| Bind {
        host: host.to_path_buf(),
        inside: inside.to_owned(),
        writable,
    };
    let job = Job {
        root,
        stage: dir.path().join("stage"),
        binds: vec![
            bind(Path::new("/usr"), "/usr", false),
            bind(&dir.path().join("out"), "/out", true),
        ],
        env: BTreeMap::from([
            ("PATH".to_owned(), "/usr/bin:/usr/sbin".to_owned()),
            ("LC_ALL".to_owned(), "C".to_owned()),
        ]),
        command: ["/bin/sh", "-eu", "-c", script].map(str::to_owned).to_vec(),
        dir: "/out".to_owned(),
        limits: Limits::default(),
    };
    (dir, job)
}

fn run(job: &Job, dir: &TempDir) -> (Result<(), EnterError>, String) {
    let path = dir.path().join("log");
    let result = enter::run(Path::new(EXE), job, &File::create(&path).unwrap());
    (result, fs::read_to_string(path).unwrap())
}

fn output(script: &str) -> String {
    let (dir, job) = job(script);
    let (result, log) = run(&job, &dir);
    if let Err(error) = result {
        panic!("{error:?}\n{log}");
    }
    log
}

#[test]
fn the_surroundings_are_fixed() {
    let log = output(
        "env | sort; pwd; umask; id -u; id -g; uname -n; echo pid $$; cat /etc/marker; ls / | tr '\\n' ' '; echo
         grep -E 'Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs' /proc/self/status; ulimit -c; ulimit -n; read line || echo no input",
    );
    let lines: Vec<&str> = log.lines().collect();
    // The shell sets PWD itself.
    let expected = [
        "LC_ALL=C",
        "PATH=/usr/bin:/usr/sbin",
        "PWD=/out",
        "/out",
        "0022",
        "0",
        "0",
        "build",
        "pid 1",
        "from the root",
        "bin dev etc lib lib64 out proc run sys tmp usr ",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "0",
        "4096",
        "no input",
    ];
    assert_eq!(lines, expected, "{log}");
}

#[test]
fn only_what_is_meant_to_be_writable_is() {
    let log = output(
        "for dir in / /usr /etc /dev /run /proc/sys; do
           if (: >$dir/probe) 2>/dev/null; then echo $dir is writable; fi
         done
         for dir in /tmp /out; do : >$dir/probe; done
         echo x >/dev/null; head -c 3 /dev/zero | wc -c; ls -l /out | wc -l",
    );
    assert_eq!(log, "3\n2\n");
}

#[test]
fn there_is_no_network() {
    let log = output("grep : /proc/net/dev | cut -d: -f1; wc -l </proc/net/route");
    assert_eq!(log.trim_start(), "lo\n0\n", "one device, no route");
}

#[test]
fn output_lands_on_the_host_and_belongs_to_this_user() {
    let (dir, job) = job("echo made >/out/file");
    run(&job, &dir).0.unwrap();
    let file = dir.path().join("out/file");
    assert_eq!(fs::read_to_string(&file).unwrap(), "made\n");
    let owner = |path: &Path| std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap());
    assert_eq!(owner(&file), owner(&dir.path().join("stage")));
    fs::remove_dir(dir.path().join("stage")).unwrap();
}

#[test]
fn the_exit_status_comes_back() {
    for (script, expected) in [("exit 3", 3), ("sh -c 'kill -9 $$'", 137)] {
        let (dir, job) = job(script);
        match run(&job, &dir).0 {
            Err(EnterError::Failed { status }) => assert_eq!(status, expected, "{script}"),
            other => panic!("{script}: {other:?}"),
        }
    }
}

type Break = fn(&mut Job);

#[test]
fn faults_name_the_path() {
    let (dir, good) = job("true");
    let broken: &[(&str, Break)] = &[
        ("/nonexistent/root", |job| job.root = "/nonexistent/root".into()),
        ("/nonexistent/in", |job| {
            job.binds[1].host = "/nonexistent/in".into();
        }),
        ("/out/../usr", |job| {
            job.binds[1].inside = "/out/../usr".to_owned();
        }),
        ("/usr/bin/none", |job| {
            job.command[0] = "/usr/bin/none".to_owned();
        }),
    ];
    for (path, breaks) in broken {
        let mut job = good.clone();
        breaks(&mut job);
        match run(&job, &dir).0 {
            Err(error @ EnterError::Setup { .. }) => {
                assert!(error.to_string().ends_with(path), "{path}: {error}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

/// What `enter-1` is told, as the library tells it.
fn message(parent: u32, job: &Job) -> String {
    format!(
        "{{\"parent\":{parent},\"job\":{}}}",
        serde_json::to_string(job).unwrap()
    )
}

fn stage_1(message: &str, stderr: Stdio) -> std::process::Child {
    let mut child = Command::new(EXE)
        .arg("enter-1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .unwrap();
    // One that refuses a message need not read all of it.
    drop(child.stdin.take().unwrap().write_all(message.as_bytes()));
    child
}

#[test]
fn everything_inside_dies_with_the_one_outside() {
    let (_dir, job) =
        job("sh -c 'trap \"\" TERM INT HUP; sleep 600' & echo started >&2; sleep 600; echo survived");
    let (mut log, theirs) = std::io::pipe().unwrap();
    let mut child = stage_1(&message(std::process::id(), &job), theirs.into());
    let mut started = [0; 8];
    log.read_exact(&mut started).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // The end of the pipe comes when the last process inside has gone.
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!((&started[..], &*rest), (&b"started\n"[..], ""));
}

#[test]
fn an_orphan_does_nothing() {
    let (dir, job) = job("echo ran >/out/file");
    let child = stage_1(&message(1, &job), Stdio::null());
    let answer = child.wait_with_output().unwrap();
    let fault: Fault = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(fault.step, Step::Orphaned);
    assert!(!answer.status.success());
    assert!(!dir.path().join("out/file").exists());
}

#[test]
fn a_cut_or_absurd_message_is_refused() {
    let (_dir, job) = job("true");
    let whole = message(std::process::id(), &job);
    for cut in ["", "{", &whole[..whole.len() - 1], &"[".repeat(100_000)] {
        let answer = stage_1(cut, Stdio::null()).wait_with_output().unwrap();
        let fault: Fault = serde_json::from_slice(&answer.stdout).unwrap();
        assert_eq!(fault.step, Step::Job);
    }
}

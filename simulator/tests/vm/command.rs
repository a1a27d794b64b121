//! The command `simulator run`, from outside.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PATIENCE, Turn, image, variable};

/// `simulator run` on a new image.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    /// What it says on the other stream.
    stderr: PathBuf,
    _turn: Turn,
}

impl Running {
    fn start(dir: &Path, words: &str, flags: &[&str]) -> Self {
        let turn = Turn::shared();
        let stderr = dir.join("stderr");
        let mut child = Command::new(env!("CARGO_BIN_EXE_simulator"))
            .arg("run")
            .arg(image(dir, words))
            .arg("--emulator")
            .arg(variable("NITRO_EMULATOR_DIR"))
            .arg("--dir")
            .arg(dir)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Self {
            out: BufReader::new(child.stdout.take().unwrap()),
            child,
            stderr,
            _turn: turn,
        }
    }

    /// Reads lines until one has `text`, and returns it.
    fn await_line(&mut self, text: &str) -> String {
        let mut lines = Vec::new();
        for line in (&mut self.out).lines() {
            lines.push(line.unwrap());
            if lines.last().unwrap().contains(text) {
                return lines.pop().unwrap();
            }
        }
        let stderr = fs::read_to_string(&self.stderr).unwrap();
        panic!("no {text:?} in:\n{}\n{stderr}", lines.join("\n"));
    }

    /// Waits for its end, and gives its exit code.
    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Processes that have `dir` in their command line.
#[expect(
    clippy::disallowed_methods,
    reason = "which process is found first does not matter"
)]
fn processes_of(dir: &Path) -> usize {
    let names = |path: PathBuf| fs::read(path.join("cmdline")).unwrap_or_default();
    let needle = dir.to_str().unwrap();
    let all = fs::read_dir("/proc")
        .unwrap()
        .map(|entry| names(entry.unwrap().path()));
    all.filter(|line| String::from_utf8_lossy(line).contains(needle))
        .count()
}

#[test]
fn bridges_carry_and_ctrl_c_ends_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let forward = format!("8000={}", target.local_addr().unwrap());
    let flags = ["--forward", &forward, "--listen", "127.0.0.1:0=5004", "--json"];
    let mut running = Running::start(dir.path(), "serve", &flags);
    let note: serde_json::Value = serde_json::from_str(&running.await_line("leads to port 5004")).unwrap();
    let address = note["text"]
        .as_str()
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    running.await_line(r#""text":"init:running""#);

    let mut guest = TcpStream::connect(address).unwrap();
    guest.write_all(b"push 8000 100000 1000\n").unwrap();
    let (mut pushed, _) = target.accept().unwrap();
    let mut bytes = Vec::new();
    pushed.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 100_000);
    pushed.write_all(b"thanks").unwrap();
    drop(pushed);
    let mut answer = String::new();
    guest.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("thanks ms="), "{answer}");

    signal(&running.child, Signal::INT);
    running.await_line("emulator: ");
    assert_eq!(running.code(), Some(0));
    assert_eq!(processes_of(dir.path()), 0);
}

#[test]
fn a_failed_boot_is_exit_code_3_and_names_the_stage() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(dir.path(), "fatal", &[]);
    let line = running.await_line("simulator: boot failed");
    assert!(
        line.contains("after init:mounts") && line.contains("nsm-absent in stage nsm"),
        "{line}"
    );
    assert_eq!(running.code(), Some(3));
}

#[test]
fn killing_the_simulator_ends_the_emulator() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(dir.path(), "serve", &[]);
    running.await_line("== heartbeat");
    assert_eq!(processes_of(dir.path()), 2, "the simulator and QEMU");
    signal(&running.child, Signal::KILL);
    running.code();
    let start = Instant::now();
    while processes_of(dir.path()) > 0 {
        assert!(start.elapsed() < PATIENCE, "QEMU lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn usage_errors_are_exit_code_2_and_start_nothing() {
    for flags in [
        &["--listen", "0.0.0.0:1=5000"][..],
        &["--forward", "1=10.0.0.1:1"],
        &["--cid", "3"],
    ] {
        let status = Command::new(env!("CARGO_BIN_EXE_simulator"))
            .args(["run", "/nowhere.eif"])
            .args(flags)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(2), "{flags:?}");
    }
}

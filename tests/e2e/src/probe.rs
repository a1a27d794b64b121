//! Questions to `tests/probe`, which runs in test images.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

/// The answer to a line and what follows it, as it comes: `ok ` and what was asked for, or `err ` and a number.
#[must_use]
pub fn ask(mut probe: UnixStream, line: &str, input: &[u8]) -> Vec<u8> {
    probe.set_read_timeout(Some(crate::PATIENCE)).unwrap();
    probe.write_all(format!("{line}\n").as_bytes()).unwrap();
    probe.write_all(input).unwrap();
    probe.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    probe.read_to_end(&mut answer).unwrap();
    answer
}

/// What was asked for, by a line that must be answered.
#[must_use]
pub fn told(probe: UnixStream, line: &str) -> String {
    let answer = String::from_utf8_lossy(&ask(probe, line, b"")).into_owned();
    let told = answer.strip_prefix("ok ").map(str::to_owned);
    told.unwrap_or_else(|| panic!("{line}: {answer}"))
}

/// A process of the probe's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Of its program, as the kernel cuts it.
    pub name: String,
    /// With that of its children that have ended.
    pub cpu_ms: u64,
    /// Peak memory.
    pub peak_kib: u64,
}

/// All processes of the probe's user.
#[must_use]
pub fn processes(probe: UnixStream) -> Vec<Process> {
    let told = told(probe, "ps");
    let process = |line: &str| {
        let [name, cpu_ms, peak_kib] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("ps: {line:?}");
        };
        Process {
            name: name.to_owned(),
            cpu_ms: cpu_ms.parse().unwrap(),
            peak_kib: peak_kib.parse().unwrap(),
        }
    };
    told.lines().map(process).collect()
}

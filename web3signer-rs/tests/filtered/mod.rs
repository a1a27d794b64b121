//! The program's own story, run in a thread of the test under the images' system call filter: a call that the filter does not
//! know kills the test.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use web3signer_rs::clock::Clock;
use web3signer_rs::start::{Outside, run};

const FILTER: &str = include_str!("../../../rootfs/seccomp/signer-native.json");

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "as main does")]
    fn now(&self) -> u64 {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        u64::try_from(since.as_millis()).unwrap()
    }
}

fn program() -> BpfProgram {
    compile_from_json(FILTER.as_bytes(), TargetArch::x86_64)
        .unwrap()
        .remove("main")
        .unwrap()
}

/// The program in a thread. There may be one at a time in a process: signals are for all.
pub(crate) struct Filtered {
    pub(crate) port: u16,
    said: Arc<Mutex<Vec<u8>>>,
    ended: mpsc::Receiver<()>,
}

impl Filtered {
    /// Starts it with `words` and a free port, and waits until it listens.
    pub(crate) fn start(words: impl FnOnce(u16) -> Vec<String>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let words = words(port);
        let said = Arc::new(Mutex::new(Vec::new()));
        let stdout = Arc::clone(&said);
        let (end, ended) = mpsc::channel();
        // Not waited for by its handle: the exit code of a thread's program cannot be compared.
        std::thread::spawn(move || {
            seccompiler::apply_filter(&program()).unwrap();
            let mut stderr = Shared(Arc::clone(&stdout));
            run(Outside {
                words: &words,
                environment: &BTreeMap::new(),
                stdout,
                stderr: &mut stderr,
                clock: Arc::new(SystemClock),
            });
            end.send(()).unwrap();
        });
        let started = Self { port, said, ended };
        started.until("ready", |_| TcpStream::connect(("127.0.0.1", port)).is_ok());
        started
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8(self.said.lock().unwrap().clone()).unwrap()
    }

    /// Waits until the condition holds; it sees what was said so far.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.said()) {
            assert!(self.ended.try_recv().is_err(), "it ended: {}", self.said());
            assert!(Instant::now() < deadline, "{what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn signal(name: &str) {
        let pid = std::process::id().to_string();
        let status = Command::new("kill")
            .args([format!("-{name}"), pid])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Tells it to stop and waits until it has.
    pub(crate) fn stop(self) -> String {
        Self::signal("TERM");
        self.ended.recv_timeout(PATIENCE).unwrap();
        self.said()
    }
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

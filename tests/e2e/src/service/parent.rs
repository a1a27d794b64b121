//! The parent instance: its programs, their one configuration file, what they say.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::place;
use rustix::process::{Pid, Signal, kill_process};

use crate::service::moto::exchange;

/// A folder with the parent's files, and the addresses of its services.
pub struct Parent {
    dir: PathBuf,
    pub https: SocketAddr,
    pub health: SocketAddr,
    pub attest: SocketAddr,
    metrics: SocketAddr,
}

/// A running program of the parent. Dropping it kills it.
pub struct Program {
    child: Child,
    log: PathBuf,
}

/// What differs from test to test: TOML for the sections `[watchdog…]`, `[deployment]`, `[service]` and the routes.
pub struct Settings<'a> {
    pub sockets: &'a Path,
    pub sections: &'a str,
}

impl Parent {
    /// Writes the configuration.
    pub fn new(dir: &Path, settings: &Settings<'_>) -> Self {
        // All four are held until all are known, so that they differ.
        let held = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [https, health, attest, metrics] = held.each_ref().map(|l| l.local_addr().unwrap());
        let text = format!(
            "[log]\nformat = \"json\"\nlevel = \"debug\"\n[transport]\nfolder = \"{}\"\n\
             [https_proxy]\nlisten = \"{https}\"\nhealth = \"{health}\"\nattest = \"{attest}\"\n{}",
            settings.sockets.display(),
            settings
                .sections
                .replace("METRICS", &metrics.to_string())
                .replace("HTTPS", &https.to_string()),
        );
        std::fs::write(dir.join("parent.toml"), text).unwrap();
        Self {
            dir: dir.to_owned(),
            https,
            health,
            attest,
            metrics,
        }
    }

    /// Starts `parent NAME`.
    pub fn start(&self, name: &str) -> Program {
        let log = self.dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).unwrap();
        let child = self
            .command(name)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Program { child, log }
    }

    /// `parent status --json`.
    pub fn status(&self) -> Output {
        self.command("status").arg("--json").output().unwrap()
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(place("NITRO_PARENT"));
        command
            .arg("--config")
            .arg(self.dir.join("parent.toml"))
            .arg(name);
        command
    }

    /// A number of the watchdog.
    pub fn number(&self, name: &str) -> Option<u64> {
        let request = format!(
            "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.metrics
        );
        let text = exchange(self.metrics, request.as_bytes());
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")))?;
        line.trim().parse().ok()
    }

    /// Status of the load balancer's check.
    pub fn healthz(&self) -> u16 {
        let request = format!(
            "GET /healthz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.health
        );
        let text = exchange(self.health, request.as_bytes());
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Program {
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log has this text, from byte `from` on.
    pub fn says(&self, text: &str, from: usize) {
        until(&format!("{text:?} in {}", self.log.display()), || {
            self.said().get(from..).is_some_and(|said| said.contains(text))
        });
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and the exit code.
    pub fn end(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_mins(1) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("did not end:\n{}", self.said());
    }
}

impl Drop for Program {
    /// A failed test says what its programs said last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            let first = said.lines().count().saturating_sub(40);
            for line in said.lines().skip(first) {
                println!("{}: {line}", self.log.display());
            }
        }
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // A watchdog that is killed leaves its enclave running.
        self.signal(Signal::TERM);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until something is so.
pub fn until(what: &str, is: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < crate::PATIENCE * 2, "never: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

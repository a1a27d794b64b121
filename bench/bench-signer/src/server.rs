//! The program that is measured, on a processor of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_mins(2);

/// A running server.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    pub(crate) port: u16,
    pub(crate) started_in: Duration,
}

/// The TLS files of the tests.
pub(crate) fn tls_files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web3signer-rs/tests/data/tls")
}

impl Server {
    /// Starts the program with TLS, a known client and slashing protection in memory, and waits until it listens.
    pub(crate) fn start(program: &Path, keys: &Path) -> Result<Self> {
        let folder = tempfile::tempdir_in("/dev/shm")?;
        let tls = tls_files();
        let path = |name: &str| tls.join(name).display().to_string();
        let began = Instant::now();
        let child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .arg(format!("--data-path={}", folder.path().display()))
            .arg(format!("--key-config-path={}", keys.display()))
            .arg(format!(
                "--tls-keystore-file={}",
                path("server_openssl3_default.p12")
            ))
            .arg(format!(
                "--tls-keystore-password-file={}",
                path("server.password")
            ))
            .arg(format!("--tls-known-clients-file={}", path("known_clients.txt")))
            .args(["--http-listen-port=0", "--logging=WARN", "eth2"])
            .arg(format!(
                "--memory-slashing-journal={}",
                folder.path().join("journal").display()
            ))
            .stdout(Stdio::null())
            .spawn()
            .context("taskset (util-linux)")?;
        let mut server = Self {
            child,
            folder,
            port: 0,
            started_in: Duration::ZERO,
        };
        let ports = server.folder.path().join("web3signer.ports");
        while server.port == 0 {
            ensure!(server.child.try_wait()?.is_none(), "the server ended");
            ensure!(began.elapsed() < PATIENCE, "the server did not start");
            if let Ok(text) = fs::read_to_string(&ports) {
                let line = text.lines().find_map(|line| line.strip_prefix("http-port="));
                server.port = line.context("no port")?.parse()?;
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        server.started_in = began.elapsed();
        Ok(server)
    }

    /// Processor time of all its threads so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let mut nanos = 0;
        #[expect(
            clippy::disallowed_methods,
            reason = "the times are added; their order does not matter"
        )]
        for task in fs::read_dir(tasks)? {
            nanos += on_cpu(&task?.path().join("schedstat"))?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Memory in use, bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        Ok(line.split_whitespace().next().context("VmRSS")?.parse::<u64>()? * 1024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.kill().is_ok() && self.child.wait().is_err() {
            // It is gone either way.
        }
    }
}

/// Nanoseconds on a processor: the first number of `schedstat`.
pub(crate) fn on_cpu(file: &Path) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

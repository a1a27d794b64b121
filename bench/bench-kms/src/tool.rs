//! The tool as a process: all of [`kmstool_rs::cli::run`], but its proxy is a Unix socket and its security module ours.

use std::io::{BufReader, Write as _, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use kmstool_rs::cli::{Outside, run};
use kmstool_rs::clock::{Clock, RandomJitter};
use kmstool_rs::transport::{Connect, Connecting, Stream};
use nsm::Session;
use tokio::net::UnixStream;

use crate::module::Module;
use crate::pki::Pki;

/// Name of the socket in the folder that parent and child share.
pub(crate) const SOCKET: &str = "kms.sock";

/// The system's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "as in the program")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Connects to a Unix socket, whatever the port.
pub(crate) struct Socket(pub(crate) PathBuf);

impl Connect for Socket {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async { Ok(Box::new(UnixStream::connect(&self.0).await?) as Box<dyn Stream>) })
    }
}

/// Runs the tool with these arguments; then says on standard error how much memory it had at most.
pub(crate) fn tool(folder: &Path, arguments: Vec<std::ffi::OsString>) -> Result<u8> {
    let module = Module(Arc::new(Pki::read(folder)?));
    let socket = folder.join(SOCKET);
    let code = run(
        arguments,
        Outside {
            variable: &|_| None,
            stdin: Box::new(BufReader::new(stdin())),
            stdout: &mut stdout().lock(),
            stderr: &mut stderr().lock(),
            clock: Arc::new(SystemClock),
            jitter: Arc::new(RandomJitter),
            nsm: &|| Ok(Box::new(Session::new(module.clone()))),
            proxy: &|_| Arc::new(Socket(socket.clone())),
        },
    );
    writeln!(stderr(), "peak {} KiB", peak_kib()?)?;
    Ok(code)
}

/// The most memory that this process ever had resident. Source: `VmHWM`, proc(5).
fn peak_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.context("no VmHWM")?.parse().context("VmHWM is no number")
}

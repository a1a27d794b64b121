//! Bridges between the enclave's vsock and addresses of this machine, for `--forward` and `--listen`.
//!
//! Bytes are copied both ways, half-closes included; nothing is looked at.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use thiserror::Error;

use crate::enclave::connect;
use crate::vsock::backend::{BackendError, listen_port};

/// Most connections that one bridge carries at once; callers beyond that are closed at once.
const MAX_RELAYS: usize = 1024;

/// Where a guest's connection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// `PORT=ADDRESS:PORT` or `PORT=unix:PATH`: the guest's connections to that port of the parent go there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Port of the parent.
    pub port: u32,
    /// Where it leads.
    pub target: Target,
}

/// `ADDRESS:PORT=PORT`: connections to that TCP address go to that port of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// TCP address of this machine.
    pub address: SocketAddr,
    /// Port of the guest.
    pub port: u32,
}

/// Why a text is not a [`Forward`] or [`Listen`], or a bridge did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// There is no `=` in it.
    #[error("expected {0}")]
    Form(&'static str),
    /// The vsock port is no number below 2^32.
    #[error("{0:?} is no vsock port")]
    Port(String),
    /// The address is none. Names are not looked up.
    #[error("{0:?} is no IP address with a port, as 127.0.0.1:8000 or [::1]:8000")]
    Address(String),
    /// It would be reachable from other machines, or reach them.
    #[error("{0} is not a loopback address; --allow-non-loopback permits it")]
    NotLoopback(SocketAddr),
    /// The vsock side could not be made.
    #[error("cannot forward port {port}")]
    Vsock {
        /// The port.
        port: u32,
        /// Why.
        source: BackendError,
    },
    /// The link to a Unix socket could not be made.
    #[error("cannot link {path}")]
    Link {
        /// The link.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The TCP side could not be made.
    #[error("cannot listen on {address}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
}

impl FromStr for Forward {
    type Err = ForwardError;

    fn from_str(text: &str) -> Result<Self, ForwardError> {
        let (port, target) = text
            .split_once('=')
            .ok_or(ForwardError::Form("PORT=ADDRESS:PORT or PORT=unix:PATH"))?;
        let target = match target.strip_prefix("unix:") {
            Some("") => return Err(ForwardError::Form("PORT=unix:PATH")),
            Some(path) => Target::Unix(path.into()),
            None => Target::Tcp(address(target)?),
        };
        Ok(Self {
            port: vsock_port(port)?,
            target,
        })
    }
}

impl FromStr for Listen {
    type Err = ForwardError;

    fn from_str(text: &str) -> Result<Self, ForwardError> {
        let (from, port) = text
            .rsplit_once('=')
            .ok_or(ForwardError::Form("ADDRESS:PORT=PORT"))?;
        Ok(Self {
            address: address(from)?,
            port: vsock_port(port)?,
        })
    }
}

fn vsock_port(text: &str) -> Result<u32, ForwardError> {
    text.parse().map_err(|_| ForwardError::Port(text.to_owned()))
}

fn address(text: &str) -> Result<SocketAddr, ForwardError> {
    text.parse().map_err(|_| ForwardError::Address(text.to_owned()))
}

/// Refuses an address that other machines can reach, or that is another machine.
///
/// # Errors
/// [`ForwardError::NotLoopback`].
pub fn check_loopback(address: SocketAddr) -> Result<(), ForwardError> {
    if address.ip().is_loopback() {
        Ok(())
    } else {
        Err(ForwardError::NotLoopback(address))
    }
}

impl Forward {
    /// Serves it in the background, for as long as this process lives; `dir` is the enclave's folder.
    ///
    /// # Errors
    /// [`ForwardError`].
    pub fn start(&self, dir: &Path) -> Result<(), ForwardError> {
        let target = match &self.target {
            Target::Unix(path) => return self.link(dir, path),
            Target::Tcp(target) => *target,
        };
        let listener = listen_port(dir, self.port).map_err(|source| ForwardError::Vsock {
            port: self.port,
            source,
        })?;
        let relays = Relays::default();
        thread::spawn(move || {
            for from in listener.incoming() {
                let Some(from) = or_rest(from) else { continue };
                relays.start(move || relay(&from, &TcpStream::connect(target)?));
            }
        });
        Ok(())
    }

    /// The backend follows the link, so nothing has to be copied.
    fn link(&self, dir: &Path, target: &Path) -> Result<(), ForwardError> {
        let path = dir.join(format!("vsock_{}", self.port));
        let target = std::path::absolute(target).and_then(|target| symlink(target, &path));
        target.map_err(|source| ForwardError::Link { path, source })
    }
}

impl Listen {
    /// Serves it in the background, for as long as this process lives; `socket` is the enclave's
    /// [`crate::vsock::backend::Backend::host_socket`].
    ///
    /// # Errors
    /// [`ForwardError::Tcp`].
    pub fn start(&self, socket: &Path) -> Result<SocketAddr, ForwardError> {
        let failed = |source| ForwardError::Tcp {
            address: self.address,
            source,
        };
        let listener = TcpListener::bind(self.address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let (relays, port, socket) = (Relays::default(), self.port, socket.to_owned());
        thread::spawn(move || {
            for from in listener.incoming() {
                let Some(from) = or_rest(from) else { continue };
                let socket = socket.clone();
                relays.start(move || relay(&connect(&socket, port)?, &from));
            }
        });
        Ok(bound)
    }
}

/// A caller; or a short rest when there are no descriptors for one.
fn or_rest<S>(from: io::Result<S>) -> Option<S> {
    if from.is_err() {
        thread::sleep(Duration::from_millis(50));
    }
    from.ok()
}

/// Counts the connections of one bridge.
#[derive(Clone, Debug, Default)]
struct Relays(Arc<AtomicUsize>);

impl Relays {
    fn start(&self, work: impl FnOnce() -> io::Result<()> + Send + 'static) {
        if self.0.fetch_add(1, Ordering::Relaxed) >= MAX_RELAYS {
            self.0.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let relays = self.clone();
        thread::spawn(move || {
            // A connection that fails is one that ends; both sides see that.
            work().ok();
            relays.0.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn relay(unix: &UnixStream, tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let (unix_in, tcp_out) = (unix.try_clone()?, tcp.try_clone()?);
    let up = thread::spawn(move || {
        let (mut from, mut to) = (&unix_in, &tcp_out);
        let copied = io::copy(&mut from, &mut to);
        tcp_out.shutdown(if copied.is_ok() {
            Shutdown::Write
        } else {
            Shutdown::Both
        })
    });
    let (mut from, mut to) = (tcp, unix);
    let copied = io::copy(&mut from, &mut to);
    unix.shutdown(if copied.is_ok() {
        Shutdown::Write
    } else {
        Shutdown::Both
    })?;
    up.join().map_err(|_| io::Error::other("a relay panicked"))?
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn texts_are_read() {
        let tcp = |port, text: &str| Forward {
            port,
            target: Target::Tcp(text.parse().unwrap()),
        };
        assert_eq!(
            "8000=127.0.0.1:1234".parse::<Forward>().unwrap(),
            tcp(8000, "127.0.0.1:1234")
        );
        assert_eq!("8000=[::1]:1".parse::<Forward>().unwrap(), tcp(8000, "[::1]:1"));
        let unix = Forward {
            port: 1,
            target: Target::Unix("/a=b:c".into()),
        };
        assert_eq!("1=unix:/a=b:c".parse::<Forward>().unwrap(), unix);
        let listen = Listen {
            address: "127.0.0.1:8443".parse().unwrap(),
            port: 5000,
        };
        assert_eq!("127.0.0.1:8443=5000".parse::<Listen>().unwrap(), listen);
        for bad in [
            "",
            "8000",
            "8000=",
            "x=127.0.0.1:1",
            "4294967296=127.0.0.1:1",
            "1=localhost:1",
            "1=unix:",
        ] {
            assert_eq!(bad.parse::<Forward>().ok(), None, "{bad}");
        }
        for bad in [
            "",
            "127.0.0.1:1",
            "127.0.0.1=1",
            "127.0.0.1:1=-1",
            "localhost:1=1",
        ] {
            assert_eq!(bad.parse::<Listen>().ok(), None, "{bad}");
        }
    }

    #[test]
    fn only_loopback_is_loopback() {
        for good in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
            check_loopback(good.parse().unwrap()).unwrap();
        }
        for bad in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1"] {
            let error = check_loopback(bad.parse().unwrap()).unwrap_err();
            assert!(error.to_string().contains("--allow-non-loopback"));
        }
    }

    #[test]
    fn half_close_passes_a_bridge() {
        let dir = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::Tcp(tcp.local_addr().unwrap());
        Forward { port: 8000, target }.start(dir.path()).unwrap();
        let mut guest = UnixStream::connect(dir.path().join("vsock_8000")).unwrap();
        let (mut host, _) = tcp.accept().unwrap();
        guest.write_all(b"question").unwrap();
        guest.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        host.read_to_string(&mut text).unwrap();
        host.write_all(b"answer").unwrap();
        drop(host);
        guest.read_to_string(&mut text).unwrap();
        assert_eq!(text, "questionanswer");
    }

    #[test]
    fn a_unix_target_is_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("service");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        Forward {
            port: 8000,
            target: Target::Unix(path),
        }
        .start(dir.path())
        .unwrap();
        UnixStream::connect(dir.path().join("vsock_8000")).unwrap();
        listener.accept().unwrap();
    }
}

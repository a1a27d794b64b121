//! How bytes get to the enclave and from it: `AF_VSOCK`, or Unix sockets in one folder.
//!
//! The folder form is for an enclave that runs elsewhere than under Nitro, and for tests:
//! - to reach port P of the enclave, connect to `DIR/vsock.sock`, write `CONNECT P\n` and read a line that starts with `OK`;
//! - the enclave's connection to port P of the parent arrives at `DIR/vsock_P`.
//!
//! Source: Firecracker, `docs/vsock.md` (the convention, not the code).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

/// Connection attempts to the enclave that may be under way at a time. Both kernels' vsock drivers can wait for each other
/// for ever when a queue (1024 packets) of replies is outstanding; this stays far below it. See `docs/adr/0004-vsock-transport.md`.
pub const MAX_CALLS: usize = 64;

/// Longest answer to `CONNECT`, bytes: `OK 4294967295\n`.
const MAX_GREETING: usize = 32;

/// A connected byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Any connected byte stream.
pub type BoxStream = Box<dyn Stream>;

/// Where the enclave is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An enclave of this instance, by its context id.
    Vsock {
        /// The context id.
        cid: u32,
    },
    /// Unix sockets in this folder.
    Folder(PathBuf),
}

/// Calls ports of the enclave. Clones share the bound on calls under way.
#[derive(Clone, Debug)]
pub struct Dialer {
    place: Place,
    calls: Arc<Semaphore>,
    patience: Duration,
}

impl Dialer {
    /// `patience` is how long a call may take, waiting for its turn included.
    #[must_use]
    pub fn new(place: Place, patience: Duration) -> Self {
        let calls = Arc::new(Semaphore::new(MAX_CALLS));
        Self {
            place,
            calls,
            patience,
        }
    }

    /// Connects to a port of the enclave.
    ///
    /// # Errors
    /// When the enclave does not take the call, or not in time.
    pub async fn dial(&self, port: u32) -> io::Result<BoxStream> {
        let call = async {
            let turn = self.calls.acquire().await.map_err(io::Error::other)?;
            let stream = self.call(port).await;
            drop(turn);
            stream
        };
        let late = |_| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection to port {port} of the enclave in time"),
            )
        };
        tokio::time::timeout(self.patience, call).await.map_err(late)?
    }

    async fn call(&self, port: u32) -> io::Result<BoxStream> {
        match &self.place {
            Place::Vsock { cid } => Ok(Box::new(VsockStream::connect(VsockAddr::new(*cid, port)).await?)),
            Place::Folder(folder) => {
                let mut stream = UnixStream::connect(folder.join("vsock.sock")).await?;
                stream.write_all(format!("CONNECT {port}\n").as_bytes()).await?;
                greeting(&mut stream).await?;
                Ok(Box::new(stream))
            }
        }
    }
}

/// Reads the line byte by byte: what follows it is the connection's.
async fn greeting(stream: &mut UnixStream) -> io::Result<()> {
    let mut line = Vec::with_capacity(MAX_GREETING);
    while line.len() < MAX_GREETING {
        let byte = stream.read_u8().await.map_err(|_| refused())?;
        if byte == b'\n' {
            return if line.starts_with(b"OK") {
                Ok(())
            } else {
                Err(refused())
            };
        }
        line.push(byte);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "the answer to CONNECT has no end",
    ))
}

fn refused() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionRefused,
        "nothing in the enclave listens on that port",
    )
}

/// Takes the enclave's connections to a port of the parent.
#[derive(Debug)]
pub enum Acceptor {
    /// `AF_VSOCK`; only this context id is served.
    Vsock(VsockListener, u32),
    /// A Unix socket, removed when this is dropped.
    Unix(UnixListener, PathBuf),
}

impl Acceptor {
    /// Listens. Must be called within the runtime. A Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// When the port is taken, or there is no vsock.
    pub fn bind(place: &Place, port: u32) -> io::Result<Self> {
        match place {
            Place::Vsock { cid } => Ok(Self::Vsock(
                VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, port))?,
                *cid,
            )),
            Place::Folder(folder) => {
                let path = folder.join(format!("vsock_{port}"));
                remove_dead(&path)?;
                Ok(Self::Unix(UnixListener::bind(&path)?, path))
            }
        }
    }

    /// The next connection of the enclave. Another enclave of the same instance is turned away.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn accept(&self) -> io::Result<BoxStream> {
        match self {
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
            Self::Vsock(listener, cid) => loop {
                let (stream, peer) = listener.accept().await?;
                if peer.cid() == *cid {
                    return Ok(Box::new(stream));
                }
            },
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            std::fs::remove_file(path).ok();
        }
    }
}

/// Removes a socket that is left from a process that is gone.
fn remove_dead(path: &Path) -> io::Result<()> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("{} is in use", path.display()),
        )),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Pauses after failures of `accept`: it is out of descriptors or memory, which only time mends.
pub async fn rest_after_failure() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

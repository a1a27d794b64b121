//! Starts a KMS on a TCP address, on a Unix socket, or on both, in a thread of its own.
//!
//! A Unix socket `DIR/vsock_8000` is what the simulator's vsock connects an enclave to that calls port 8000 of CID 3: then no
//! proxy is needed between.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};

use super::connection::{Stream, serve};
use super::pki::Identity;
use super::service::Kms;

/// Connections at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// Pause after a failed accept, such as without free descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address or path.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// There is something else at the path of the Unix socket, or a server that still answers.
    #[error("{} is in use; name another path, or end what listens there", .path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// No thread or no event loop.
    #[error("cannot start the server's thread")]
    Thread(#[source] io::Error),
}

/// Where to listen.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// TCP; port 0 for any free one.
    pub tcp: Option<SocketAddr>,
    /// Unix socket. One that is left over from a server that has ended is replaced.
    pub unix: Option<PathBuf>,
}

/// A server that runs. It stops when the value is dropped.
#[derive(Debug)]
pub struct Server {
    kms: Arc<Kms>,
    tcp: Option<SocketAddr>,
    unix: Option<PathBuf>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it. When this returns, clients can connect.
    ///
    /// # Errors
    /// [`ServerError`]; nothing listens then.
    pub fn start(kms: Arc<Kms>, identity: Identity, listen: &Listen) -> Result<Self, ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("kms")
            .build()
            .map_err(ServerError::Thread)?;
        let inside = runtime.enter();
        let tcp = listen.tcp.map(bind_tcp).transpose()?;
        let address = tcp.as_ref().and_then(|listener| listener.local_addr().ok());
        let unix = listen.unix.as_deref().map(bind_unix).transpose()?;
        drop(inside);

        let (stop, mut stopped) = watch::channel(false);
        let shared = Shared {
            kms: Arc::clone(&kms),
            identity,
            slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        };
        let thread = std::thread::Builder::new()
            .name("kms".to_owned())
            .spawn(move || {
                if let Some(listener) = tcp {
                    runtime.spawn(accept_tcp(listener, shared.clone()));
                }
                if let Some(listener) = unix {
                    runtime.spawn(accept_unix(listener, shared.clone()));
                }
                // An error means that the sender is gone, which is a stop too.
                drop(runtime.block_on(stopped.wait_for(|stop| *stop)));
                // Open connections end here; a call that is being computed is not waited for.
                runtime.shutdown_background();
            })
            .map_err(ServerError::Thread)?;
        Ok(Self {
            kms,
            tcp: address,
            unix: listen.unix.clone(),
            stop,
            thread: Some(thread),
        })
    }

    /// The TCP address, with its real port.
    #[must_use]
    pub const fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// The path of the Unix socket.
    #[must_use]
    pub fn unix(&self) -> Option<&Path> {
        self.unix.as_deref()
    }

    /// The KMS behind it.
    #[must_use]
    pub fn kms(&self) -> &Arc<Kms> {
        &self.kms
    }

    /// Ends all connections, and removes the Unix socket.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop.send_replace(true);
        // A panic there has been printed; there is nothing to add.
        drop(thread.join());
        if let Some(path) = &self.unix {
            // Somebody may have tidied up already.
            drop(std::fs::remove_file(path));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

#[derive(Clone)]
struct Shared {
    kms: Arc<Kms>,
    identity: Identity,
    slots: Arc<Semaphore>,
}

fn bind_tcp(address: SocketAddr) -> Result<TcpListener, ServerError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    bind().map_err(|source| ServerError::Listen {
        address: address.to_string(),
        source,
    })
}

fn bind_unix(path: &Path) -> Result<UnixListener, ServerError> {
    clear_stale(path)?;
    UnixListener::bind(path).map_err(|source| ServerError::Listen {
        address: path.display().to_string(),
        source,
    })
}

/// Removes a socket that nobody listens on any more; refuses anything else that is at `path`.
pub(crate) fn clear_stale(path: &Path) -> Result<(), ServerError> {
    if let Ok(found) = std::fs::symlink_metadata(path) {
        let stale = found.file_type().is_socket() && std::os::unix::net::UnixStream::connect(path).is_err();
        if !stale {
            return Err(ServerError::InUse {
                path: path.to_owned(),
            });
        }
        // If it cannot be removed, listening there fails and says why.
        drop(std::fs::remove_file(path));
    }
    Ok(())
}

async fn accept_tcp(listener: TcpListener, shared: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Small answers need not wait for the client's acknowledgement; without this they are only slower.
                drop(stream.set_nodelay(true));
                shared.start(stream).await;
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, shared: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => shared.start(stream).await,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

impl Shared {
    /// Serves a connection beside the others, as soon as there is room.
    async fn start(&self, stream: impl Stream) {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
            return;
        };
        let serving = serve(stream, Arc::clone(&self.kms), self.identity.clone());
        tokio::spawn(async move {
            serving.await;
            drop(slot);
        });
    }
}

//! Accepts connections of the parent, a bounded number at a time.
//!
//! Only CID 3 is served: nothing else on the vsock, another process of this enclave included, speaks the protocol.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use abi::vsock::PARENT_CID;
use control::Surface;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

use crate::connection::{self, Bounds};
use crate::core::Core;
use crate::counters::count;

/// Messages of one port that are served at a time. More wait in the kernel's queue; each one served ends by its deadlines.
pub const MAX_MESSAGES: usize = 256;

/// TLS connections that are carried at a time; more are closed at once. A client keeps one open for many requests.
pub const MAX_TLS: usize = 512;

/// Failures of `accept` one after another that are waited out.
const MAX_FAILURES: u32 = 16;

/// Pause after a failure of `accept`: it is out of descriptors or memory, which only time mends.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub trait Listener {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection and the CID of its peer.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, u32)>> + Send;
}

/// A port of the enclave's vsock.
#[derive(Debug)]
pub struct Vsock(VsockListener);

impl Vsock {
    /// Listens on a port, on every CID of this machine. Must be called within the runtime.
    ///
    /// # Errors
    /// When the port is taken, or there is no vsock.
    pub fn bind(port: u32) -> io::Result<Self> {
        VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, port)).map(Self)
    }
}

impl Listener for Vsock {
    type Stream = VsockStream;

    async fn accept(&self) -> io::Result<(VsockStream, u32)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((stream, peer.cid()))
    }
}

/// Places for connections.
#[derive(Debug)]
pub struct Places {
    /// For messages of a port.
    pub messages: Arc<Semaphore>,
    /// For TLS, which only one port has.
    pub tls: Semaphore,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            messages: Arc::new(Semaphore::new(MAX_MESSAGES)),
            tls: Semaphore::new(MAX_TLS),
        }
    }
}

/// Serves connections of one port for ever.
///
/// # Errors
/// When `accept` has failed `MAX_FAILURES` times in a row.
pub async fn serve<L: Listener>(
    listener: &L,
    surface: Surface,
    core: &Arc<Core>,
    bounds: Bounds,
) -> io::Result<()> {
    let places = Arc::new(Places::default());
    let mut failures = 0;
    loop {
        let place = Arc::clone(&places.messages)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if failures == MAX_FAILURES => return Err(error),
            Err(_) => {
                failures += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        failures = 0;
        if peer != PARENT_CID {
            count(&core.counters.foreign);
            continue;
        }
        let [service, control] = &core.counters.accepted;
        count(match surface {
            Surface::Service => service,
            Surface::Control => control,
        });
        let (core, places) = (Arc::clone(core), Arc::clone(&places));
        tokio::spawn(async move {
            // A connection that breaks is the caller's loss; there is nobody to tell.
            drop(connection::serve(stream, surface, &core, &places, place, &bounds).await);
        });
    }
}

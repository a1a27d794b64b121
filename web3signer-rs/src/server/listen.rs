//! Takes connections, as many as there are places for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Shared;

/// Connections that are served at one time.
pub const CONNECTIONS: usize = 1024;

/// Handshakes that run at one time. They have places of their own: whoever cannot finish one must not keep known clients
/// from their connections.
const HANDSHAKES: usize = 128;

/// After a failure to accept (no descriptors left) there is nothing to do but wait for connections to end.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {host}:{port}: {source}")]
pub struct ListenError {
    host: String,
    port: u16,
    source: io::Error,
}

/// Listens on the first address of a host.
///
/// # Errors
/// [`ListenError`].
pub async fn listen(host: &str, port: u16) -> Result<(TcpListener, SocketAddr), ListenError> {
    let wrong = |source| ListenError {
        host: host.to_owned(),
        port,
        source,
    };
    let listener = TcpListener::bind((host, port)).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    Ok((listener, address))
}

/// Waits for the next connection.
pub async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                // Answers are small and each is awaited. A socket that does not take the option is broken already.
                if socket.set_nodelay(true).is_err() {
                    continue;
                }
                return (socket, address);
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Serves connections until the server stops, then waits for those that are open.
pub async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let mut stop = shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &handshakes) => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some((socket, address, handshake)) = accepted else {
            break;
        };
        let (shared, places) = (Arc::clone(&shared), Arc::clone(&places));
        tokio::spawn(async move { connection(&shared, places, socket, address, handshake).await });
    }
    drop(listener);
    // All places are free when all connections have ended.
    let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
    if places.acquire_many(all).await.is_err() {
        // Nobody closes the semaphore.
    }
}

async fn accept(
    listener: &TcpListener,
    handshakes: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let handshake = Arc::clone(handshakes).acquire_owned().await.ok()?;
    let (socket, address) = next(listener).await;
    Some((socket, address, handshake))
}

async fn connection(
    shared: &Shared,
    places: Arc<Semaphore>,
    socket: TcpStream,
    address: SocketAddr,
    handshake: OwnedSemaphorePermit,
) {
    let full = || {
        shared.app.log.warn(format_args!(
            "connection of {address} refused: {CONNECTIONS} are open"
        ));
    };
    let Some(tls) = &shared.app.tls else {
        drop(handshake);
        match places.try_acquire_owned() {
            Ok(_place) => shared.serve_plain(socket, address).await,
            Err(_) => full(),
        }
        return;
    };
    let tls = tls.subscribe();
    let now = tls.borrow().clone();
    let Some(stream) = shared.handshake(socket, &now, address).await else {
        return;
    };
    drop(handshake);
    match places.try_acquire_owned() {
        Ok(_place) => shared.serve_tls(stream, address, tls).await,
        Err(_) => full(),
    }
}

//! The ways out: each name of the config's `outbound` has a loopback address of its own, and connections to it go to the
//! parent's vsock port. TLS that starts in the enclave so still checks the server's real name.
//!
//! There is no DNS inside. `/etc/hosts` of the image is a link to a file of the agent's, which it writes when the config is known
//! (`docs/adr/0011-agent.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use control::config::{DeploymentConfig, Tunnel};
use relay::{Bounds, End, Traffic, relay};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::dial::Dial;

/// Connections of one tunnel at a time; more are closed at once.
pub const MAX_CONNECTIONS: usize = 64;

/// How long the parent may take to accept.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Bounds of a connection. A pool of database connections may rest for long; it sends something when it does.
pub const BOUNDS: Bounds = Bounds {
    buffer_bytes: 32 * 1024,
    idle: Duration::from_mins(30),
};

/// Pause after a failure of `accept`: only time mends it.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts of all tunnels.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were carried.
    pub connections: AtomicU64,
    /// Connections that were refused: too many, or the parent did not accept.
    pub refused: AtomicU64,
    /// Bytes moved; first is inside.
    pub traffic: Traffic,
}

/// The loopback address of each name.
#[must_use]
pub fn addresses(config: &DeploymentConfig) -> BTreeMap<&str, Ipv4Addr> {
    let names: BTreeSet<&str> = config.fields().outbound.iter().map(|t| t.name.as_str()).collect();
    // At most `MAX_TUNNELS` names, so the last octet is never used up.
    let address = |index: usize| Ipv4Addr::new(127, 0, 1, u8::try_from(index + 1).unwrap_or(u8::MAX));
    let numbered = names.into_iter().enumerate();
    numbered.map(|(index, name)| (name, address(index))).collect()
}

/// The text of `/etc/hosts`.
#[must_use]
pub fn hosts(config: &DeploymentConfig) -> String {
    let mut text = String::from("127.0.0.1 localhost\n");
    for (name, address) in addresses(config) {
        let address = address.to_string();
        text.extend([address.as_str(), " ", name, "\n"]);
    }
    text
}

/// Writes the file of hosts for everybody in the enclave to read.
///
/// # Errors
/// When it cannot be written.
pub fn write_hosts(path: &Path, config: &DeploymentConfig) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).open(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(hosts(config).as_bytes())
}

/// A tunnel that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "the tunnel to {name}:{port} cannot listen on {address}: ports below `init.unprivileged_ports_from` of the manifest are not the agent's"
)]
pub struct NotOpened {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: u16,
    /// Where it should listen.
    pub address: SocketAddrV4,
    /// Why it does not.
    #[source]
    pub source: io::Error,
}

/// Tunnels that listen and carry nothing yet.
#[derive(Debug)]
pub struct Opened(Vec<(TcpListener, u32)>);

/// Listens for every tunnel of a config. Must be called within the runtime.
///
/// # Errors
/// [`NotOpened`] for the first that cannot; none listens then.
pub async fn open(config: &DeploymentConfig) -> Result<Opened, NotOpened> {
    let addresses = addresses(config);
    let mut listeners = Vec::new();
    for Tunnel {
        name,
        port,
        vsock_port,
    } in &config.fields().outbound
    {
        let address = addresses
            .get(name.as_str())
            .copied()
            .unwrap_or(Ipv4Addr::LOCALHOST);
        let address = SocketAddrV4::new(address, *port);
        let listener = TcpListener::bind(address).await.map_err(|source| NotOpened {
            name: name.to_string(),
            port: *port,
            address,
            source,
        })?;
        listeners.push((listener, *vsock_port));
    }
    Ok(Opened(listeners))
}

impl Opened {
    /// Carries connections from now on, for ever.
    pub fn carry(self, dial: &Arc<dyn Dial>, counters: &Arc<Counters>, bounds: Bounds) {
        for (listener, port) in self.0 {
            tokio::spawn(accept(
                listener,
                port,
                Arc::clone(dial),
                Arc::clone(counters),
                bounds,
            ));
        }
    }
}

async fn accept(
    listener: TcpListener,
    port: u32,
    dial: Arc<dyn Dial>,
    counters: Arc<Counters>,
    bounds: Bounds,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        };
        let (dial, counters) = (Arc::clone(&dial), Arc::clone(&counters));
        tokio::spawn(async move {
            carry(stream, port, &*dial, &counters, bounds).await;
            drop(place);
        });
    }
}

async fn carry(stream: TcpStream, port: u32, dial: &dyn Dial, counters: &Counters, bounds: Bounds) {
    let dialled = timeout(CONNECT_WITHIN, dial.dial(port)).await;
    let Ok(Ok(parent)) = dialled else {
        counters.refused.fetch_add(1, Ordering::Relaxed);
        return;
    };
    counters.connections.fetch_add(1, Ordering::Relaxed);
    // Small answers must not wait for more to come. A socket that refuses this still carries bytes.
    drop(stream.set_nodelay(true));
    match relay(stream, parent, bounds, &counters.traffic).await {
        End::Closed | End::Idle | End::Broken(_) => {}
    }
}

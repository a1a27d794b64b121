//! From a host name to a TCP connection: the system's resolver, a short cache, both families.
//!
//! Addresses are tried in the resolver's order with the families taking turns, each a moment after the one before; the first
//! that connects wins. Source: RFC 8305 (Happy Eyeballs), sections 4 and 5.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout};

/// How long an answer of the resolver is used again. Short: names of AWS change their addresses within a minute.
pub const CACHE_TIME: Duration = Duration::from_secs(5);
/// Pause before the next address is tried beside the ones under way. RFC 8305, section 8: 250 ms.
const STAGGER: Duration = Duration::from_millis(250);
/// Most addresses that are tried.
const MAX_ADDRESSES: usize = 8;

/// Answers of the resolver.
#[derive(Debug, Default)]
pub struct Resolver(Mutex<Cache>);

/// By host and port: when it was asked, and what it said.
type Cache = BTreeMap<(String, u16), (Instant, Vec<SocketAddr>)>;

impl Resolver {
    /// Connects to a server within `patience`.
    ///
    /// # Errors
    /// When the name has no address, or none of them connects in time.
    pub async fn connect(&self, host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
        let late = |_| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection to {host}:{port} in time"),
            )
        };
        let connected = timeout(patience, async {
            let addresses = self.lookup(host, port).await?;
            let connected = race(&addresses).await;
            if connected.is_err() {
                // The addresses may be old.
                self.lock().remove(&(host.to_owned(), port));
            }
            connected
        });
        let stream = connected.await.map_err(late)??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let key = (host.to_owned(), port);
        let now = Instant::now();
        if let Some((_, addresses)) = self
            .lock()
            .get(&key)
            .filter(|(at, _)| now.duration_since(*at) < CACHE_TIME)
        {
            return Ok(addresses.clone());
        }
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        let addresses = take_turns(&found);
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{host} has no address"),
            ));
        }
        self.lock().insert(key, (now, addresses.clone()));
        Ok(addresses)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The family of the first address first, then the families in turns.
fn take_turns(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return Vec::new();
    };
    let (mut same, mut other): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for address in addresses {
        let list = if address.is_ipv4() == first.is_ipv4() {
            &mut same
        } else {
            &mut other
        };
        if !list.contains(address) {
            list.push(*address);
        }
    }
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut mixed = Vec::new();
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] {
            mixed.truncate(MAX_ADDRESSES);
            return mixed;
        }
        mixed.extend(pair.into_iter().flatten());
    }
}

/// The first that connects; else the last failure.
async fn race(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    let mut left = addresses.iter();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "no address");
    loop {
        if let Some(address) = left.next() {
            let address = *address;
            attempts.spawn(async move {
                let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
                TcpStream::connect(address).await.map_err(named)
            });
        }
        let ended = if left.len() == 0 {
            attempts.join_next().await
        } else {
            timeout(STAGGER, attempts.join_next()).await.unwrap_or(None)
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failure = error,
            Some(Err(error)) => failure = io::Error::other(error),
            None if left.len() == 0 && attempts.is_empty() => return Err(failure),
            None => {}
        }
        if left.len() == 0 && attempts.is_empty() {
            return Err(failure);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let mixed = take_turns(&list(&[
            "[::1]:1",
            "[::2]:1",
            "[::1]:1",
            "10.0.0.1:1",
            "10.0.0.2:1",
            "10.0.0.3:1",
        ]));
        assert_eq!(
            mixed,
            list(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "10.0.0.2:1", "10.0.0.3:1"])
        );
        assert_eq!(take_turns(&[]), []);
        let many: Vec<String> = (0..20).map(|n| format!("10.0.0.{n}:1")).collect();
        assert_eq!(
            take_turns(&list(&many.iter().map(String::as_str).collect::<Vec<_>>())).len(),
            MAX_ADDRESSES
        );
    }

    #[tokio::test]
    async fn a_dead_address_does_not_stop_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let dead = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        // Nobody listens on the first; the second is what connects.
        let stream = race(&[dead, alive]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        drop(listener);
        assert_eq!(
            race(&[dead]).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }
}

//! From TCP to the enclave's port 5000, for TLS only.
//!
//! Port 5000 also takes control messages of the parent. So a connection whose first byte is not that of a TLS handshake
//! (0x16; RFC 8446, section 5.1) is dropped **before** a vsock is opened: nothing on the network reaches the control protocol.
//! TLS itself ends in the enclave; nothing else is looked at here.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abi::vsock::SERVICE_PORT;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::config::Limits;
use crate::limits::{Full, Places};
use crate::metrics::{Kind, Metrics, Number, count, set};
use crate::relay::{Bounds, End, Traffic, relay};
use crate::transport::{Dialer, rest_after_failure};

/// Content type of a TLS handshake record.
pub const TLS_HANDSHAKE: u8 = 0x16;

/// Numbers of the proxy.
#[derive(Debug)]
struct Counters {
    accepted: Number,
    open: Number,
    full: Number,
    source_full: Number,
    not_tls: Number,
    silent: Number,
    unreachable: Number,
    idle: Number,
    broken: Number,
    closed: Number,
    traffic: Traffic,
}

impl Counters {
    fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.add(Kind::Counter, name, help);
        let ended = |how| {
            let labels = [("how", how)];
            metrics.with(
                Kind::Counter,
                "parent_https_ended_total",
                "Connections that ended, by how.",
                &labels,
            )
        };
        let bytes = |direction| {
            let labels = [("direction", direction)];
            metrics.with(
                Kind::Counter,
                "parent_https_bytes_total",
                "Bytes carried, by direction.",
                &labels,
            )
        };
        Self {
            accepted: counter("parent_https_accepted_total", "Connections accepted."),
            open: metrics.add(Kind::Gauge, "parent_https_open", "Connections that are open."),
            full: ended("limit"),
            source_full: ended("source-limit"),
            not_tls: ended("not-tls"),
            silent: ended("no-first-byte"),
            unreachable: ended("enclave-unreachable"),
            idle: ended("idle"),
            broken: ended("broken"),
            closed: ended("closed"),
            traffic: Traffic {
                to_first: bytes("to-client"),
                to_second: bytes("to-enclave"),
            },
        }
    }
}

/// The proxy.
#[derive(Debug)]
pub struct HttpsProxy {
    dialer: Dialer,
    limits: Limits,
    places: Places,
    counters: Counters,
}

impl HttpsProxy {
    /// A proxy that calls the enclave with `dialer`.
    #[must_use]
    pub fn new(dialer: Dialer, limits: Limits, metrics: &Metrics) -> Arc<Self> {
        let places = Places::new(limits.connections, limits.per_source);
        Arc::new(Self {
            dialer,
            limits,
            places,
            counters: Counters::new(metrics),
        })
    }

    /// Serves for ever.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.take(stream, peer),
                Err(_) => rest_after_failure().await,
            }
        }
    }

    fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        count(&self.counters.accepted);
        let place = match self.places.take(peer.ip()) {
            Ok(place) => place,
            Err(Full::All) => return count(&self.counters.full),
            Err(Full::Source) => return count(&self.counters.source_full),
        };
        let proxy = Arc::clone(self);
        self.counters.open.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            proxy.carry(stream).await;
            drop(place);
            set(
                &proxy.counters.open,
                u64::try_from(proxy.places.taken()).unwrap_or(u64::MAX),
            );
        });
    }

    async fn carry(&self, stream: TcpStream) {
        let counters = &self.counters;
        match timeout(self.limits.first_byte, first_byte(&stream)).await {
            Ok(Ok(Some(TLS_HANDSHAKE))) => {}
            Ok(Ok(Some(_))) => return count(&counters.not_tls),
            Ok(Ok(None) | Err(_)) | Err(_) => return count(&counters.silent),
        }
        // Signing requests are small and each waits for its answer.
        if stream.set_nodelay(true).is_err() {
            return count(&counters.broken);
        }
        let Ok(enclave) = self.dialer.dial(SERVICE_PORT).await else {
            return count(&counters.unreachable);
        };
        count(
            match relay(stream, enclave, bounds(&self.limits), &counters.traffic).await {
                End::Closed => &counters.closed,
                End::Idle => &counters.idle,
                End::Broken(_) => &counters.broken,
            },
        );
    }
}

/// The bounds of a relay.
#[must_use]
pub fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        buffer_bytes: limits.buffer_kib * 1024,
        idle: limits.idle.max(Duration::from_millis(4)),
    }
}

/// The first byte, which stays in the kernel's buffer; none when the caller closes without one.
async fn first_byte(stream: &TcpStream) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let seen = stream.peek(&mut byte).await?;
    Ok(byte.first().copied().filter(|_| seen > 0))
}

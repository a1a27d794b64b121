//! From the enclave to a list of servers: each route is a vsock port and one `host:port`. Nothing else can be reached.
//!
//! The proxy sees TLS only: the enclave checks whom it talks to. The name is looked up anew (a cache of seconds) for each
//! connection by the system's resolver.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Semaphore;

use crate::config::{Limits, Route};
use crate::https_proxy::bounds;
use crate::journal::Journal;
use crate::metrics::{Kind, Metrics, Number, count};
use crate::relay::{End, Traffic, relay};
use crate::resolve::Resolver;
use crate::transport::{Acceptor, BoxStream, Place, rest_after_failure};

#[derive(Debug)]
struct Counters {
    accepted: Number,
    open: Number,
    full: Number,
    unreachable: Number,
    idle: Number,
    broken: Number,
    closed: Number,
    traffic: Traffic,
}

impl Counters {
    fn new(metrics: &Metrics, route: &str) -> Self {
        let ended = |how| {
            let labels = [("route", route), ("how", how)];
            metrics.with(
                Kind::Counter,
                "parent_vsock_ended_total",
                "Connections that ended, by route and how.",
                &labels,
            )
        };
        let bytes = |direction| {
            let labels = [("route", route), ("direction", direction)];
            metrics.with(
                Kind::Counter,
                "parent_vsock_bytes_total",
                "Bytes carried, by route and direction.",
                &labels,
            )
        };
        let labels = [("route", route)];
        Self {
            accepted: metrics.with(
                Kind::Counter,
                "parent_vsock_accepted_total",
                "Connections accepted, by route.",
                &labels,
            ),
            open: metrics.with(
                Kind::Gauge,
                "parent_vsock_open",
                "Connections that are open, by route.",
                &labels,
            ),
            full: ended("limit"),
            unreachable: ended("server-unreachable"),
            idle: ended("idle"),
            broken: ended("broken"),
            closed: ended("closed"),
            traffic: Traffic {
                to_first: bytes("to-enclave"),
                to_second: bytes("to-server"),
            },
        }
    }
}

/// One way out.
#[derive(Debug)]
pub struct Way {
    route: Route,
    limits: Limits,
    acceptor: Acceptor,
    resolver: Arc<Resolver>,
    places: Arc<Semaphore>,
    counters: Counters,
    journal: Journal,
}

impl Way {
    /// Listens. Must be called within the runtime.
    ///
    /// # Errors
    /// When the port is taken, or there is no vsock.
    pub fn open(
        place: &Place,
        route: &Route,
        limits: Limits,
        resolver: &Arc<Resolver>,
        metrics: &Metrics,
        journal: &Journal,
    ) -> io::Result<Arc<Self>> {
        let name = format!("{}:{}", route.host, route.port);
        let named = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!(
                    "cannot listen on vsock port {} for {name}: {error}",
                    route.vsock_port
                ),
            )
        };
        Ok(Arc::new(Self {
            acceptor: Acceptor::bind(place, route.vsock_port).map_err(named)?,
            route: route.clone(),
            limits,
            resolver: Arc::clone(resolver),
            places: Arc::new(Semaphore::new(limits.connections)),
            counters: Counters::new(metrics, &name),
            journal: journal.clone(),
        }))
    }

    /// Serves for ever.
    pub async fn serve(self: Arc<Self>) {
        loop {
            let Ok(stream) = self.acceptor.accept().await else {
                rest_after_failure().await;
                continue;
            };
            count(&self.counters.accepted);
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                count(&self.counters.full);
                continue;
            };
            let way = Arc::clone(&self);
            tokio::spawn(async move {
                way.counters.open.fetch_add(1, Ordering::Relaxed);
                way.carry(stream).await;
                way.counters.open.fetch_sub(1, Ordering::Relaxed);
                drop(place);
            });
        }
    }

    async fn carry(&self, enclave: BoxStream) {
        let counters = &self.counters;
        let server = match self
            .resolver
            .connect(&self.route.host, self.route.port, self.limits.connect)
            .await
        {
            Ok(server) => server,
            Err(error) => {
                self.journal.warn(
                    "server-unreachable",
                    &[
                        ("host", &self.route.host),
                        ("port", &self.route.port),
                        ("error", &error),
                    ],
                );
                return count(&counters.unreachable);
            }
        };
        count(
            match relay(enclave, server, bounds(&self.limits), &counters.traffic).await {
                End::Closed => &counters.closed,
                End::Idle => &counters.idle,
                End::Broken(_) => &counters.broken,
            },
        );
    }
}

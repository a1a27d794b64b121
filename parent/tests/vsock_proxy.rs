//! The vsock-proxy: bytes to the allow-listed server and nowhere else, limits, unreachable servers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use control::log::Level;
use parent::config::{Limits, Route};
use parent::journal::{Format, Journal};
use parent::metrics::Metrics;
use parent::resolve::Resolver;
use parent::transport::Place;
use parent::vsock_proxy::Way;
use support::{PATIENCE, listener, noise, number, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

#[expect(dead_code, reason = "each test file uses its part")]
mod support;

fn journal() -> Journal {
    Journal::new(
        Format::Text,
        Level::Error,
        Arc::new(|| SystemTime::UNIX_EPOCH),
        Box::new(std::io::sink()),
    )
}

struct Way1 {
    dir: tempfile::TempDir,
    metrics: Metrics,
    name: String,
}

impl Way1 {
    fn open(host: &str, port: u16, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::default();
        let route = Route {
            vsock_port: 8000,
            host: host.to_owned(),
            port,
        };
        let place = Place::Folder(dir.path().to_owned());
        let way = Way::open(
            &place,
            &route,
            limits,
            &Arc::new(Resolver::default()),
            &metrics,
            &journal(),
        )
        .unwrap();
        tokio::spawn(way.serve());
        Self {
            dir,
            metrics,
            name: format!("{host}:{port}"),
        }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.dir.path().join("vsock_8000"))
            .await
            .unwrap()
    }

    fn ended(&self, how: &str) -> u64 {
        number(
            &self.metrics.text(),
            &format!(
                "parent_vsock_ended_total{{route=\"{}\",how=\"{how}\"}}",
                self.name
            ),
        )
    }
}

async fn is_closed(stream: &mut UnixStream) -> bool {
    let mut bytes = [0; 16];
    matches!(
        timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap(),
        Ok(0) | Err(_)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn many_megabytes_pass_to_a_name_of_the_system() {
    let (server, address) = listener().await;
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = server.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.unwrap();
                write.shutdown().await.unwrap();
            });
        }
    });
    // The name may have an IPv6 address first; nobody listens there.
    let way = Way1::open("localhost", address.port(), Limits::default());
    for seed in [1, 2] {
        let sent = noise(16 << 20, seed);
        let expected = sent.clone();
        let (mut read, mut write) = way.connect().await.into_split();
        let writer = tokio::spawn(async move {
            write.write_all(&sent).await.unwrap();
            write.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        timeout(PATIENCE, read.read_to_end(&mut received))
            .await
            .unwrap()
            .unwrap();
        writer.await.unwrap();
        assert!(received == expected, "{} bytes", received.len());
    }
    until("ends are counted", || way.ended("closed") == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_cannot_be_reached_end_the_connection() {
    let (server, address) = listener().await;
    drop(server);
    let quick = Limits {
        connect: Duration::from_secs(2),
        ..Limits::default()
    };
    for host in ["127.0.0.1", "no-such-host.invalid"] {
        let way = Way1::open(host, address.port(), quick);
        let mut stream = way.connect().await;
        assert!(is_closed(&mut stream).await);
        until("it is counted", || way.ended("server-unreachable") == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_closes_what_is_beyond_it() {
    let (server, address) = listener().await;
    let few = Limits {
        connections: 2,
        idle: Duration::from_secs(10),
        ..Limits::default()
    };
    let way = Way1::open("127.0.0.1", address.port(), few);
    // One after the other: two at once could reach the server in either order.
    let (one, first) = (way.connect().await, server.accept().await.unwrap());
    let (_two, _second) = (way.connect().await, server.accept().await.unwrap());
    let mut three = way.connect().await;
    assert!(is_closed(&mut three).await);
    assert_eq!(way.ended("limit"), 1);
    drop((one, first));
    let open = format!("parent_vsock_open{{route=\"{}\"}}", way.name);
    until("a place is free", || number(&way.metrics.text(), &open) == 1).await;
    let _four = way.connect().await;
    timeout(PATIENCE, server.accept()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_ends() {
    let (server, address) = listener().await;
    let quick = Limits {
        idle: Duration::from_millis(200),
        ..Limits::default()
    };
    let way = Way1::open("127.0.0.1", address.port(), quick);
    let mut stream = way.connect().await;
    let accepted = server.accept().await.unwrap();
    assert!(is_closed(&mut stream).await);
    assert_eq!(way.ended("idle"), 1);
    drop(accepted);
}

#[tokio::test]
async fn a_socket_in_use_is_not_taken_and_a_dead_one_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::Folder(dir.path().to_owned());
    let path = dir.path().join("vsock_8000");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a dead socket");
    let first = parent::transport::Acceptor::bind(&place, 8000).unwrap();
    let error = parent::transport::Acceptor::bind(&place, 8000).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    drop(first);
    assert!(!path.exists(), "it is removed at the end");
}

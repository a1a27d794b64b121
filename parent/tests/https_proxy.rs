//! The https-proxy: what passes, what never opens a vsock, limits, half-close, back-pressure, no byte lost.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::time::Duration;

use parent::config::Limits;
use parent::https_proxy::HttpsProxy;
use parent::metrics::Metrics;
use support::{Folder, Handler, PATIENCE, echo, handler, listener, noise, number, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[expect(dead_code, reason = "each test file uses its part")]
mod support;

struct Proxy {
    folder: Folder,
    address: SocketAddr,
    metrics: Metrics,
}

impl Proxy {
    async fn start(limits: Limits, handler: Handler) -> Self {
        let folder = Folder::start(handler);
        let (listener, address) = listener().await;
        let metrics = Metrics::default();
        tokio::spawn(HttpsProxy::new(folder.dialer(), limits, &metrics).serve(listener));
        Self {
            folder,
            address,
            metrics,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn ended(&self, how: &str) -> u64 {
        number(
            &self.metrics.text(),
            &format!("parent_https_ended_total{{how=\"{how}\"}}"),
        )
    }
}

fn limits() -> Limits {
    Limits {
        first_byte: Duration::from_secs(5),
        ..Limits::default()
    }
}

/// The next read sees the end, whether by FIN or RST.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 16];
    matches!(
        timeout(PATIENCE, stream.read(&mut bytes)).await.unwrap(),
        Ok(0) | Err(_)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn many_megabytes_pass_both_ways_at_once() {
    let proxy = Proxy::start(limits(), handler(|_, stream| echo(stream))).await;
    let mut tasks = Vec::new();
    for seed in 0..4 {
        let stream = proxy.connect().await;
        tasks.push(tokio::spawn(async move {
            let mut sent = noise(8 << 20, 1000 + seed);
            sent[0] = 0x16;
            let (mut read, mut write) = stream.into_split();
            let expected = sent.clone();
            let writer = tokio::spawn(async move {
                for piece in sent.chunks(7001) {
                    write.write_all(piece).await.unwrap();
                }
                write.shutdown().await.unwrap();
            });
            let mut received = Vec::new();
            read.read_to_end(&mut received).await.unwrap();
            writer.await.unwrap();
            assert!(
                received == expected,
                "{} of {} bytes",
                received.len(),
                expected.len()
            );
        }));
    }
    for task in tasks {
        timeout(PATIENCE, task).await.unwrap().unwrap();
    }
    until("ends are counted", || proxy.ended("closed") == 4).await;
    let text = proxy.metrics.text();
    assert_eq!(
        number(&text, "parent_https_bytes_total{direction=\"to-enclave\"}"),
        32 << 20
    );
    assert_eq!(
        number(&text, "parent_https_bytes_total{direction=\"to-client\"}"),
        32 << 20
    );
    assert_eq!(proxy.folder.calls(), [5000; 4]);
    until("none is open", || {
        number(&proxy.metrics.text(), "parent_https_open") == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_first_byte_opens_a_vsock() {
    let proxy = Proxy::start(limits(), handler(|_, stream| echo(stream))).await;
    for byte in (0..=u8::MAX).filter(|byte| *byte != 0x16) {
        let mut stream = proxy.connect().await;
        stream.write_all(&[byte, 0x16, 3, 1]).await.unwrap();
        assert!(is_closed(&mut stream).await, "{byte:#04x}");
    }
    for message in ["{\"operation\":\"status\"}", " \u{16}", "GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = proxy.connect().await;
        stream.write_all(message.as_bytes()).await.unwrap();
        assert!(is_closed(&mut stream).await);
    }
    assert_eq!(proxy.folder.calls(), Vec::<u32>::new(), "no vsock was opened");
    assert_eq!(proxy.ended("not-tls"), 255 + 3);
    // And one that is TLS still passes, with its first byte.
    let mut stream = proxy.connect().await;
    stream.write_all(&[0x16]).await.unwrap();
    assert_eq!(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap(), 0x16);
    assert_eq!(proxy.folder.calls(), [5000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_dropped_and_costs_no_vsock() {
    let quick = Limits {
        first_byte: Duration::from_millis(200),
        ..limits()
    };
    let proxy = Proxy::start(quick, handler(|_, stream| echo(stream))).await;
    let mut silent: Vec<TcpStream> = Vec::new();
    for _ in 0..200 {
        silent.push(proxy.connect().await);
    }
    for stream in &mut silent {
        assert!(is_closed(stream).await);
    }
    // Closing at once is the same.
    drop(proxy.connect().await);
    until("silence is counted", || proxy.ended("no-first-byte") == 201).await;
    assert_eq!(proxy.folder.calls(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_close_passes_in_both_directions() {
    // The enclave ends its sending first, and still reads.
    let first = handler(|_, mut stream| async move {
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"\x16later");
    });
    let proxy = Proxy::start(limits(), first).await;
    let mut stream = proxy.connect().await;
    stream.write_all(&[0x16]).await.unwrap();
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(text, "hello");
    stream.write_all(b"later").await.unwrap();
    stream.shutdown().await.unwrap();
    until("both have ended", || proxy.ended("closed") == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_stops_who_sends_and_loses_nothing() {
    let total = 48 << 20;
    let slow = handler(move |_, mut stream| async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        let same = received[1..] == noise(total, 7)[1..];
        stream.write_all(&[u8::from(same)]).await.unwrap();
    });
    let proxy = Proxy::start(limits(), slow).await;
    let mut stream = proxy.connect().await;
    let mut data = noise(total, 7);
    data[0] = 0x16;
    let written = tokio::spawn(async move {
        stream.write_all(&data).await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_u8().await.unwrap()
    });
    tokio::time::sleep(Duration::from_millis(400)).await;
    let moved = number(
        &proxy.metrics.text(),
        "parent_https_bytes_total{direction=\"to-enclave\"}",
    );
    assert!(moved < 4 << 20, "{moved} bytes were taken though nobody read");
    assert_eq!(timeout(PATIENCE, written).await.unwrap().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_and_places_come_back() {
    let few = Limits {
        connections: 3,
        per_source: 2,
        ..limits()
    };
    let proxy = Proxy::start(few, handler(|_, stream| echo(stream))).await;
    let open = |address: SocketAddr| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[0x16]).await.ok();
        let mut byte = [0];
        let read = timeout(PATIENCE, stream.read(&mut byte)).await.unwrap();
        matches!(read, Ok(1)).then_some(stream)
    };
    let (one, two) = (
        open(proxy.address).await.unwrap(),
        open(proxy.address).await.unwrap(),
    );
    assert!(open(proxy.address).await.is_none(), "the third of one source");
    assert_eq!(proxy.ended("source-limit"), 1);
    drop(one);
    until("a place is free", || {
        number(&proxy.metrics.text(), "parent_https_open") == 1
    })
    .await;
    let three = open(proxy.address).await.unwrap();
    drop((two, three));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_stuck_connections_end() {
    let quick = Limits {
        idle: Duration::from_millis(300),
        ..limits()
    };
    // Takes the connection and neither reads nor writes.
    let stuck = handler(|_, stream| async move {
        tokio::time::sleep(PATIENCE).await;
        drop(stream);
    });
    let proxy = Proxy::start(quick, stuck).await;
    let mut idle = proxy.connect().await;
    idle.write_all(&[0x16]).await.unwrap();
    assert!(is_closed(&mut idle).await);
    // Sending into a full pipe is no movement.
    let mut pushing = proxy.connect().await;
    pushing.write_all(&[0x16]).await.unwrap();
    let pushed = timeout(PATIENCE, pushing.write_all(&noise(64 << 20, 3)))
        .await
        .unwrap();
    pushed.unwrap_err();
    until("both are counted", || proxy.ended("idle") == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_side_ends_the_other() {
    let proxy = Proxy::start(
        limits(),
        handler(|_, mut stream| async move {
            stream.read_u8().await.unwrap();
            // Gone with unread bytes in its buffer: the kernel resets.
        }),
    )
    .await;
    let mut stream = proxy.connect().await;
    stream.write_all(&noise(1 << 20, 0x16)).await.ok();
    let mut stream = proxy.connect().await;
    stream.write_all(&[0x16]).await.unwrap();
    stream.write_all(&noise(1 << 20, 5)).await.ok();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_that_is_gone_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let place = parent::transport::Place::Folder(folder.path().to_owned());
    let (listener, address) = listener().await;
    let metrics = Metrics::default();
    let dialer = parent::transport::Dialer::new(place, Duration::from_secs(1));
    tokio::spawn(HttpsProxy::new(dialer, limits(), &metrics).serve(listener));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&[0x16]).await.unwrap();
    assert!(is_closed(&mut stream).await);
    let name = "parent_https_ended_total{how=\"enclave-unreachable\"}";
    until("it is counted", || number(&metrics.text(), name) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_are_bounded() {
    // An enclave that never answers CONNECT: the calls pile up in the dialer, not in the vsock.
    let dir = tempfile::tempdir().unwrap();
    let listener_ = tokio::net::UnixListener::bind(dir.path().join("vsock.sock")).unwrap();
    let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = std::sync::Arc::clone(&taken);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(listener_.accept().await.unwrap().0);
            seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let dialer = parent::transport::Dialer::new(
        parent::transport::Place::Folder(dir.path().to_owned()),
        Duration::from_millis(700),
    );
    let (listener, address) = listener().await;
    let metrics = Metrics::default();
    tokio::spawn(HttpsProxy::new(dialer, limits(), &metrics).serve(listener));
    let mut streams = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[0x16]).await.unwrap();
        streams.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(
        taken.load(std::sync::atomic::Ordering::Relaxed),
        parent::transport::MAX_CALLS
    );
    for stream in &mut streams {
        assert!(is_closed(stream).await);
    }
}

//! A stand-in enclave behind Unix sockets: takes `CONNECT` calls, answers control messages, carries bytes. Not part of any product.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may"
)]

pub(crate) mod agent;
pub(crate) mod aws;
pub(crate) mod world;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use control::Surface;
use control::request::Request;
use parent::transport::{Dialer, Place};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// Nothing in a test takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What becomes of a call.
pub(crate) type Handler =
    Arc<dyn Fn(u32, UnixStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The folder of sockets, and the calls that came.
pub(crate) struct Folder {
    dir: TempDir,
    pub(crate) calls: Arc<Mutex<Vec<u32>>>,
}

impl Folder {
    pub(crate) fn start(handler: Handler) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("vsock.sock")).unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                tokio::spawn(async move {
                    let mut line = Vec::new();
                    while line.last() != Some(&b'\n') {
                        let Ok(byte) = stream.read_u8().await else { return };
                        line.push(byte);
                    }
                    let text = String::from_utf8(line).unwrap();
                    let port = text.strip_prefix("CONNECT ").unwrap().trim_end().parse().unwrap();
                    seen.lock().unwrap().push(port);
                    stream.write_all(b"OK 1\n").await.unwrap();
                    handler(port, stream).await;
                });
            }
        });
        Self { dir, calls }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn place(&self) -> Place {
        Place::Folder(self.dir.path().to_owned())
    }

    pub(crate) fn dialer(&self) -> Dialer {
        Dialer::new(self.place(), Duration::from_secs(5))
    }

    pub(crate) fn calls(&self) -> Vec<u32> {
        self.calls.lock().unwrap().clone()
    }
}

/// A handler from an async function.
pub(crate) fn handler<F, R>(work: F) -> Handler
where
    F: Fn(u32, UnixStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    Arc::new(move |port, stream| Box::pin(work(port, stream)))
}

/// Sends back what comes, then its own end.
pub(crate) async fn echo(mut stream: UnixStream) {
    let (mut read, mut write) = stream.split();
    tokio::io::copy(&mut read, &mut write).await.ok();
    write.shutdown().await.ok();
}

/// Reads one control message, however it is cut.
pub(crate) async fn message(stream: &mut UnixStream, surface: Surface) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = vec![0; 64 * 1024];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        bytes.extend(&piece[..count]);
        if let Ok(request) = Request::parse(&bytes, surface) {
            return Some(request);
        }
    }
}

pub(crate) async fn answer(stream: &mut UnixStream, status: u16, body: Value) {
    let text = json!({ "body": body, "status": status }).to_string();
    stream.write_all(text.as_bytes()).await.ok();
    stream.shutdown().await.ok();
}

/// A status as an agent gives it.
pub(crate) fn status(phase: &str, signer: &str, keys: u64) -> Value {
    json!({
        "boot": [], "debug": false, "entropy_source": "nsm-hwrng", "module_id": "i-0-enc0", "pcrs": { "0": "ab".repeat(48) },
        "stage": "running", "uptime_ms": 4200, "version": "0.1.0", "phase": phase, "keys": keys,
        "signer": { "state": signer, "restarts": 0 },
    })
}

/// One HTTP/1.1 request, connection closed after it. The answer's status line and body.
pub(crate) async fn http(address: SocketAddr, request: &str) -> (u16, String) {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok();
        text
    };
    let text = tokio::time::timeout(PATIENCE, asked).await.unwrap();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

pub(crate) async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A number of the Prometheus text.
pub(crate) fn number(text: &str, name: &str) -> u64 {
    let line = text
        .lines()
        .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.and_then(|line| line.rsplit(' ').next())
        .unwrap()
        .parse()
        .unwrap()
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Bytes without a pattern that a lost or doubled piece could hide in.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = Vec::with_capacity(bytes);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend(state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

/// Writes a file of a test.
pub(crate) fn write(path: PathBuf, content: impl AsRef<[u8]>) -> PathBuf {
    std::fs::write(&path, content).unwrap();
    path
}

//! A small HTTP server before moto. It adds to `DescribeTable` what moto leaves out (`TableId`), loses answers on demand, and
//! remembers which hosts it was called by. With a certificate it speaks TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::support::service;

/// What the front does, and what it saw.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Added to `DescribeTable`; nothing if `None`.
    pub(crate) table_id: Mutex<Option<String>>,
    /// How many answers to `UpdateItem` are still to be lost after moto has done the work.
    pub(crate) lose: AtomicUsize,
    /// Operations by name, in order.
    pub(crate) seen: Mutex<Vec<String>>,
    /// The `Host` headers and access key ids of the requests, without repetition in a row.
    pub(crate) callers: Mutex<Vec<(String, String)>>,
}

impl State {
    fn note_caller(&self, caller: (String, String)) {
        let mut callers = self.callers.lock().unwrap();
        if callers.last() != Some(&caller) {
            callers.push(caller);
        }
    }
}

/// A running front; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) state: Arc<State>,
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Front {
    pub(crate) async fn start(table_id: Option<&str>, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            table_id: Mutex::new(table_id.map(str::to_owned)),
            ..State::default()
        });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                match tls.clone() {
                    None => tokio::spawn(serve(socket, state)),
                    Some(tls) => tokio::spawn(async move {
                        if let Ok(socket) = TlsAcceptor::from(tls).accept(socket).await {
                            serve(socket, state).await;
                        }
                    }),
                };
            }
        });
        Self { state, address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(socket: S, state: Arc<State>) {
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { answer(request, &state).await }
    });
    // A lost answer is an error of the service: the connection is closed without a word.
    let _closed = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

async fn answer(request: Request<Incoming>, state: &State) -> Result<Response<Full<Bytes>>, &'static str> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| {
        let value = parts
            .headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned());
        value.unwrap_or_default()
    };
    let operation = header("x-amz-target")
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .to_owned();
    state.seen.lock().unwrap().push(operation.clone());
    let credential = header("authorization");
    let access_key = credential
        .split("Credential=")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let caller = (header("host"), access_key.unwrap_or_default().to_owned());
    state.note_caller(caller);
    let body = body.collect().await.unwrap().to_bytes();
    let (mut parts, mut body) = forward(Request::from_parts(parts, Full::new(body))).await;
    let table_id = state.table_id.lock().unwrap().clone();
    if let ("DescribeTable", Some(id)) = (operation.as_str(), table_id) {
        let mut json: Value = serde_json::from_slice(&body).unwrap();
        if let Some(table) = json.get_mut("Table") {
            table["TableId"] = Value::String(id);
        }
        body = Bytes::from(json.to_string());
    }
    let lost = operation == "UpdateItem"
        && state
            .lose
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
    if lost {
        return Err("lost");
    }
    for name in ["content-length", "x-amz-crc32", "connection"] {
        parts.headers.remove(name);
    }
    Ok(Response::from_parts(parts, Full::new(body)))
}

/// Asks moto, one request at a time. DynamoDB evaluates a condition and writes in one step; moto takes two and no lock, and
/// then gives a slot to two signers. Signers that read in one request and write in another would still be caught.
pub(crate) async fn forward(request: Request<Full<Bytes>>) -> (http::response::Parts, Bytes) {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ONE.lock().await;
    let moto = service("NITRO_TEST_DYNAMODB").into_string().unwrap();
    let socket = TcpStream::connect(moto.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    driver.abort();
    (parts, body)
}

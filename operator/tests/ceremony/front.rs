//! A small HTTP server before moto: says `TableId`, throttles, leaves half of a batch over, stalls, and keeps what it heard.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::support::TABLE_ID;

/// What the front does to `BatchWriteItem`, and what it heard. The counters count down to 0.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Refuse so many for throughput.
    pub(crate) throttle: AtomicUsize,
    /// Do only half of so many.
    pub(crate) leave_over: AtomicUsize,
    /// Do nothing of any of them.
    pub(crate) full: AtomicBool,
    /// After so many, write something else over the first item, as another ceremony would.
    pub(crate) overwrite: AtomicUsize,
    /// After so many (less one), do the work and never answer.
    pub(crate) stall: AtomicUsize,
    /// Whether one is stalled now.
    pub(crate) stalled: AtomicUsize,
    /// Operations by name, in order.
    pub(crate) seen: Mutex<Vec<String>>,
    /// Bodies of requests to DynamoDB.
    pub(crate) bodies: Mutex<Vec<u8>>,
}

fn counts(counter: &AtomicUsize) -> bool {
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

/// A running front.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) state: Arc<State>,
    address: SocketAddr,
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

impl Front {
    pub(crate) fn start() -> Self {
        let listener = runtime().block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        runtime().spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let state = Arc::clone(&state);
                        async move { answer(request, &state).await }
                    });
                    // A stalled answer ends with its client.
                    let _ended = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self { state, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often an operation was asked for.
    pub(crate) fn asked(&self, operation: &str) -> usize {
        self.state
            .seen
            .lock()
            .unwrap()
            .iter()
            .filter(|seen| *seen == operation)
            .count()
    }
}

async fn answer(request: Request<Incoming>, state: &State) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (mut parts, body) = request.into_parts();
    // The body may become another.
    parts.headers.remove("content-length");
    let target = parts
        .headers
        .get("x-amz-target")
        .map(|value| value.to_str().unwrap().to_owned());
    let target = target.unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    let mut body = body.collect().await?.to_bytes();
    state.seen.lock().unwrap().push(operation.clone());
    if target.starts_with("DynamoDB") {
        state.bodies.lock().unwrap().extend_from_slice(&body);
    }
    let mut left_over = None;
    let mut stalls = false;
    if operation == "BatchWriteItem" {
        if counts(&state.throttle) {
            return Ok(throttled());
        }
        if state.full.load(Ordering::SeqCst) {
            let request: Value = serde_json::from_slice(&body).unwrap();
            let all = json!({ "UnprocessedItems": request["RequestItems"] });
            return Ok(Response::new(Full::new(Bytes::from(all.to_string()))));
        }
        if counts(&state.leave_over) {
            let (now, later) = halves(&body);
            (body, left_over) = (now, Some(later));
        }
        stalls = counts(&state.stall) && state.stall.load(Ordering::SeqCst) == 0;
    }
    let mine = Request::from_parts(parts.clone(), Full::new(body.clone()));
    let other = (operation == "BatchWriteItem" && counts(&state.overwrite)).then(|| others(&body));
    let (mut answered, mut body) = forward(mine).await;
    if let Some(other) = other {
        forward(Request::from_parts(parts, Full::new(other))).await;
    }
    if stalls {
        state.stalled.store(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_mins(2)).await;
    }
    if operation == "DescribeTable" {
        let mut json: Value = serde_json::from_slice(&body).unwrap();
        if let Some(table) = json.get_mut("Table") {
            table["TableId"] = Value::String(TABLE_ID.to_owned());
        }
        body = Bytes::from(json.to_string());
    }
    if let Some(later) = left_over {
        body = Bytes::from(json!({ "UnprocessedItems": later }).to_string());
    }
    for name in ["content-length", "x-amz-crc32", "connection"] {
        answered.headers.remove(name);
    }
    Ok(Response::from_parts(answered, Full::new(body)))
}

fn throttled() -> Response<Full<Bytes>> {
    let kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException";
    let body = json!({ "__type": kind, "message": "slower" }).to_string();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// The first item of a batch with another ciphertext.
fn others(body: &Bytes) -> Bytes {
    let mut request: Value = serde_json::from_slice(body).unwrap();
    let tables = request["RequestItems"].as_object_mut().unwrap();
    let items = tables.values_mut().next().unwrap().as_array_mut().unwrap();
    items.truncate(1);
    items[0]["PutRequest"]["Item"]["encrypted_key_password_mnemonic_b64"] = json!({"S": "QUJD"});
    Bytes::from(request.to_string())
}

/// The part of a batch that is written, and the items that come back unprocessed.
fn halves(body: &Bytes) -> (Bytes, Value) {
    let mut request: Value = serde_json::from_slice(body).unwrap();
    let tables = request["RequestItems"].as_object_mut().unwrap();
    let (name, items) = tables.iter_mut().next().unwrap();
    let items = items.as_array_mut().unwrap();
    let later = items.split_off(items.len().div_ceil(2));
    let later = json!({ name: later });
    (Bytes::from(request.to_string()), later)
}

/// Asks moto, one request at a time: it takes two steps for what DynamoDB does in one.
pub(crate) async fn forward(request: Request<Full<Bytes>>) -> (hyper::http::response::Parts, Bytes) {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _alone = ONE.lock().await;
    let moto = crate::support::moto();
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

//! A small HTTP/1.1 server for health, metrics and attestation: few connections, short requests, short deadlines.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::limits::Places;
use crate::transport::rest_after_failure;

/// Longest head of a request, bytes.
const MAX_HEAD_BYTES: usize = 8192;
/// How long a connection may live. A load balancer asks anew each time.
const LIFE: Duration = Duration::from_secs(30);
/// How long the head of a request may take.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// An answer.
pub type Answer = Response<Full<Bytes>>;

/// An answer of this status, type and text.
#[must_use]
pub fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// JSON.
pub const JSON: &str = "application/json";
/// Prometheus text.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Listens. Must be called within the runtime.
///
/// # Errors
/// When the address is taken or not this machine's.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"));
    TcpListener::bind(address).await.map_err(named)
}

/// Serves for ever. Callers beyond `places` are closed at once.
pub async fn serve<F, R>(listener: TcpListener, places: Places, respond: F)
where
    F: Fn(Request<Incoming>, IpAddr) -> R + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    let respond = Arc::new(respond);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            rest_after_failure().await;
            continue;
        };
        let Ok(place) = places.take(peer.ip()) else {
            continue;
        };
        let respond = Arc::clone(&respond);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = respond(request, peer.ip());
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(MAX_HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            // A caller that breaks off is its own loss.
            drop(tokio::time::timeout(LIFE, connection).await);
            drop(place);
        });
    }
}

/// Serves the numbers of this program at `/metrics`.
pub async fn serve_metrics(listener: TcpListener, metrics: crate::metrics::Metrics) {
    let respond = move |request: Request<Incoming>, _| {
        let metrics = metrics.clone();
        async move {
            if request.uri().path() == "/metrics" {
                answer(StatusCode::OK, PROMETHEUS, metrics.text())
            } else {
                answer(StatusCode::NOT_FOUND, TEXT, "only /metrics is here\n")
            }
        }
    };
    serve(listener, Places::new(16, 16), respond).await;
}

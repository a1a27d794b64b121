//! One HTTP/1.1 connection over TLS, kept alive: connect, handshake, request, bounded answer, each with a time limit.
//!
//! How bytes reach the proxy is the caller's [`Connect`] (vsock in the product); whom they reach is decided by TLS: the
//! certificate must be valid for the endpoint's name under the given roots, or nothing is sent.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::reply::MAX_REPLY_BYTES;

/// A connected byte stream.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection in the making.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// A way to the KMS endpoint, usually through the parent's proxy.
pub trait Connect: Send + Sync {
    /// Connects once. The caller limits the time.
    fn connect(&self) -> Connecting<'_>;
}

/// Time limits of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// To connect to the proxy.
    pub connect: Duration,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From sending a request to the last byte of its answer.
    pub request: Duration,
}

impl Times {
    /// 3 s as the C tool has for connecting; 10 s for TLS, which includes the proxy's own connecting; 15 s for an answer.
    pub const DEFAULT: Self = Self {
        connect: Duration::from_secs(3),
        handshake: Duration::from_secs(10),
        request: Duration::from_secs(15),
    };

    /// No limit longer than `left`.
    pub(crate) fn within(self, left: Duration) -> Self {
        Self {
            connect: self.connect.min(left),
            handshake: self.handshake.min(left),
            request: self.request.min(left),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The proxy cannot be reached.
    #[error("cannot connect to the KMS proxy: {0}")]
    Connect(io::ErrorKind),
    /// A step took too long.
    #[error("{step} took longer than {limit:?}")]
    Timeout {
        /// Which step.
        step: &'static str,
        /// Its limit.
        limit: Duration,
    },
    /// The peer is not the endpoint, or does not speak TLS as it must.
    #[error("TLS: {0}")]
    Tls(#[source] rustls::Error),
    /// The connection ended or failed.
    #[error("the connection broke while {0}")]
    Broken(&'static str),
    /// Nothing was tried: see [`crate::outage`].
    #[error("not tried: there has been no network for {} s", .0.as_secs())]
    Lost(Duration),
    /// Not HTTP.
    #[error("the answer is not HTTP/1.1")]
    NotHttp,
    /// A longer body than any answer has.
    #[error("the answer is longer than {MAX_REPLY_BYTES} bytes")]
    TooLong,
}

/// An answer with its whole body.
pub(crate) type Answer = http::Response<Bytes>;

/// A connection that can carry one request after another.
#[derive(Debug)]
pub(crate) struct Session {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Session {
    /// Connects and shakes hands. Nothing about the caller was sent but the endpoint's name.
    pub(crate) async fn open(
        connect: &dyn Connect,
        tls: Arc<ClientConfig>,
        host: ServerName<'static>,
        times: Times,
    ) -> Result<Self, TransportError> {
        let stream = limited("connecting", times.connect, connect.connect()).await?;
        let stream = stream.map_err(|error| TransportError::Connect(error.kind()))?;
        let handshake = TlsConnector::from(tls).connect(host, stream);
        let stream = limited("the TLS handshake", times.handshake, handshake).await?;
        let stream = stream.map_err(|error| from_cause(&error, "shaking hands"))?;
        let (sender, connection) = http1::Builder::new()
            .max_headers(64)
            .max_buf_size(MAX_REPLY_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| from_http(&error))?;
        // How the connection ends is seen by the request that is on it.
        let driver = tokio::spawn(async move { connection.await.unwrap_or_default() });
        Ok(Self { sender, driver })
    }

    /// Whether another request may be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and reads its answer, whatever the status.
    pub(crate) async fn send(
        &mut self,
        request: http::Request<Full<Bytes>>,
        times: Times,
    ) -> Result<Answer, TransportError> {
        let exchange = async {
            self.sender.ready().await.map_err(|error| from_http(&error))?;
            let answer = self
                .sender
                .send_request(request)
                .await
                .map_err(|error| from_http(&error))?;
            let (head, body) = answer.into_parts();
            if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > MAX_REPLY_BYTES) {
                return Err(TransportError::TooLong);
            }
            let body = Limited::new(body, MAX_REPLY_BYTES)
                .collect()
                .await
                .map_err(|error| {
                    if error.is::<LengthLimitError>() {
                        return TransportError::TooLong;
                    }
                    error
                        .downcast_ref()
                        .map_or(TransportError::Broken("reading the answer"), from_http)
                })?;
            Ok(Answer::from_parts(head, body.to_bytes()))
        };
        limited("the request", times.request, exchange).await?
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn limited<T>(
    step: &'static str,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Result<T, TransportError> {
    timeout(limit, future)
        .await
        .map_err(|_| TransportError::Timeout { step, limit })
}

fn from_http(error: &hyper::Error) -> TransportError {
    if error.is_parse() {
        TransportError::NotHttp
    } else {
        from_cause(error, "waiting for the answer")
    }
}

/// Looks for a TLS error at the bottom of a chain of causes.
fn from_cause(error: &(dyn StdError + 'static), during: &'static str) -> TransportError {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return TransportError::Tls(tls.clone());
        }
        // An I/O error shows its inner error's cause, not the inner error itself.
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => cause.source(),
        };
    }
    TransportError::Broken(during)
}

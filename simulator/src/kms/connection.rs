//! One connection: TLS, then HTTP/1.1 requests until either side has enough.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::pki::Identity;
use super::service::{Delivery, Kms, Reply};
use super::sigv4::Signed;

/// For the whole TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// For the head of a request, also of the next one on a connection that is kept.
const HEAD: Duration = Duration::from_mins(1);
/// For the body of a request.
const BODY: Duration = Duration::from_secs(30);
/// Longest body. An attestation document may have 262144 bytes, a third more in base64.
const MAX_BODY: usize = 1 << 20;
/// Bytes of a connection that hyper keeps at a time, and so the limit of a head.
const MAX_HEAD: usize = 64 * 1024;

/// What a connection runs over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// Serves a connection to its end.
pub(crate) async fn serve(stream: impl Stream, kms: Arc<Kms>, identity: Identity) {
    kms.count(|counts| counts.connections += 1);
    let stream = match timeout(HANDSHAKE, TlsAcceptor::from(identity.0).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        failed => {
            let cleartext = matches!(&failed, Ok(Err(error)) if is_no_tls(error));
            kms.count(|counts| {
                counts.tls_failures += 1;
                counts.cleartext_connections += u64::from(cleartext);
            });
            return;
        }
    };
    kms.count(|counts| counts.tls_sessions += 1);
    let service = service_fn(|request| respond(request, Arc::clone(&kms)));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // A connection that breaks is the client's matter, or a fault on request.
    drop(served);
}

/// Whether the first bytes were no TLS record.
fn is_no_tls(error: &io::Error) -> bool {
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidMessage(_)))
}

async fn respond(request: Request<Incoming>, kms: Arc<Kms>) -> Result<Response<Cut>, Ended> {
    let (head, body) = request.into_parts();
    let body = match timeout(BODY, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        // Too long, too slow or broken off: nothing can be answered that would be read in order.
        Ok(Err(_)) | Err(_) => return Err(Ended),
    };
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let target = head.uri.to_string();
    // Key generation takes its time; other connections must not wait for it.
    let answered = tokio::task::spawn_blocking(move || {
        let request = Signed {
            method: head.method.as_str(),
            headers: &headers,
            body: &body,
        };
        kms.answer(&request, &target)
    });
    let reply = answered.await.map_err(|_| Ended)?;
    tokio::time::sleep(reply.delay).await;
    response(reply)
}

fn response(reply: Reply) -> Result<Response<Cut>, Ended> {
    if reply.delivery == Delivery::Never {
        return Err(Ended);
    }
    let length = reply.body.len();
    let mut data = Bytes::from(reply.body);
    let cut = reply.delivery == Delivery::Half;
    if cut {
        data.truncate(length / 2);
    }
    Response::builder()
        .status(reply.status)
        .header("x-amzn-requestid", reply.request_id)
        .header("content-type", reply.content_type)
        .header("content-length", length)
        .header("date", reply.date)
        .body(Cut {
            data: Some(data),
            broken_off: cut,
            length: u64::try_from(length).unwrap_or(u64::MAX),
        })
        .map_err(|_| Ended)
}

/// The connection ends here.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without an answer")]
struct Ended;

/// A body in one piece, and perhaps an end before its end.
struct Cut {
    data: Option<Bytes>,
    broken_off: bool,
    /// What `content-length` says.
    length: u64,
}

impl Body for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None if self.broken_off => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.broken_off
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

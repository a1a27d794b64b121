//! Answers: status, content type, body. Nothing else goes out.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;

/// An answer with its whole body.
pub type Answer = Response<Full<Bytes>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

fn answer(status: StatusCode, kind: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

/// A text.
#[must_use]
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    answer(status, TEXT, body)
}

/// A value as JSON.
#[must_use]
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Answer {
    match serde_json::to_vec(body) {
        Ok(bytes) => answer(status, JSON, bytes),
        // Texts, numbers and lists of them cannot fail to be written.
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written"),
    }
}

/// Only a status.
#[must_use]
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

#[derive(Serialize)]
struct Failure<'a> {
    code: u16,
    message: &'a str,
}

/// `{"code":N,"message":"…"}`: what release 26.9.0 answers. Clients look at the status; people read the message.
#[must_use]
pub fn failure(status: StatusCode, message: &str) -> Answer {
    let body = Failure {
        code: status.as_u16(),
        message,
    };
    answer(status, JSON, serde_json::to_vec(&body).unwrap_or_default())
}

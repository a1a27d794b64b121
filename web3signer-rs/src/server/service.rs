//! One request: CORS, host check, body, endpoint. In this order, as upstream.

use std::sync::Arc;
use std::time::Instant;

use http::header::HOST;
use http::{Method, Request, StatusCode, Version};
use hyper::body::{Body as _, Bytes, Incoming};
use serde::Serialize;

use super::body::{Bodies, BodyFault};
use super::cors::{self, Verdict};
use super::respond::{Answer, empty, failure, json};
use super::router::{Endpoint, Route};
use super::{endpoints, keymanager};
use crate::app::App;
use crate::config::HostList;
use crate::tls::certificate::ClientName;

/// Who sends requests on a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Address of the other end, for the log.
    pub address: std::net::SocketAddr,
    /// The client that its certificate names.
    pub client: Option<Arc<ClientName>>,
}

#[derive(Serialize)]
struct NotAuthorized {
    message: &'static str,
}

/// Whether the names that a request gives for this server are allowed. `None`: it gives none although it must.
fn host_is_allowed<B>(request: &Request<B>, hosts: &HostList) -> Option<bool> {
    let mut values = request.headers().get_all(HOST).iter();
    let (host, more) = (values.next(), values.next());
    if more.is_some() {
        return None;
    }
    let Some(host) = host else {
        return if request.version() == Version::HTTP_11 {
            None
        } else {
            Some(false)
        };
    };
    let in_header = host.to_str().is_ok_and(|host| hosts.allows(host));
    let in_target = request
        .uri()
        .authority()
        .is_none_or(|authority| hosts.allows(authority.as_str()));
    Some(in_header && in_target)
}

/// Refuses what a wrong Host header makes of a request.
#[must_use]
pub fn check_host<B>(request: &Request<B>, hosts: &HostList) -> Option<Answer> {
    match host_is_allowed(request, hosts) {
        Some(true) => None,
        Some(false) => Some(json(
            StatusCode::FORBIDDEN,
            &NotAuthorized {
                message: "Host not authorized.",
            },
        )),
        None => Some(failure(StatusCode::BAD_REQUEST, "a request has one Host header")),
    }
}

/// Answers a request.
pub async fn serve(app: &Arc<App>, bodies: &Bodies, peer: &Peer, request: Request<Incoming>) -> Answer {
    let started = Instant::now();
    let line = app
        .access_log
        .then(|| format!("{} {}", request.method(), request.uri()));
    let answer = cross_origin(app, bodies, peer, request).await;
    if let Some(line) = line {
        let client = peer
            .client
            .as_ref()
            .map_or("-", |client| client.common_name.as_str());
        let bytes = hyper::body::Body::size_hint(answer.body()).exact().unwrap_or(0);
        app.log.info(format_args!(
            "access {} {client} \"{line}\" {} {bytes} {}us",
            peer.address,
            answer.status().as_u16(),
            started.elapsed().as_micros()
        ));
    }
    answer
}

async fn cross_origin(app: &Arc<App>, bodies: &Bodies, peer: &Peer, request: Request<Incoming>) -> Answer {
    match cors::judge(&app.origins, request.method(), request.headers()) {
        Verdict::NoOrigin => host_checked(app, bodies, peer, request).await,
        Verdict::Refused => failure(StatusCode::FORBIDDEN, "CORS Rejected - Invalid origin"),
        Verdict::Preflight(origin) => {
            let mut answer = empty(StatusCode::NO_CONTENT);
            cors::mark_preflight(answer.headers_mut(), &origin);
            answer
        }
        Verdict::Allowed(origin) => {
            let mut answer = host_checked(app, bodies, peer, request).await;
            cors::mark(answer.headers_mut(), &origin);
            answer
        }
    }
}

async fn host_checked(app: &Arc<App>, bodies: &Bodies, peer: &Peer, request: Request<Incoming>) -> Answer {
    if let Some(refusal) = check_host(&request, &app.hosts) {
        return refusal;
    }
    let (head, body) = request.into_parts();
    let received = if body.is_end_stream() {
        None
    } else {
        match bodies.receive(body).await {
            Ok(received) => Some(received),
            Err(BodyFault::TooLarge) => {
                return failure(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 10 MiB");
            }
            Err(BodyFault::TooSlow) => {
                return failure(StatusCode::REQUEST_TIMEOUT, "the body did not come in time");
            }
            Err(BodyFault::Broken) => return failure(StatusCode::BAD_REQUEST, "the body is broken"),
        }
    };
    let body = received
        .as_ref()
        .map_or_else(Bytes::new, |received| received.bytes.clone());
    match app.switches.route(&head.method, head.uri.path()) {
        Route::Unknown => failure(StatusCode::NOT_FOUND, "there is no such path"),
        Route::OtherMethod => failure(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods"),
        Route::To(endpoint, identifier) => dispatch(app, peer, endpoint, identifier, &head, &body).await,
    }
}

async fn dispatch(
    app: &Arc<App>,
    peer: &Peer,
    endpoint: Endpoint,
    identifier: &str,
    head: &http::request::Parts,
    body: &[u8],
) -> Answer {
    let allowed = || app.allowed(peer.client.as_deref());
    match endpoint {
        Endpoint::Upcheck => endpoints::upcheck(&head.headers),
        Endpoint::Healthcheck => endpoints::healthcheck(app),
        Endpoint::PublicKeys => endpoints::public_keys(app, &allowed(), &head.headers),
        Endpoint::Sign => endpoints::sign(app, &allowed(), identifier, &head.headers, body).await,
        Endpoint::Reload => endpoints::reload(app),
        Endpoint::ReloadStatus => endpoints::reload_status(app),
        Endpoint::HighWatermark => endpoints::high_watermark(app).await,
        Endpoint::ExtensionSign => endpoints::extension_sign(app, &allowed(), identifier, body).await,
        Endpoint::ListKeystores => keymanager::list(app, &allowed()),
        Endpoint::ImportKeystores => keymanager::import(app, body).await,
        Endpoint::DeleteKeystores => keymanager::delete(app, &allowed(), body).await,
    }
}

/// Whether a request is for the page of metrics.
#[must_use]
pub fn is_metrics<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && request.uri().path() == "/metrics"
}

//! The metrics port: one page, a host check, nothing else.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::listen::next;
use super::respond::{Answer, failure};
use super::service::{check_host, is_metrics};
use super::stream::Patient;
use crate::config;
use crate::metrics::process::Process;
use crate::metrics::{Metrics, render};

/// Scrapers that are served at one time.
const CONNECTIONS: usize = 32;

/// Silence after which a scraper's connection ends.
const IDLE: Duration = Duration::from_secs(30);

/// Serves the page until the server stops.
pub async fn run(
    listener: TcpListener,
    config: config::Metrics,
    metrics: Arc<Metrics>,
    release: &'static str,
    mut stop: watch::Receiver<bool>,
) {
    let config = Arc::new(config);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let (socket, _) = tokio::select! {
            accepted = next(&listener) => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (config, metrics) = (Arc::clone(&config), Arc::clone(&metrics));
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = page(&config, &metrics, release, &request);
                async move { Ok::<Answer, Infallible>(answer) }
            });
            let io = TokioIo::new(Patient::new(socket, IDLE));
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
            if builder.serve_connection(io, service).await.is_err() {
                // A scraper that goes away needs no line.
            }
            drop(place);
        });
    }
}

fn page<B>(config: &config::Metrics, metrics: &Metrics, release: &str, request: &Request<B>) -> Answer {
    if let Some(refusal) = check_host(request, &config.hosts) {
        return refusal;
    }
    if !is_metrics(request) {
        return failure(StatusCode::NOT_FOUND, "there is only GET /metrics");
    }
    let text = render(metrics, &Process::read(), &config.categories, release);
    let mut answer = Response::new(Full::new(text.into()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

//! One connection, from its first byte to its last: handshake, requests, end.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::body::Bodies;
use super::respond::Answer;
use super::service::{Peer, serve};
use super::stream::Patient;
use crate::app::App;
use crate::clock::Clock;
use crate::tls::certificate::ClientName;
use crate::tls::server::TlsServer;

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Most bytes of a request's line and headers.
const HEAD_LIMIT: usize = 64 << 10;

/// Most headers of a request.
const HEADERS: usize = 100;

/// What every connection needs.
#[derive(Debug)]
pub struct Shared {
    /// The application.
    pub app: Arc<App>,
    /// Places for bodies.
    pub bodies: Bodies,
    /// Silence after which a connection ends.
    pub idle: Duration,
    /// The time, for certificates of client CAs.
    pub clock: Arc<dyn Clock>,
    /// Becomes `true` when the server stops.
    pub stop: watch::Receiver<bool>,
}

/// What rustls says of a failed handshake; of a client that is not welcome, why.
fn reason(error: &std::io::Error) -> String {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(why))) => why.0.to_string(),
        _ => error.to_string(),
    }
}

impl Shared {
    /// Takes a client's handshake. `None`: it is not welcome, or not in time; the log says which.
    pub async fn handshake(
        &self,
        socket: TcpStream,
        tls: &TlsServer,
        address: std::net::SocketAddr,
    ) -> Option<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
        match tokio::time::timeout(HANDSHAKE, acceptor.accept(socket)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                self.app.log.info(format_args!(
                    "TLS handshake with {address} failed: {}",
                    reason(&error)
                ));
                None
            }
            Err(_) => {
                self.app
                    .log
                    .info(format_args!("TLS handshake with {address} took too long"));
                None
            }
        }
    }

    /// Serves a TLS connection until it ends, the server stops, or a reload takes the client off the list.
    pub async fn serve_tls(
        &self,
        stream: TlsStream<TcpStream>,
        address: std::net::SocketAddr,
        mut tls: watch::Receiver<TlsServer>,
    ) {
        let chain: Vec<CertificateDer<'static>> = stream
            .get_ref()
            .1
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|c| c.clone().into_owned())
            .collect();
        let client = chain
            .first()
            .and_then(|certificate| ClientName::of(certificate).ok())
            .map(Arc::new);
        let peer = Peer { address, client };
        let unwelcome = async {
            while self.is_welcome(&tls.borrow_and_update().clone(), &chain) {
                if tls.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            self.app.log.info(format_args!(
                "connection of {address} ends: the client is not welcome any more"
            ));
        };
        self.serve(stream, peer, unwelcome).await;
    }

    /// Serves a plain connection.
    pub async fn serve_plain(&self, stream: TcpStream, address: std::net::SocketAddr) {
        let peer = Peer {
            address,
            client: None,
        };
        self.serve(stream, peer, std::future::pending()).await;
    }

    fn is_welcome(&self, tls: &TlsServer, chain: &[CertificateDer<'static>]) -> bool {
        let Some(verifier) = &tls.verifier else {
            return true;
        };
        let now = UnixTime::since_unix_epoch(Duration::from_millis(self.clock.now()));
        match chain.split_first() {
            Some((certificate, intermediates)) => verifier.welcome(certificate, intermediates, now).is_ok(),
            None => false,
        }
    }

    async fn serve<S>(&self, stream: S, peer: Peer, unwelcome: impl Future<Output = ()>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let service = service_fn(|request| {
            let peer = &peer;
            async move { Ok::<Answer, Infallible>(serve(&self.app, &self.bodies, peer, request).await) }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle)
            .max_buf_size(HEAD_LIMIT)
            .max_headers(HEADERS)
            .half_close(false);
        let io = TokioIo::new(Patient::new(stream, self.idle));
        let mut connection = pin!(builder.serve_connection(io, service));
        let mut stop = self.stop.clone();
        let mut unwelcome = pin!(unwelcome);
        tokio::select! {
            ended = connection.as_mut() => return self.ended(&peer, ended),
            _ = stop.wait_for(|stop| *stop) => {}
            () = unwelcome.as_mut() => {}
        }
        // The request in flight is answered, then the connection closes.
        connection.as_mut().graceful_shutdown();
        let ended = connection.await;
        self.ended(&peer, ended);
    }

    fn ended(&self, peer: &Peer, ended: Result<(), hyper::Error>) {
        if let Err(error) = ended {
            self.app
                .log
                .debug(format_args!("connection of {} ended: {error}", peer.address));
        }
    }
}

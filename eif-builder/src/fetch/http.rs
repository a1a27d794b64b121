//! HTTP GET with limits: the one place that opens connections to the network.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::http::{Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// How connections are made. `main` fills it from the environment.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    /// A PEM file of trusted certificate authorities, instead of the built-in Mozilla set.
    pub ca_bundle: Option<PathBuf>,
    /// Proxy for `http://` URLs. It must grant tunnels (`CONNECT`) to their port too.
    pub http_proxy: Option<String>,
    /// Proxy for `https://` URLs.
    pub https_proxy: Option<String>,
    /// Hosts, parted by commas, that are reached without a proxy.
    pub no_proxy: Option<String>,
    /// How long to wait for a connection, and for each piece of an answer.
    pub timeouts: Timeouts,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, name look-up and TLS included.
    pub connect: Duration,
    /// For the answer's header, and for each read of its body. The whole body may take as long as it likes.
    pub read: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            read: Duration::from_secs(30),
        }
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The certificate bundle cannot be read.
    #[error("cannot read the certificate bundle {}", path.display())]
    CaBundle {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The certificate bundle has no certificate.
    #[error("the certificate bundle {} has no certificate in PEM form", .0.display())]
    NoCertificate(PathBuf),
    /// A proxy setting that is no proxy.
    #[error("cannot use the proxy setting")]
    Proxy(#[source] Box<ureq::Error>),
    /// The server refused.
    #[error("the server answered {0}")]
    Status(u16),
    /// The server sent another part of the file than asked for.
    #[error("the server sent the wrong part of the file")]
    Range,
    /// The answer is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    /// The connection could not be made or broke.
    #[error("{0}")]
    Connection(Box<ureq::Error>),
    /// The body broke off.
    #[error("reading failed: {0}")]
    Body(std::io::Error),
}

impl HttpError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status(code) => matches!(code, 408 | 429 | 500..=599),
            Self::Connection(error) => !matches!(
                **error,
                ureq::Error::BadUri(_)
                    | ureq::Error::InvalidProxyUrl
                    | ureq::Error::TooManyRedirects
                    | ureq::Error::Http(_)
            ),
            Self::Body(_) => true,
            _ => false,
        }
    }
}

/// An HTTP client. Cheap to share between threads.
#[derive(Debug)]
pub struct Http {
    plain: Agent,
    tls: Agent,
}

/// The answer to a GET, its body not yet read.
pub struct Answer {
    /// The position in the file at which the body begins.
    pub from: u64,
    /// The number of bytes of the body, when the server says.
    pub length: Option<u64>,
    /// The body.
    pub body: Box<dyn Read>,
}

impl Http {
    /// A client.
    ///
    /// # Errors
    /// [`HttpError::CaBundle`], [`HttpError::Proxy`].
    pub fn new(options: &HttpOptions) -> Result<Self, HttpError> {
        let roots = options
            .ca_bundle
            .clone()
            .map_or(Ok(RootCerts::WebPki), read_roots)?;
        let agent = |proxy: Option<&str>| -> Result<Agent, HttpError> {
            let proxy = proxy
                .map(|url| proxy_for(url, options.no_proxy.as_deref()))
                .transpose()?;
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .user_agent("eif-builder")
                .max_redirects(5)
                .proxy(proxy)
                .timeout_connect(Some(options.timeouts.connect))
                .timeout_recv_response(Some(options.timeouts.read))
                .timeout_per_read(Some(options.timeouts.read))
                .tls_config(tls(&roots))
                .build();
            Ok(Agent::new_with_config(config))
        };
        Ok(Self {
            plain: agent(options.http_proxy.as_deref())?,
            tls: agent(options.https_proxy.as_deref())?,
        })
    }

    /// Asks for the file at `url`, from byte `from` on. A server that cannot resume sends it from the start.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn get(&self, url: &str, from: u64) -> Result<Answer, HttpError> {
        let agent = if url.starts_with("https://") {
            &self.tls
        } else {
            &self.plain
        };
        let mut request = agent.get(url);
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        let response = request.call().map_err(|e| HttpError::Connection(Box::new(e)))?;
        let from = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if from > 0 && range_start(&response) == Some(from) => from,
            StatusCode::PARTIAL_CONTENT => return Err(HttpError::Range),
            other => return Err(HttpError::Status(other.as_u16())),
        };
        let length = response.body().content_length();
        let body = response.into_body().into_with_config().limit(u64::MAX).reader();
        Ok(Answer {
            from,
            length,
            body: Box::new(body),
        })
    }

    /// The whole file at `url`, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn get_bytes(&self, url: &str, limit: u64) -> Result<Vec<u8>, HttpError> {
        let answer = self.get(url, 0)?;
        if answer.length.is_some_and(|length| length > limit) {
            return Err(HttpError::TooLarge(limit));
        }
        let mut bytes = Vec::new();
        answer
            .body
            .take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(HttpError::Body)?;
        if bytes.len() as u64 > limit {
            return Err(HttpError::TooLarge(limit));
        }
        Ok(bytes)
    }
}

impl core::fmt::Debug for Answer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Answer")
            .field("from", &self.from)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// The first number of `Content-Range: bytes 5-9/10`.
fn range_start<B>(response: &Response<B>) -> Option<u64> {
    let value = response.headers().get("content-range")?.to_str().ok()?;
    value
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .trim()
        .parse()
        .ok()
}

fn tls(roots: &RootCerts) -> TlsConfig {
    // Named, so that nothing depends on which provider some other crate switched on.
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    TlsConfig::builder()
        .root_certs(roots.clone())
        .unversioned_rustls_crypto_provider(provider)
        .build()
}

fn proxy_for(url: &str, no_proxy: Option<&str>) -> Result<ureq::Proxy, HttpError> {
    let refuse = |e| HttpError::Proxy(Box::new(e));
    let parsed = ureq::Proxy::new(url).map_err(refuse)?;
    let Some(no_proxy) = no_proxy else {
        return Ok(parsed);
    };
    let mut builder = ureq::Proxy::builder(parsed.protocol())
        .host(parsed.host())
        .port(parsed.port());
    if let Some(username) = parsed.username() {
        builder = builder.username(username);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for host in no_proxy.split(',').map(str::trim).filter(|h| !h.is_empty()) {
        builder = builder.no_proxy(host);
    }
    builder.build().map_err(refuse)
}

fn read_roots(path: PathBuf) -> Result<RootCerts, HttpError> {
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(source) => return Err(HttpError::CaBundle { path, source }),
    };
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let certificates: Vec<_> = parse_pem(&bytes).filter_map(certificate).collect();
    if certificates.is_empty() {
        return Err(HttpError::NoCertificate(path));
    }
    Ok(RootCerts::from(certificates))
}

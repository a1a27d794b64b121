//! The KMS client: one recipient, one set of credentials, up to a given number of kept-alive TLS sessions.
//!
//! A request goes: document (fresh or reused), signature, session (reused or new), answer, checks, envelope. What failed
//! in passing is tried again within [`Policy`]. Nothing here reads a clock, an environment or a file.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::header::{CONTENT_TYPE, DATE, HOST, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use nsm::{NsmError, RecipientNsm};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep};

use crate::clock::{Clock, Correction, Jitter, Offset};
use crate::credentials::Credentials;
use crate::endpoint::Endpoint;
use crate::envelope::{Envelope, EnvelopeError};
use crate::ops::{Decrypt, Decrypted, Operation};
use crate::outage::{Leave, Outage};
use crate::recipient::Recipient;
use crate::reply::{Reply, ReplyError};
use crate::retry::{Cause, Policy};
use crate::service_error::{Class, RawError, ServiceError};
use crate::sign::{SignError, Unsigned, sign};
use crate::transport::{Answer, Connect, Session, Times, TransportError};
use crate::unwrap_key::UnwrapError;

/// Most TLS sessions of one client.
pub const MAX_SESSIONS: usize = 16;

const CONTENT: &str = "application/x-amz-json-1.1";
const AGENT: &str = concat!("nitro-web3signer-kmstool/", env!("CARGO_PKG_VERSION"));
const TARGET: &str = "x-amz-target";
const ERROR_TYPE: &str = "x-amzn-errortype";
const REQUEST_ID: &str = "x-amzn-requestid";

/// Why a request gave nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The security module gave no document.
    #[error("cannot attest the recipient key")]
    Nsm(#[from] NsmError),
    /// No RSA key.
    #[error("cannot make the recipient key")]
    Key(#[from] UnwrapError),
    /// The request could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No answer.
    #[error("cannot talk to KMS")]
    Transport(#[from] TransportError),
    /// KMS refused or failed.
    #[error("KMS refused the request")]
    Service(#[source] Box<ServiceError>),
    /// KMS refused the request's stamp.
    #[error("KMS refused the request's time: this clock is {offset}")]
    ClockSkew {
        /// From this clock to KMS's.
        offset: Offset,
        /// What KMS said.
        #[source]
        error: Box<ServiceError>,
    },
    /// KMS's answer is not what was asked for.
    #[error("cannot use the answer of KMS")]
    Reply(#[from] ReplyError),
    /// The envelope in the answer cannot be opened.
    #[error("cannot open the envelope in the answer of KMS")]
    Envelope(#[from] EnvelopeError),
    /// The endpoint's name is no DNS name.
    #[error("the endpoint {0} is not a DNS name")]
    Endpoint(Endpoint),
}

impl ClientError {
    /// What kind of failure it is.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Nsm(_) | Self::Key(_) => Class::Nsm,
            Self::Sign(_) => Class::Credentials,
            Self::Transport(error) => match error {
                TransportError::Connect(_)
                | TransportError::Timeout { .. }
                | TransportError::Broken(_)
                | TransportError::Lost(_) => Class::Network,
                TransportError::Tls(_) => Class::Tls,
                TransportError::NotHttp | TransportError::TooLong => Class::Malformed,
            },
            Self::Service(error) => error.class(),
            Self::ClockSkew { .. } => Class::ClockSkew,
            Self::Reply(_) | Self::Envelope(_) => Class::Malformed,
            Self::Endpoint(_) => Class::Usage,
        }
    }

    /// What KMS itself said, if it did.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceError> {
        match self {
            Self::Service(error) | Self::ClockSkew { error, .. } => Some(&**error),
            _ => None,
        }
    }
}

/// What a client is made from, by value.
#[derive(Debug)]
pub struct Settings {
    /// Whom to talk to.
    pub endpoint: Endpoint,
    /// Who asks.
    pub credentials: Credentials,
    /// What to trust; see [`crate::tls`].
    pub tls: Arc<ClientConfig>,
    /// Most requests, and TLS sessions, at once; at least 1, at most [`MAX_SESSIONS`] count.
    pub sessions: usize,
    /// When to try again.
    pub policy: Policy,
    /// Time limits of one attempt.
    pub times: Times,
}

/// What a client needs of the world around it.
#[expect(missing_debug_implementations, reason = "trait objects have nothing to show")]
pub struct World {
    /// The way to the proxy.
    pub connect: Arc<dyn Connect>,
    /// The security module.
    pub nsm: Box<dyn RecipientNsm + Send>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub jitter: Arc<dyn Jitter>,
}

/// A client of KMS in one region.
pub struct Client {
    settings: Settings,
    host: ServerName<'static>,
    connect: Arc<dyn Connect>,
    clock: Arc<dyn Clock>,
    jitter: Arc<dyn Jitter>,
    recipient: Recipient,
    correction: Mutex<Correction>,
    /// Sessions that no request is on.
    idle: Mutex<Vec<Session>>,
    gate: Semaphore,
    outage: Mutex<Outage>,
}

impl Client {
    /// Makes the recipient key; connects to nothing.
    ///
    /// # Errors
    /// [`ClientError::Key`], [`ClientError::Endpoint`].
    pub fn new(settings: Settings, world: World) -> Result<Self, ClientError> {
        let host = ServerName::try_from(settings.endpoint.host().to_owned())
            .map_err(|_| ClientError::Endpoint(settings.endpoint.clone()))?;
        let sessions = settings.sessions.clamp(1, MAX_SESSIONS);
        Ok(Self {
            host,
            connect: world.connect,
            clock: world.clock,
            jitter: world.jitter,
            recipient: Recipient::new(world.nsm)?,
            correction: Mutex::default(),
            idle: Mutex::default(),
            gate: Semaphore::new(sessions),
            outage: Mutex::default(),
            settings,
        })
    }

    /// Runs one operation, trying again as [`Policy`] allows.
    ///
    /// # Errors
    /// [`ClientError`], of the last attempt.
    pub async fn call<O: Operation>(&self, operation: &O) -> Result<O::Answer, ClientError> {
        // The semaphore is never closed; without a permit the request would only run beside others.
        let _permit = self.gate.acquire().await.ok();
        let started = Instant::now();
        let leave = self.outage.lock().await.leave(&self.settings.policy, started);
        if let Leave::Refused(since) = leave {
            return Err(TransportError::Lost(since).into());
        }
        let mut made = 0;
        loop {
            made += 1;
            let used = self.correction.lock().await.offset();
            let left = self.settings.policy.deadline.saturating_sub(started.elapsed());
            let error = match self.attempt(operation, used, left).await {
                Ok(answer) => {
                    self.outage.lock().await.over();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let network = error.class() == Class::Network;
            let (cause, error) = self.judge(error, used).await;
            let mut outage = self.outage.lock().await;
            let hopeless = network && outage.is_on();
            let elapsed = started.elapsed();
            let wait = self.settings.policy.wait(cause, made, elapsed, &*self.jitter);
            let Some(wait) = wait.filter(|_| !hopeless) else {
                if network {
                    outage.lost(Instant::now());
                } else {
                    outage.over();
                }
                return Err(error);
            };
            drop(outage);
            sleep(wait).await;
        }
    }

    /// Decrypts many, each on its own; answers in the order of the requests.
    pub async fn decrypt_batch(&self, requests: &[Decrypt]) -> Vec<Result<Decrypted, ClientError>> {
        let calls = stream::iter(requests).map(|request| self.call(request));
        calls.buffered(self.sessions()).collect().await
    }

    /// How many requests run at once.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.settings.sessions.clamp(1, MAX_SESSIONS)
    }

    async fn attempt<O: Operation>(
        &self,
        operation: &O,
        used: Offset,
        left: Duration,
    ) -> Result<O::Answer, ClientError> {
        let document = self.recipient.document(self.clock.now()).await?;
        let request = self.request(O::NAME, operation.body(&document), used)?;
        let answer = self.exchange(request, self.settings.times.within(left)).await?;
        if answer.status() != StatusCode::OK {
            return Err(ClientError::Service(Box::new(self.refusal(&answer))));
        }
        let reply = Reply::parse(answer.body())?;
        operation.check(&reply)?;
        let plaintext = Envelope::parse(reply.envelope())?.open(self.recipient.key())?;
        Ok(operation.answer(reply, plaintext)?)
    }

    fn request(
        &self,
        operation: &str,
        body: Vec<u8>,
        used: Offset,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let host = self.settings.endpoint.host();
        let target = format!("TrentService.{operation}");
        let headers = [
            (CONTENT_TYPE.as_str(), CONTENT),
            (HOST.as_str(), host),
            (TARGET, &target),
        ];
        let uri = format!("https://{host}/");
        let unsigned = Unsigned {
            method: Method::POST.as_str(),
            uri: &uri,
            headers: &headers,
            body: &body,
        };
        let now = used.apply(self.clock.now());
        let region = self.settings.endpoint.region().as_str();
        let added = sign(&unsigned, &self.settings.credentials, region, "kms", now)?;
        let mut request = Request::post("/").header(USER_AGENT, AGENT);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in added {
            request = request.header(name, value);
        }
        request
            .body(Full::from(body))
            .map_err(|_| ClientError::Sign(SignError))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, times: Times) -> Result<Answer, TransportError> {
        let idle = self.idle.lock().await.pop().filter(Session::is_open);
        let mut session = if let Some(session) = idle {
            session
        } else {
            let tls = Arc::clone(&self.settings.tls);
            Session::open(&*self.connect, tls, self.host.clone(), times).await?
        };
        let answer = session.send(request, times).await?;
        self.idle.lock().await.push(session);
        Ok(answer)
    }

    fn refusal(&self, answer: &Answer) -> ServiceError {
        let header = |name| text(answer.headers(), name);
        let mut error = ServiceError::read(&RawError {
            status: answer.status().as_u16(),
            type_header: header(ERROR_TYPE),
            request_id: header(REQUEST_ID),
            date: header(DATE.as_str()),
            body: answer.body(),
        });
        let credentials = &self.settings.credentials;
        error.redact(credentials.secret_access_key());
        error.redact(credentials.session_token().unwrap_or_default());
        error
    }

    /// Whether trying again can help; learns KMS's time from a refusal that is about time.
    async fn judge(&self, error: ClientError, used: Offset) -> (Cause, ClientError) {
        let cause = match error.class() {
            Class::Throttled => Cause::Throttled,
            Class::Network | Class::Unavailable => Cause::Passing,
            _ => Cause::Lasting,
        };
        match error {
            ClientError::Service(refusal) if refusal.class() == Class::ClockSkew => {
                let Some(theirs) = refusal.server_time else {
                    return (cause, ClientError::Service(refusal));
                };
                let offset = Offset::between(self.clock.now(), theirs);
                let again = self.correction.lock().await.learn(used, offset);
                let cause = if again { Cause::Restamped } else { Cause::Lasting };
                (
                    cause,
                    ClientError::ClockSkew {
                        offset,
                        error: refusal,
                    },
                )
            }
            error => (cause, error),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.settings)
            .field("recipient", &self.recipient)
            .finish_non_exhaustive()
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

//! Does what the machine says, and tells it what came of it.

use std::time::Duration;

use abi::vsock::SERVICE_PORT;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::answer::{Changed, Configured, InitState, Refreshed, codes};
use control::config::{ClientAuthentication, DeploymentConfig};
use control::request::Request;
use control::status::Status;
use tokio::sync::watch;
use tokio::time::Instant;

use super::machine::{Action, Event, Phase, Policy, State, step};
use super::message::messages;
use crate::config::{Service, Times, Watchdog};
use crate::control::{AskError, ask};
use crate::enclave::Enclave;
use crate::health::ready;
use crate::imds::{Imds, ImdsError, Temporary};
use crate::journal::{Journal, chain};
use crate::metrics::{Kind, Metrics, Number, count, set};
use crate::notify::{self, Notify};
use crate::service::{Client, ServiceError};
use crate::tables::{self, Artefacts, TablesError};
use crate::transport::Dialer;

/// Time for a short question to the agent.
const ASK_TIME: Duration = Duration::from_secs(15);
/// Pause between two questions to an agent that is booting.
const BOOT_LOOK: Duration = Duration::from_millis(200);
/// Pause before something that is not urgent is tried again.
const SOME_TIME: Duration = Duration::from_mins(1);
/// Failed items that are written out.
const MAX_SHOWN_ITEMS: usize = 20;

/// Everything that the watchdog works with.
#[derive(Debug)]
pub struct Driver {
    config: Watchdog,
    deployment: Option<DeploymentConfig>,
    service: Service,
    dialer: Dialer,
    imds: Imds,
    journal: Journal,
    notify: Notify,
    /// How often systemd wants to hear that we live.
    alive: Duration,
    numbers: Numbers,
    /// From the last `init`.
    known: Known,
}

#[derive(Debug, Default)]
struct Known {
    credentials: Option<Temporary>,
    /// When they were last tried to be replaced.
    refreshed: Option<Instant>,
    /// The agent does not know `refresh_credentials`.
    no_refresh: bool,
    client: Option<Client>,
    /// `add_keys` that are still to be sent.
    pending: Vec<Request>,
    good_since: Option<Instant>,
    was_ready: bool,
}

#[derive(Debug)]
struct Numbers {
    metrics: Metrics,
    starts: Number,
    init_failures: Number,
    probe_failures: Number,
    serving: Number,
    keys: Number,
}

/// Why artefacts could not be given.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("no credentials")]
    Imds(#[from] ImdsError),
    #[error(transparent)]
    Tables(#[from] TablesError),
    #[error("the enclave did not take the artefacts")]
    Ask(#[from] AskError),
    #[error("there is nothing to send")]
    Nothing,
}

impl Numbers {
    fn new(metrics: &Metrics) -> Self {
        let counter = |name, help| metrics.add(Kind::Counter, name, help);
        let gauge = |name, help| metrics.add(Kind::Gauge, name, help);
        Self {
            starts: counter("parent_enclave_starts_total", "Enclaves started."),
            init_failures: counter("parent_init_failures_total", "Attempts of init that failed."),
            probe_failures: counter(
                "parent_probe_failures_total",
                "Looks at the service that were not good.",
            ),
            serving: gauge("parent_serving", "1 when the last look at the service was good."),
            keys: gauge(
                "parent_signer_keys",
                "Validator keys that the enclave says it has.",
            ),
            metrics: metrics.clone(),
        }
    }

    fn phase(&self, phase: Phase) {
        let name = name(phase);
        for other in [
            "idle",
            "finding",
            "starting",
            "booting",
            "configuring",
            "initialising",
            "serving",
            "ending",
            "resting",
            "done",
        ] {
            let help = "1 for the phase that the watchdog is in.";
            let number = self
                .metrics
                .with(Kind::Gauge, "parent_watchdog_phase", help, &[("phase", other)]);
            set(&number, u64::from(other == name));
        }
    }
}

const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle => "idle",
        Phase::Finding => "finding",
        Phase::Starting => "starting",
        Phase::Booting => "booting",
        Phase::Configuring => "configuring",
        Phase::Initialising => "initialising",
        Phase::Serving => "serving",
        Phase::Ending => "ending",
        Phase::Resting { .. } => "resting",
        Phase::Done => "done",
    }
}

impl Driver {
    /// Nothing is done yet.
    ///
    /// # Errors
    /// [`ImdsError::Endpoint`].
    #[expect(clippy::too_many_arguments, reason = "each is one thing of the world")]
    pub fn new(
        config: Watchdog,
        deployment: Option<DeploymentConfig>,
        service: Service,
        dialer: Dialer,
        journal: Journal,
        metrics: &Metrics,
        notify: Notify,
        alive: Option<Duration>,
    ) -> Result<Self, ImdsError> {
        let imds = Imds::new(&config.imds_endpoint)?;
        let alive = alive.unwrap_or(SOME_TIME);
        let numbers = Numbers::new(metrics);
        Ok(Self {
            config,
            deployment,
            service,
            dialer,
            imds,
            journal,
            notify,
            alive,
            numbers,
            known: Known::default(),
        })
    }

    /// Works until `stop` becomes true and all is ended.
    pub async fn run(mut self, mut enclave: Enclave, mut stop: watch::Receiver<bool>) {
        let times = self.config.times;
        let policy = Policy {
            can_configure: self.deployment.is_some(),
            probes: times.probes,
            first_rest: times.first_pause,
            longest_rest: times.longest_pause,
            keep: self.config.keep_enclave,
        };
        let (mut state, mut event) = (State::IDLE, Event::Begin);
        loop {
            let (next, action) = step(&policy, state, event);
            if next.phase != state.phase {
                self.tell(next);
            }
            state = next;
            if action == Action::Finish {
                return;
            }
            event = Box::pin(self.act(action, &mut enclave, &mut stop, state.stopping)).await;
        }
    }

    fn tell(&self, state: State) {
        let name = name(state.phase);
        self.journal
            .info("phase", &[("phase", &name), ("failures", &state.failures)]);
        self.numbers.phase(state.phase);
        self.notify.tell(notify::State::Text(name));
        if state.stopping {
            self.notify.tell(notify::State::Stopping);
        }
    }

    /// Does one thing; what the enclave's own tool does is never broken off.
    async fn act(
        &mut self,
        action: Action,
        enclave: &mut Enclave,
        stop: &mut watch::Receiver<bool>,
        stopping: bool,
    ) -> Event {
        match action {
            Action::Find | Action::Start | Action::End => {
                let patience = self.config.times.stop;
                let journal = self.journal.clone();
                let work = on_enclave(action, enclave, patience, &journal);
                let event = alive(&self.notify, self.alive, work).await;
                if event == Event::Started {
                    count(&self.numbers.starts);
                    self.known = Known {
                        was_ready: self.known.was_ready,
                        ..Known::default()
                    };
                }
                // What was asked for meanwhile comes first, unless it is being done.
                if *stop.borrow() && !stopping && event != Event::Stopped {
                    Event::Stop
                } else {
                    event
                }
            }
            action => {
                let (notify, interval) = (std::mem::take(&mut self.notify), self.alive);
                let event = tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop), if !stopping => Event::Stop,
                    () = enclave.ended() => {
                        self.journal.error("enclave-ended", &[]);
                        Event::Ended
                    }
                    event = alive(&notify, interval, self.work(action, &notify)) => event,
                };
                self.notify = notify;
                event
            }
        }
    }

    async fn work(&mut self, action: Action, notify: &Notify) -> Event {
        match action {
            Action::Rest(time) => {
                tokio::time::sleep(time).await;
                Event::Rested
            }
            Action::AwaitStatus => self.await_status().await,
            Action::Configure => self.configure().await,
            Action::Init => match self.init().await {
                Ok(()) => Event::Initialised,
                Err(error) => {
                    count(&self.numbers.init_failures);
                    self.say_refusal("init-failed", &error);
                    Event::Failed
                }
            },
            Action::Probe { now } => {
                if !now {
                    tokio::time::sleep(self.config.times.probe).await;
                }
                self.probe(notify).await
            }
            // The machine never says these here; waiting for the next event is right for both.
            Action::Nothing | Action::Find | Action::Start | Action::End | Action::Finish => {
                std::future::pending().await
            }
        }
    }

    async fn await_status(&self) -> Event {
        let begin = Instant::now();
        let mut last = String::new();
        while begin.elapsed() < self.config.times.boot {
            match ask::<Status>(&self.dialer, &Request::Status, ASK_TIME).await {
                Ok(status) => {
                    let took = begin.elapsed().as_millis();
                    self.journal.info(
                        "enclave-answers",
                        &[
                            ("took_ms", &took),
                            ("stage", &status.stage),
                            ("module_id", &status.module_id),
                            ("version", &status.version),
                            ("debug", &status.debug),
                        ],
                    );
                    if status.debug {
                        self.journal.warn(
                            "enclave-in-debug-mode",
                            &[("meaning", &"PCRs are zero and KMS will refuse")],
                        );
                    }
                    return Event::Answered(status.phase);
                }
                Err(error) => last = chain(&error),
            }
            tokio::time::sleep(BOOT_LOOK).await;
        }
        self.journal.error(
            "enclave-silent",
            &[("waited_s", &self.config.times.boot.as_secs()), ("last", &last)],
        );
        Event::Failed
    }

    async fn configure(&self) -> Event {
        let Some(config) = self.deployment.clone() else {
            return Event::Failed;
        };
        let request = Request::Configure {
            config: Box::new(config),
        };
        match ask::<Configured>(&self.dialer, &request, ASK_TIME).await {
            Ok(done) => {
                self.journal.info(
                    "configured",
                    &[("config_sha384", &done.config_sha384), ("pcr16", &done.pcr16)],
                );
                Event::Configured
            }
            Err(error) => {
                self.journal
                    .error("configure-failed", &[("error", &chain(&error))]);
                Event::Failed
            }
        }
    }

    async fn init(&mut self) -> Result<(), InitError> {
        let begin = Instant::now();
        let credentials = self.imds.credentials().await?;
        let artefacts = tables::read(&self.config.tables, &credentials).await?;
        let read_ms = begin.elapsed().as_millis();
        let (keys, inactive) = (artefacts.keys.len(), artefacts.inactive);
        self.journal.info(
            "artefacts-read",
            &[("keys", &keys), ("inactive", &inactive), ("took_ms", &read_ms)],
        );
        let mut messages =
            messages(&artefacts, &credentials.credential, self.config.tables.legacy).into_iter();
        let init = messages.next().ok_or(InitError::Nothing)?;
        let begin = Instant::now();
        let Times { init: patience, .. } = self.config.times;
        match ask::<InitState>(&self.dialer, &init, patience).await {
            Err(error)
                if error
                    .refusal()
                    .is_some_and(|refusal| refusal.code() == codes::INITIALISED) =>
            {
                self.journal.warn(
                    "already-initialised",
                    &[("meaning", &"an earlier init was done after all")],
                );
            }
            answered => {
                answered?;
                self.journal
                    .info("initialised", &[("took_ms", &begin.elapsed().as_millis())]);
            }
        }
        self.known = Known {
            credentials: Some(credentials),
            refreshed: Some(Instant::now()),
            no_refresh: false,
            client: self.client(&artefacts),
            pending: messages.collect(),
            good_since: None,
            was_ready: self.known.was_ready,
        };
        Ok(())
    }

    /// What looks at the service over TLS: only where it would be let in.
    fn client(&self, artefacts: &Artefacts) -> Option<Client> {
        let any = self
            .deployment
            .as_ref()
            .is_some_and(|d| d.fields().client_authentication == ClientAuthentication::AnyClient);
        if self.service.client_certificate.is_none() && !any {
            return None;
        }
        let pem = artefacts
            .tls
            .certificate_b64
            .as_ref()
            .and_then(|text| STANDARD.decode(text).ok());
        match Client::new(&self.service, pem.as_deref()) {
            Ok(client) => Some(client),
            Err(error) => {
                self.journal.warn("tls-not-probed", &[("error", &chain(&error))]);
                None
            }
        }
    }

    async fn probe(&mut self, notify: &Notify) -> Event {
        match self.look().await {
            Ok(()) => {
                let since = *self.known.good_since.get_or_insert_with(Instant::now);
                if set_to(&self.numbers.serving, 1) {
                    self.journal.info("serving", &[]);
                }
                if !std::mem::replace(&mut self.known.was_ready, true) {
                    notify.tell(notify::State::Ready);
                }
                self.send_pending().await;
                self.refresh().await;
                Event::Good {
                    settled: since.elapsed() >= self.config.times.settled,
                }
            }
            Err(reason) => {
                count(&self.numbers.probe_failures);
                set(&self.numbers.serving, 0);
                self.known.good_since = None;
                self.journal.warn("not-serving", &[("reason", &reason)]);
                Event::Bad
            }
        }
    }

    async fn look(&self) -> Result<(), String> {
        let status: Status = ask(&self.dialer, &Request::Status, ASK_TIME)
            .await
            .map_err(|error| chain(&error))?;
        set(&self.numbers.keys, status.keys.unwrap_or(0));
        ready(&status)?;
        let Some(client) = &self.known.client else {
            return Ok(());
        };
        let stream = self
            .dialer
            .dial(SERVICE_PORT)
            .await
            .map_err(|error| format!("no connection to the signer: {error}"))?;
        client
            .upcheck(stream)
            .await
            .map_err(|error: ServiceError| chain(&error))
    }

    /// Sends keys that did not fit into `init`. What fails is tried again; the other keys are served meanwhile.
    async fn send_pending(&mut self) {
        if self.known.pending.is_empty() || self.known.refreshed.is_some_and(|at| at.elapsed() > SOME_TIME) {
            return;
        }
        let pending = std::mem::take(&mut self.known.pending);
        for request in pending {
            match ask::<Changed>(&self.dialer, &request, self.config.times.init).await {
                Ok(changed) => self.journal.info("keys-added", &[("keys", &changed.keys)]),
                Err(error) => {
                    self.say_refusal("add-keys-failed", &InitError::Ask(error));
                    self.known.pending.push(request);
                }
            }
        }
    }

    /// Gives the agent new credentials before the old ones expire.
    async fn refresh(&mut self) {
        let due = self
            .known
            .credentials
            .as_ref()
            .is_some_and(|held| self.journal.now() >= held.refresh_at());
        let tried = self.known.refreshed.is_some_and(|at| at.elapsed() < SOME_TIME);
        if !due || tried || self.known.no_refresh {
            return;
        }
        self.known.refreshed = Some(Instant::now());
        let credentials = match self.imds.credentials().await {
            Ok(credentials) => credentials,
            Err(error) => return self.journal.warn("refresh-failed", &[("error", &chain(&error))]),
        };
        let request = Request::RefreshCredentials {
            credential: credentials.credential.clone(),
        };
        match ask::<Refreshed>(&self.dialer, &request, ASK_TIME).await {
            Ok(_) => {
                self.journal.info("credentials-refreshed", &[]);
                self.known.credentials = Some(credentials);
            }
            Err(error) => {
                self.known.no_refresh = error
                    .refusal()
                    .is_some_and(|refusal| refusal.code() == "unknown-operation");
                self.journal.warn("refresh-failed", &[("error", &chain(&error))]);
            }
        }
    }

    fn say_refusal(&self, event: &str, error: &InitError) {
        self.journal.error(event, &[("error", &chain(error))]);
        let InitError::Ask(ask) = error else { return };
        let Some(refusal) = ask.refusal() else { return };
        for item in refusal.items.iter().take(MAX_SHOWN_ITEMS) {
            let code = serde_json::to_value(item.code).ok();
            let code = code.as_ref().and_then(|code| code.as_str()).unwrap_or("other");
            let pubkey = item.pubkey.as_ref().map_or("-", |key| key.as_str());
            self.journal.error(
                "item-failed",
                &[
                    ("kind", &item.kind.name()),
                    ("index", &item.index),
                    ("pubkey", &pubkey),
                    ("code", &code),
                ],
            );
        }
    }
}

/// Sets the number; says whether it was another.
fn set_to(number: &Number, value: u64) -> bool {
    number.swap(value, std::sync::atomic::Ordering::Relaxed) != value
}

async fn on_enclave(action: Action, enclave: &mut Enclave, patience: Duration, journal: &Journal) -> Event {
    let (done, good) = match action {
        Action::Find => (enclave.find().await.map(Event::Found), "find-failed"),
        Action::Start => (enclave.start().await.map(|()| Event::Started), "start-failed"),
        _ => (
            enclave.stop(patience).await.map(|()| Event::Stopped),
            "stop-failed",
        ),
    };
    done.unwrap_or_else(|error| {
        journal.error(good, &[("error", &chain(&error))]);
        if action == Action::End {
            Event::Stopped
        } else {
            Event::Failed
        }
    })
}

/// Tells systemd that we live while the work goes on.
async fn alive<T>(notify: &Notify, interval: Duration, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(interval) => notify.tell(notify::State::Alive),
        }
    }
}

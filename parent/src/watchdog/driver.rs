//! Does what the machine says, and tells it what came of it.

mod give;
mod renew;

use std::time::Duration;

use abi::vsock::SERVICE_PORT;
use control::answer::Configured;
use control::config::DeploymentConfig;
use control::request::Request;
use control::status::Status;
use tokio::sync::watch;
use tokio::time::Instant;

use super::machine::{Action, Event, Phase, Policy, State, step};
use super::message::Given;
use super::numbers::{Numbers, name, set_to};
use crate::ask::ask;
use crate::config::{Service, Watchdog};
use crate::enclave::Enclave;
use crate::health::ready;
use crate::imds::{Imds, ImdsError, Temporary};
use crate::journal::{Journal, chain};
use crate::metrics::{Metrics, count, set};
use crate::notify::{self, Notify};
use crate::service::{Client, ServiceError};
use crate::transport::Dialer;

/// Time for a short question to the agent.
const ASK_TIME: Duration = Duration::from_secs(15);
/// Pause between two questions to an agent that is booting.
const BOOT_LOOK: Duration = Duration::from_millis(200);
/// Pause before something that is not urgent is tried again.
const SOME_TIME: Duration = Duration::from_mins(1);

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
    /// How often the tables were to be read again.
    reload: watch::Receiver<u64>,
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
    /// When they were last tried.
    added: Option<Instant>,
    /// What the signer was given; absent for one that was taken over.
    given: Option<Given>,
    /// What it will have been given when nothing is pending.
    all: Option<Given>,
    good_since: Option<Instant>,
    was_ready: bool,
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
        reload: watch::Receiver<u64>,
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
            reload,
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
        if state.phase != Phase::Serving {
            set(&self.numbers.serving, 0);
        }
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
                    self.compare_config(&status);
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

    /// An enclave keeps its config for life. One that was taken over may have another than the file.
    fn compare_config(&self, status: &Status) {
        let ours = self
            .deployment
            .as_ref()
            .and_then(|config| config.canonical().ok());
        let (Some(ours), Some(theirs)) = (ours, &status.config_sha384) else {
            return;
        };
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, ours.as_bytes());
        let ours: String = hash
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .concat();
        if ours != *theirs {
            let hint = "end the enclave to give it the file's config";
            self.journal.warn(
                "config-differs",
                &[
                    ("file_sha384", &ours),
                    ("enclave_sha384", theirs),
                    ("hint", &hint),
                ],
            );
        }
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
                self.renew().await;
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

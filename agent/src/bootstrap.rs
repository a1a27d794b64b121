//! The bootstrap: the config is measured, the artefacts are decrypted by `provision`, the signer is started. And the same story
//! told again to an agent that was started anew in the middle of it.
//!
//! Everything here runs in a task of its own to its end, whether or not the caller still waits for the answer.

use std::sync::Arc;

use abi::request::{Reply, Request};
use control::answer::{Configured, InitState, Item};
use control::config::DeploymentConfig;
use control::log::Level;
use control::provision::{Job, Outcome, State, Work};
use control::request::Init;
use control::status::Phase;

use crate::core::Core;
use crate::entries::Rules;
use crate::failure::Failure;
use crate::measured::{self, ConfigHash};
use crate::outbound;
use crate::phase::{Config, Configure, Machine};
use crate::served::serves;
use crate::supervise::SIGNER;
use crate::upcheck::Upcheck;

impl Core {
    /// `configure`.
    ///
    /// # Errors
    /// [`Failure`]; the register may be extended all the same when the module failed, then only this config is accepted.
    pub async fn configure(self: Arc<Self>, config: Box<DeploymentConfig>) -> Result<Configured, Failure> {
        let _change = self.begin_change()?;
        let manifest = self.parts.policy.deployment.as_deref();
        if manifest.is_some_and(|manifest| *manifest != *config) {
            return Err(Failure::Manifest);
        }
        self.set_config(config).await
    }

    /// Takes the manifest's config, if it has one.
    ///
    /// # Errors
    /// As [`Core::configure`].
    pub async fn configure_from_manifest(self: Arc<Self>) -> Result<(), Failure> {
        let _change = self.begin_change()?;
        match &self.parts.policy.deployment {
            Some(config) => self.set_config(config.clone()).await.map(drop),
            None => Ok(()),
        }
    }

    async fn set_config(self: &Arc<Self>, config: Box<DeploymentConfig>) -> Result<Configured, Failure> {
        self.parts.policy.allows(&config)?;
        let hash = ConfigHash::of(&config);
        let step = self.with_machine(|machine| machine.configure(&hash))?;
        if step == Configure::Measure {
            // What can fail without a trace comes first: a measurement cannot be taken back.
            let tunnels = self.open_tunnels(&config).await?;
            let nsm = Arc::clone(&self.parts.nsm);
            let measured = self
                .in_turn(move || {
                    Ok(measured::measure(&*nsm, &hash).map_err(|e| (e, measured::read(&*nsm).ok())))
                })
                .await?;
            let register = match measured {
                Ok(register) => register,
                Err((error, register)) => {
                    if let Some(register) = register {
                        self.with_machine(|machine| machine.reread(register));
                    }
                    return Err(error.into());
                }
            };
            self.with_machine(|machine| machine.measured(config, register))?;
            if let Some(tunnels) = tunnels {
                tunnels.carry(&self.parts.dial, &self.outbound, outbound::BOUNDS);
                self.with_held(|held| held.tunnels = true);
            }
            self.parts.ring.say(
                Level::Info,
                "configured",
                &[(
                    "config_sha384",
                    &hash.text().map(String::from).unwrap_or_default(),
                )],
            );
        }
        Ok(Configured {
            config_sha384: hash.text().map(String::from).unwrap_or_default(),
            pcr16: hash.register().to_string(),
            changed: step == Configure::Measure,
        })
    }

    async fn open_tunnels(&self, config: &DeploymentConfig) -> Result<Option<outbound::Opened>, Failure> {
        if self.with_held(|held| held.tunnels) {
            return Ok(None);
        }
        let opened = outbound::open(config).await?;
        match outbound::write_hosts(&self.parts.hosts, config) {
            // An image may have no place for the file; without tunnels it needs none.
            Err(_) if config.fields().outbound.is_empty() => {}
            result => result.map_err(Failure::Hosts)?,
        }
        Ok(Some(opened))
    }

    /// `init`.
    ///
    /// # Errors
    /// [`Failure`]; the phase is `init-failed` then, or as before when it was not begun.
    pub async fn init(self: Arc<Self>, init: Box<Init>) -> Result<InitState, Failure> {
        let _change = self.begin_change()?;
        let config = self.with_machine(Machine::begin_init)?;
        let done = self.do_init(&config, init).await;
        self.with_machine(|machine| machine.end_init(done.is_ok()));
        match &done {
            Ok(()) => self.parts.ring.say(Level::Info, "initialised", &[]),
            Err(failure) => {
                let fields = [("code", failure.code()), ("error", &failure.text())];
                self.parts.ring.say(Level::Error, "init-failed", &fields);
            }
        }
        done.map(|()| InitState { init_state: true })
    }

    async fn do_init(&self, config: &Config, init: Box<Init>) -> Result<(), Failure> {
        if self.parts.handover.is_none() {
            return Err(Failure::NoSigner);
        }
        let rules = Rules {
            config: &config.config,
            legacy: self.parts.policy.trust.legacy_no_context,
        };
        let artefacts = rules.init(&init)?.map_err(Failure::Items)?;
        let credential = init.credential.clone();
        drop(init);
        let work = Work::Init {
            credential: credential.clone(),
            artefacts,
        };
        let (_, state) = self.job(config, work).await?;
        let state = state.ok_or(Failure::State("no state after init"))?;
        let started = self.start_signer(&state).await;
        if let Err(failure) = started {
            self.undo_init(config).await;
            return Err(failure);
        }
        self.with_held(|held| {
            held.state = Some(state);
            held.credential = Some(credential);
        });
        Ok(())
    }

    /// Starts the signer and waits until it is healthy and serves its keys.
    async fn start_signer(&self, state: &State) -> Result<(), Failure> {
        let upcheck = self.upcheck(state)?;
        let ends = self.book.ends();
        self.ask_for_signer().await?;
        self.book.watch(Some(upcheck.clone()));
        self.book.healthy(self.parts.patience.signer, ends).await?;
        Ok(serves(&upcheck, &state.public_keys, self.parts.patience.signer).await?)
    }

    pub(crate) async fn ask_for_signer(&self) -> Result<(), Failure> {
        match self.parts.pid1.ask(Request::StartSigner).await? {
            Reply::Accepted | Reply::Already => Ok(()),
            Reply::Absent => Err(Failure::NoSigner),
            _ => Err(Failure::NotStarted),
        }
    }

    pub(crate) fn upcheck(&self, state: &State) -> Result<Upcheck, Failure> {
        let within = std::time::Duration::from_secs(self.parts.policy.signer.upcheck_within_s.into());
        Ok(Upcheck::new(state, self.parts.signer, within)?)
    }

    /// The signer is stopped and its files are wiped. What fails here is said; the next `init` wipes first, too.
    async fn undo_init(&self, config: &Config) {
        self.book.watch(None);
        let stopped = self.parts.pid1.ask(Request::StopSigner).await;
        if matches!(stopped, Ok(Reply::Accepted)) {
            self.book.stopped(self.parts.patience.stop).await;
        }
        if let Err(failure) = self.job(config, Work::Rollback).await {
            let fields = [("code", failure.code()), ("error", &failure.text())];
            self.parts.ring.say(Level::Error, "rollback-failed", &fields);
        }
    }

    /// Runs one job of provision under the config.
    pub(crate) async fn job(
        &self,
        config: &Config,
        work: Work,
    ) -> Result<(Vec<Item>, Option<Box<State>>), Failure> {
        let handover = self.parts.handover.as_ref().ok_or(Failure::NoSigner)?;
        let mode = work.name();
        let job = Job {
            config: Some(config.config.clone()),
            work,
        };
        let outcome = handover
            .run(&self.parts.pid1, &job, self.parts.patience.job)
            .await?;
        match outcome {
            Outcome::Done { items, state } => {
                if state.as_ref().is_some_and(|state| state.config != *config.config) {
                    return Err(Failure::State("the state of another config"));
                }
                self.parts.ring.say(Level::Info, "provisioned", &[("mode", mode)]);
                Ok((items, state))
            }
            Outcome::Refused { refusal } => Err(Failure::Provision(refusal)),
        }
    }

    /// Whether a config was measured before this agent was started: another one was here.
    #[must_use]
    pub fn is_not_the_first(&self) -> bool {
        let register = self.with_machine(|machine| machine.register());
        register.locked && register.value != nsm::Pcr::ZERO
    }

    /// What an agent does first that is not the first one: `provision` says what is there, and a signer that was started goes on.
    ///
    /// # Errors
    /// [`Failure`] when the story cannot be told; then `init_state` stays false, and the parent decides.
    pub async fn recover(self: Arc<Self>) -> Result<(), Failure> {
        let _change = self.begin_change()?;
        let Some(handover) = self.parts.handover.as_ref() else {
            return Ok(());
        };
        let job = Job {
            config: None,
            work: Work::Recover,
        };
        let outcome = handover
            .run(&self.parts.pid1, &job, self.parts.patience.job)
            .await?;
        let state = match outcome {
            Outcome::Done { state, .. } => state,
            Outcome::Refused { refusal } => return Err(Failure::Provision(refusal)),
        };
        let Some(state) = state else { return Ok(()) };
        self.set_config(Box::new(state.config.clone())).await?;
        let upcheck = self.upcheck(&state)?;
        self.with_machine(Machine::begin_init)?;
        // Nothing is undone here: the signer may be busy, or be between two starts. `status` tells how it is.
        let started = self.ask_for_signer().await;
        self.with_machine(|machine| machine.end_init(started.is_ok()));
        started?;
        self.with_held(|held| held.state = Some(state));
        self.book.watch(Some(upcheck));
        self.parts
            .ring
            .say(Level::Warn, "recovered", &[("service", SIGNER)]);
        Ok(())
    }

    /// The answer to `init_state`.
    #[must_use]
    pub fn init_state(&self) -> InitState {
        InitState {
            init_state: self.phase() == Phase::Initialised,
        }
    }

    /// How far the bootstrap is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.with_machine(|machine| machine.phase())
    }

    pub(crate) fn begin_change(&self) -> Result<tokio::sync::OwnedMutexGuard<()>, Failure> {
        Arc::clone(&self.change)
            .try_lock_owned()
            .map_err(|_| Failure::Busy)
    }
}

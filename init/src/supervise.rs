//! The supervision of the services: what runs, what is started again and when. What the agent may ask is in
//! [`crate::requests`].
//!
//! ```text
//!          start                    ended (daemon)
//!  Idle ----------> Running ------------------------> Waiting
//!   ^ ^                | |  ^                            | |
//!   | +-ended (1-shot)-+ |  +------- back-off over ------+ |
//!   |                    | stop                            | stop
//!   +---- ended ---- Stopping           Idle <-------------+
//! ```
//!
//! Time is [`System::uptime_ms`]; nothing here sleeps. The rules of a restart are in [`services::Restart`].

use std::collections::VecDeque;

use abi::boot::FatalCode;
use abi::events::{Key, Kind as EventKind};
use services::{Kind, Restart, Service, Start};

use crate::child::SETUP_FAILED;
use crate::fatal::Fatal;
use crate::log::Log;
use crate::system::{Pid, Signal, Spawn, Status, System};

/// State of a service; times are milliseconds of uptime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Idle,
    Running {
        pid: Pid,
        since: u64,
    },
    Waiting {
        until: u64,
    },
    Stopping {
        pid: Pid,
        kill_at: Option<u64>,
        start_again: bool,
    },
}

/// A service's recent ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// When it ended, within the window only.
    ends: VecDeque<u64>,
    /// Ends in a row after short runs: the exponent of the back-off.
    streak: u32,
}

/// All services of a table.
#[derive(Debug)]
pub struct Supervisor<'t> {
    pub(crate) services: &'t [Service],
    pub(crate) states: Vec<State>,
    pub(crate) histories: Vec<History>,
    /// [`abi::request::Request::Fatal`] came, its code is the next byte.
    pub(crate) code_follows: bool,
}

impl<'t> Supervisor<'t> {
    /// Nothing runs yet.
    #[must_use]
    pub fn new(services: &'t [Service]) -> Self {
        let states = vec![State::Idle; services.len()];
        Self {
            services,
            states,
            histories: vec![History::default(); services.len()],
            code_follows: false,
        }
    }

    /// Starts the services of [`Start::Boot`] in the order of the table.
    ///
    /// # Errors
    /// [`FatalCode::ServiceStart`] with the index of the first that cannot be started.
    pub fn start_boot(&mut self, system: &mut dyn System, log: &mut Log) -> Result<(), Fatal> {
        for (index, service) in self.services.iter().enumerate() {
            if service.start == Start::Boot && !self.start(system, log, index, service) {
                return Err(Fatal::new(log.stage(), FatalCode::ServiceStart).detail(index));
            }
        }
        Ok(())
    }

    /// The next moment at which [`Self::tick`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.states.iter().filter_map(due).min()
    }

    /// Does what is due: starts what has waited long enough, kills what did not stop in time.
    ///
    /// # Errors
    /// [`FatalCode::CrashLoop`] when a service could not be started too often.
    pub fn tick(&mut self, system: &mut dyn System, log: &mut Log) -> Result<(), Fatal> {
        for (index, service) in self.services.iter().enumerate() {
            let Some(&state) = self.states.get(index) else {
                continue;
            };
            if due(&state).is_none_or(|due| due > system.uptime_ms()) {
                continue;
            }
            match state {
                State::Waiting { .. } => self.start_or_wait(system, log, index, service)?,
                State::Stopping { pid, start_again, .. } => {
                    signal_service(system, log, service, pid, Signal::Kill);
                    self.set(
                        index,
                        State::Stopping {
                            pid,
                            kill_at: None,
                            start_again,
                        },
                    );
                }
                State::Idle | State::Running { .. } => {}
            }
        }
        Ok(())
    }

    /// Takes note of a child that ended: a service, or an orphan that PID 1 only had to reap.
    ///
    /// # Errors
    /// [`FatalCode::CrashLoop`] when a daemon ended too often, [`FatalCode::ServiceStart`] when a service could not be
    /// confined or a one-shot service of the boot failed.
    pub fn ended(
        &mut self,
        system: &mut dyn System,
        log: &mut Log,
        pid: Pid,
        status: Status,
    ) -> Result<(), Fatal> {
        let Some(index) = self.states.iter().position(|state| pid_of(state) == Some(pid)) else {
            return Ok(());
        };
        let (Some(&state), Some(service)) = (self.states.get(index), self.services.get(index)) else {
            return Ok(());
        };
        // What the service started itself must not outlive it. Normally there is nothing, which is an error to ignore.
        let _nothing_left = system.signal_group(pid, Signal::Kill);
        let event = log
            .event(system, EventKind::Ended)
            .with(Key::Service, &service.name);
        log.write(system, &event.with(Key::Pid, pid).with(Key::Status, status));
        self.set(index, State::Idle);
        let failed = Fatal::new(log.stage(), FatalCode::ServiceStart).detail(index);
        if status == Status::Exited(SETUP_FAILED) {
            return Err(failed);
        }
        match (state, service.kind) {
            (
                State::Stopping {
                    start_again: false, ..
                },
                _,
            ) => Ok(()),
            (State::Stopping { .. }, _) => self.start_or_wait(system, log, index, service),
            (State::Running { since, .. }, Kind::Daemon(restart)) => {
                self.wait_to_restart(system, log, index, restart, since)
            }
            _ if service.start == Start::Boot && status != Status::Exited(0) => Err(failed),
            _ => Ok(()),
        }
    }

    /// Starts a service; `false` when that failed, which is said.
    pub(crate) fn start(
        &mut self,
        system: &mut dyn System,
        log: &mut Log,
        index: usize,
        service: &Service,
    ) -> bool {
        if service.channel {
            self.code_follows = false;
        }
        match system.spawn(Spawn {
            index,
            channel: service.channel,
            stdio: service.stdio,
        }) {
            Ok(pid) => {
                let since = system.uptime_ms();
                self.set(index, State::Running { pid, since });
                let event = log
                    .event(system, EventKind::Started)
                    .with(Key::Service, &service.name);
                log.write(system, &event.with(Key::Pid, pid));
                true
            }
            Err(errno) => {
                let event = log
                    .event(system, EventKind::Failed)
                    .with(Key::Service, &service.name);
                log.write(system, &event.with(Key::Target, "spawn").with(Key::Errno, errno));
                false
            }
        }
    }

    /// Starts a service again; for a daemon a failure counts as one more end.
    fn start_or_wait(
        &mut self,
        system: &mut dyn System,
        log: &mut Log,
        index: usize,
        service: &Service,
    ) -> Result<(), Fatal> {
        if self.start(system, log, index, service) {
            return Ok(());
        }
        self.set(index, State::Idle);
        match service.kind {
            Kind::Daemon(restart) => {
                let since = system.uptime_ms();
                self.wait_to_restart(system, log, index, restart, since)
            }
            Kind::OneShot => Ok(()),
        }
    }

    /// Counts an end of a daemon that ran from `since` to now, and makes it wait, or gives up.
    fn wait_to_restart(
        &mut self,
        system: &mut dyn System,
        log: &mut Log,
        index: usize,
        restart: Restart,
        since: u64,
    ) -> Result<(), Fatal> {
        let now = system.uptime_ms();
        let window = u64::from(restart.window_ms);
        let crash_loop = Fatal::new(log.stage(), FatalCode::CrashLoop).detail(index);
        let (Some(history), Some(service)) = (self.histories.get_mut(index), self.services.get(index)) else {
            return Err(Fatal {
                code: FatalCode::Internal,
                ..crash_loop
            });
        };
        if now - since >= window {
            history.streak = 0;
        }
        history.ends.push_back(now);
        history.ends.retain(|&end| now - end < window);
        if history.ends.len() > usize::from(restart.max_restarts) {
            return Err(crash_loop);
        }
        let doubled = u64::from(restart.backoff_initial_ms).saturating_mul(1 << history.streak.min(31));
        let wait_ms = doubled.min(restart.backoff_max_ms.into());
        history.streak = history.streak.saturating_add(1);
        self.set(index, State::Waiting { until: now + wait_ms });
        let event = log
            .event(system, EventKind::Restart)
            .with(Key::Service, &service.name);
        log.write(system, &event.with(Key::WaitMs, wait_ms));
        Ok(())
    }

    pub(crate) fn set(&mut self, index: usize, state: State) {
        if let Some(place) = self.states.get_mut(index) {
            *place = state;
        }
    }
}

/// Sends a signal and says so; `false` when that failed, which is said too.
pub(crate) fn signal_service(
    system: &mut dyn System,
    log: &mut Log,
    service: &Service,
    pid: Pid,
    signal: Signal,
) -> bool {
    let result = system.signal_group(pid, signal);
    let kind = if signal == Signal::Hup {
        EventKind::Reload
    } else {
        EventKind::Stopping
    };
    let event = log
        .event(system, kind)
        .with(Key::Service, &service.name)
        .with(Key::Pid, pid);
    let event = match result {
        Ok(()) => event,
        Err(errno) => event.with(Key::Errno, errno),
    };
    log.write(system, &event);
    result.is_ok()
}

const fn due(state: &State) -> Option<u64> {
    match state {
        State::Waiting { until } => Some(*until),
        State::Stopping { kill_at, .. } => *kill_at,
        State::Idle | State::Running { .. } => None,
    }
}

const fn pid_of(state: &State) -> Option<Pid> {
    match state {
        State::Running { pid, .. } | State::Stopping { pid, .. } => Some(*pid),
        State::Idle | State::Waiting { .. } => None,
    }
}

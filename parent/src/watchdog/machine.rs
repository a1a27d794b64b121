//! What the watchdog does next: a pure function from a state and an event to a state and an action.
//!
//! ```text
//!            Begin             not found           Started            Answered            Initialised
//!  Idle ----------> Finding -------------> Starting ------> Booting ----------> Initialising ----------> Serving
//!                      | found                 |               ^  |  \ no config      |                    |
//!                      +-----------------------|---------------+  |   +> Configuring -+                    |
//!                                              v Failed           v Failed: Ending <-- Failed    too many Bad: Ending
//!                                           Resting <--- Stopped -+
//! ```
//! A refused `init` leaves the enclave as it was, so it is asked again after a rest, without a new start. `Ended` can come at any time:
//! the enclave is gone, and is started anew after a rest. `Stop` can come at any time: the enclave is ended, or left as it is.

use std::time::Duration;

use control::status;

/// Rules that come from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether there is a config to send to an enclave that has none.
    pub can_configure: bool,
    /// Failed looks in a row after which the enclave is started again.
    pub probes: u32,
    /// First rest after a failure; it doubles with each.
    pub first_rest: Duration,
    /// Longest rest.
    pub longest_rest: Duration,
    /// Whether the enclave stays when the watchdog goes.
    pub keep: bool,
}

/// Where the watchdog is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was done yet.
    Idle,
    /// Looking for an enclave that runs already.
    Finding,
    /// Starting one.
    Starting,
    /// Waiting for its first answer.
    Booting,
    /// Giving it its config.
    Configuring,
    /// Giving it its artefacts.
    Initialising,
    /// It serves; looking after it.
    Serving,
    /// Ending it.
    Ending,
    /// Waiting before another attempt; with an enclave that runs, or none.
    Resting {
        /// Whether an enclave runs.
        running: bool,
    },
    /// The end.
    Done,
}

/// Where the watchdog is, and how it went so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Where.
    pub phase: Phase,
    /// Failures since the service was last settled.
    pub failures: u32,
    /// Failed looks in a row.
    pub misses: u32,
    /// Whether the end was asked for.
    pub stopping: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The watchdog begins.
    Begin,
    /// An enclave was found, or none.
    Found(bool),
    /// The enclave was started.
    Started,
    /// It answered `status`; an agent without phases is as one that is configured.
    Answered(Option<status::Phase>),
    /// It took the config.
    Configured,
    /// It took the artefacts.
    Initialised,
    /// The service is good.
    Good {
        /// It has been for so long that failures are forgotten.
        settled: bool,
    },
    /// The service is not good.
    Bad,
    /// The action failed.
    Failed,
    /// The enclave was ended, or could not be.
    Stopped,
    /// The enclave is gone.
    Ended,
    /// The rest is over.
    Rested,
    /// The end is asked for.
    Stop,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look for an enclave that runs already.
    Find,
    /// Start one.
    Start,
    /// Ask `status` until it answers.
    AwaitStatus,
    /// Send the config.
    Configure,
    /// Read the tables and send the artefacts.
    Init,
    /// Look at the service, at once or after the usual pause.
    Probe {
        /// At once.
        now: bool,
    },
    /// End the enclave.
    End,
    /// Wait.
    Rest(Duration),
    /// Leave.
    Finish,
    /// Go on with what is being done.
    Nothing,
}

impl State {
    /// Nothing was done yet.
    pub const IDLE: Self = Self {
        phase: Phase::Idle,
        failures: 0,
        misses: 0,
        stopping: false,
    };

    const fn to(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }
}

/// The next state, and what to do in it.
#[must_use]
#[expect(clippy::match_same_arms, reason = "an arm is a row of the table")]
pub fn step(policy: &Policy, state: State, event: Event) -> (State, Action) {
    match (state.phase, event) {
        (Phase::Done, _) => (state, Action::Finish),
        (Phase::Ending, Event::Stop) => (
            State {
                stopping: true,
                ..state
            },
            Action::Nothing,
        ),
        (_, Event::Stop) if policy.keep => (
            State {
                stopping: true,
                ..state
            }
            .to(Phase::Done),
            Action::Finish,
        ),
        (_, Event::Stop) => (
            State {
                stopping: true,
                ..state
            }
            .to(Phase::Ending),
            Action::End,
        ),

        (Phase::Ending, Event::Ended | Event::Stopped) if state.stopping => {
            (state.to(Phase::Done), Action::Finish)
        }
        (Phase::Ending, Event::Ended | Event::Stopped) => rest(policy, state, false),
        (_, Event::Ended) => fail(policy, state, false),

        (Phase::Idle, Event::Begin) => (state.to(Phase::Finding), Action::Find),
        (Phase::Finding, Event::Found(true)) | (Phase::Starting, Event::Started) => {
            (state.to(Phase::Booting), Action::AwaitStatus)
        }
        (Phase::Finding, Event::Found(false)) => (state.to(Phase::Starting), Action::Start),
        (Phase::Finding | Phase::Starting, Event::Failed) => fail(policy, state, false),

        (Phase::Booting, Event::Answered(Some(status::Phase::Initialised))) => serve(state),
        (Phase::Booting, Event::Answered(Some(status::Phase::Unconfigured))) if policy.can_configure => {
            (state.to(Phase::Configuring), Action::Configure)
        }
        (Phase::Booting, Event::Answered(_)) | (Phase::Configuring, Event::Configured) => {
            (state.to(Phase::Initialising), Action::Init)
        }
        (Phase::Initialising, Event::Initialised) => serve(state),
        (Phase::Initialising, Event::Failed) => fail(policy, state, true),
        (Phase::Booting | Phase::Configuring, Event::Failed) => end(state),

        (Phase::Serving, Event::Good { settled }) => {
            let failures = if settled { 0 } else { state.failures };
            (
                State {
                    failures,
                    misses: 0,
                    ..state
                },
                Action::Probe { now: false },
            )
        }
        (Phase::Serving, Event::Bad | Event::Failed) => {
            let state = State {
                misses: state.misses.saturating_add(1),
                ..state
            };
            if state.misses >= policy.probes {
                end(state)
            } else {
                (state, Action::Probe { now: false })
            }
        }

        (Phase::Resting { running: true }, Event::Rested) => (state.to(Phase::Booting), Action::AwaitStatus),
        (Phase::Resting { running: false }, Event::Rested) => (state.to(Phase::Finding), Action::Find),

        // An event that came too late for its phase.
        _ => (state, Action::Nothing),
    }
}

fn serve(state: State) -> (State, Action) {
    (
        State { misses: 0, ..state }.to(Phase::Serving),
        Action::Probe { now: true },
    )
}

fn end(state: State) -> (State, Action) {
    (
        State {
            failures: state.failures.saturating_add(1),
            ..state
        }
        .to(Phase::Ending),
        Action::End,
    )
}

/// One failure more, then a rest.
fn fail(policy: &Policy, state: State, running: bool) -> (State, Action) {
    rest(
        policy,
        State {
            failures: state.failures.saturating_add(1),
            ..state
        },
        running,
    )
}

fn rest(policy: &Policy, state: State, running: bool) -> (State, Action) {
    let doublings = state.failures.saturating_sub(1).min(31);
    let rest = policy
        .first_rest
        .saturating_mul(1 << doublings)
        .min(policy.longest_rest);
    (state.to(Phase::Resting { running }), Action::Rest(rest))
}

#[cfg(test)]
mod tests;

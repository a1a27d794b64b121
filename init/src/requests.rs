//! What the agent may ask of PID 1: single bytes, a closed set, each answered by a single byte.
//!
//! A request changes only what its entry of [`abi::request`] says. The agent cannot name a program, an argument or a
//! process.

use abi::boot::FatalCode;
use abi::events::{Key, Kind};
use abi::request::{Reply, Request};
use services::Service;

use crate::fatal::Fatal;
use crate::log::Log;
use crate::supervise::{History, State, Supervisor, signal_service};
use crate::system::{Signal, System};

/// Name of the service that [`Request::StartProvision`] starts.
const PROVISION: &str = "provision";
/// Name of the service that the other requests are about.
const SIGNER: &str = "signer";

impl<'t> Supervisor<'t> {
    /// Takes one byte from the request socket and answers it.
    ///
    /// # Errors
    /// [`FatalCode::AgentRequest`] when that is what the agent wants.
    pub fn request(&mut self, system: &mut dyn System, log: &mut Log, byte: u8) -> Result<(), Fatal> {
        if self.code_follows {
            return Err(Fatal::new(log.stage(), FatalCode::AgentRequest).detail(byte.into()));
        }
        let reply = match Request::from_byte(byte) {
            Some(Request::Fatal) => {
                self.code_follows = true;
                return Ok(());
            }
            Some(Request::StartProvision) => self.request_start(system, log, PROVISION),
            Some(Request::StartSigner) => self.request_start(system, log, SIGNER),
            Some(Request::StopSigner) => self.request_stop(system, log, SIGNER),
            Some(Request::ReloadSigner) => self.request_reload(system, log, SIGNER),
            _ => Reply::Unknown,
        };
        let event = log.event(system, Kind::Request).with(Key::Request, byte);
        log.write(system, &event.with(Key::Reply, reply as u8));
        system.answer_request(reply as u8);
        Ok(())
    }

    fn named(&self, name: &str) -> Option<(usize, &'t Service, State)> {
        let index = self.services.iter().position(|service| service.name == name)?;
        Some((index, self.services.get(index)?, *self.states.get(index)?))
    }

    fn request_start(&mut self, system: &mut dyn System, log: &mut Log, name: &str) -> Reply {
        let Some((index, service, state)) = self.named(name) else {
            return Reply::Absent;
        };
        match state {
            State::Running { .. }
            | State::Waiting { .. }
            | State::Stopping {
                start_again: true, ..
            } => Reply::Already,
            State::Stopping { pid, kill_at, .. } => {
                self.set(
                    index,
                    State::Stopping {
                        pid,
                        kill_at,
                        start_again: true,
                    },
                );
                Reply::Accepted
            }
            State::Idle => {
                if let Some(history) = self.histories.get_mut(index) {
                    *history = History::default();
                }
                if self.start(system, log, index, service) {
                    Reply::Accepted
                } else {
                    Reply::Failed
                }
            }
        }
    }

    fn request_stop(&mut self, system: &mut dyn System, log: &mut Log, name: &str) -> Reply {
        let Some((index, service, state)) = self.named(name) else {
            return Reply::Absent;
        };
        match state {
            State::Idle
            | State::Stopping {
                start_again: false, ..
            } => return Reply::Already,
            State::Waiting { .. } => self.set(index, State::Idle),
            State::Stopping { pid, kill_at, .. } => {
                self.set(
                    index,
                    State::Stopping {
                        pid,
                        kill_at,
                        start_again: false,
                    },
                );
            }
            State::Running { pid, .. } => {
                signal_service(system, log, service, pid, Signal::Term);
                let kill_at = Some(system.uptime_ms() + u64::from(service.grace_ms));
                self.set(
                    index,
                    State::Stopping {
                        pid,
                        kill_at,
                        start_again: false,
                    },
                );
            }
        }
        Reply::Accepted
    }

    fn request_reload(&mut self, system: &mut dyn System, log: &mut Log, name: &str) -> Reply {
        let Some((_, service, state)) = self.named(name) else {
            return Reply::Absent;
        };
        let State::Running { pid, .. } = state else {
            return Reply::Failed;
        };
        if signal_service(system, log, service, pid, Signal::Hup) {
            Reply::Accepted
        } else {
            Reply::Failed
        }
    }
}

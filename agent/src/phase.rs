//! How far the bootstrap is: a machine without input or output, so that every step of it can be tested as a table.
//!
//! ```text
//!                configure             init                     healthy
//!  Unconfigured -----------> Configured ----> Initialising --------------> Initialised
//!                                ^               |  ^
//!                                |        failed v  | init
//!                                +--same config- InitFailed
//! ```
//! A config is accepted once. After that only the same one is, whatever happened since: its measurement is in register 16, which
//! cannot change any more. So the machine of a restarted agent starts with what the register says.

use control::config::DeploymentConfig;
use control::status::Phase;
use nsm::Pcr;

use crate::measured::{ConfigHash, Register};

/// The machine.
#[derive(Clone, Debug)]
pub struct Machine {
    register: Register,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Unconfigured,
    Configured(Config),
    Initialising(Config),
    InitFailed(Config),
    Initialised(Config),
}

/// A config that register 16 holds, with its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The config.
    pub config: Box<DeploymentConfig>,
    /// Its hash.
    pub hash: ConfigHash,
}

/// What is to be done about a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Configure {
    /// Measure it, then call [`Machine::measured`].
    Measure,
    /// It is set already.
    Same,
}

/// Why a step is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Another config is set; the answer says `config-conflict`.
    #[error("another deployment config is measured into PCR16; it stays until the enclave ends")]
    Conflict,
    /// The registers were locked before a config was measured.
    #[error("PCR16 is locked and holds no deployment config; only a new enclave can take one")]
    Locked,
    /// There is no config; the answer says `not-configured`.
    #[error("there is no deployment config yet; send configure first")]
    NotConfigured,
    /// `init` was done; the answer says `already-initialised`.
    #[error("init was done; a new enclave is needed for another")]
    Initialised,
    /// `init` was not done; the answer says `not-initialised`.
    #[error("init was not done yet")]
    NotInitialised,
    /// `init` is under way; the answer says `busy`.
    #[error("init is under way")]
    Initialising,
}

impl Machine {
    /// The machine of an agent that starts while register 16 is this.
    #[must_use]
    pub const fn new(register: Register) -> Self {
        Self {
            register,
            state: State::Unconfigured,
        }
    }

    /// The phase, for `status`.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match self.state {
            State::Unconfigured => Phase::Unconfigured,
            State::Configured(_) => Phase::Configured,
            State::Initialising(_) => Phase::Initialising,
            State::InitFailed(_) => Phase::InitFailed,
            State::Initialised(_) => Phase::Initialised,
        }
    }

    /// Register 16, as it was read last.
    #[must_use]
    pub const fn register(&self) -> Register {
        self.register
    }

    /// The config, when there is one.
    #[must_use]
    pub const fn config(&self) -> Option<&Config> {
        match &self.state {
            State::Unconfigured => None,
            State::Configured(config)
            | State::Initialising(config)
            | State::InitFailed(config)
            | State::Initialised(config) => Some(config),
        }
    }

    /// Whether signing traffic may pass.
    #[must_use]
    pub const fn is_initialised(&self) -> bool {
        matches!(self.state, State::Initialised(_))
    }

    /// A config is offered.
    ///
    /// # Errors
    /// [`Refused::Conflict`] and [`Refused::Locked`].
    pub fn configure(&self, hash: &ConfigHash) -> Result<Configure, Refused> {
        if let Some(config) = self.config() {
            return if config.hash == *hash {
                Ok(Configure::Same)
            } else {
                Err(Refused::Conflict)
            };
        }
        let Register { value, locked } = self.register;
        if value == hash.register() || (value == Pcr::ZERO && !locked) {
            Ok(Configure::Measure)
        } else if value == Pcr::ZERO {
            Err(Refused::Locked)
        } else {
            Err(Refused::Conflict)
        }
    }

    /// The config was measured and register 16 is now this.
    ///
    /// # Errors
    /// [`Refused::Conflict`] when the register is not locked with this config's value; nothing is changed then.
    pub fn measured(&mut self, config: Box<DeploymentConfig>, register: Register) -> Result<(), Refused> {
        let hash = ConfigHash::of(&config);
        if self.configure(&hash)? == Configure::Same {
            return Ok(());
        }
        if register.value != hash.register() || !register.locked {
            return Err(Refused::Conflict);
        }
        self.register = register;
        self.state = State::Configured(Config { config, hash });
        Ok(())
    }

    /// Register 16 was read again after a measurement that failed half-way.
    pub fn reread(&mut self, register: Register) {
        self.register = register;
    }

    /// `init` begins.
    ///
    /// # Errors
    /// [`Refused`], by its variants.
    pub fn begin_init(&mut self) -> Result<Config, Refused> {
        let config = match &self.state {
            State::Unconfigured => return Err(Refused::NotConfigured),
            State::Initialising(_) => return Err(Refused::Initialising),
            State::Initialised(_) => return Err(Refused::Initialised),
            State::Configured(config) | State::InitFailed(config) => config.clone(),
        };
        self.state = State::Initialising(config.clone());
        Ok(config)
    }

    /// `init` ended; in any other phase this changes nothing.
    pub fn end_init(&mut self, done: bool) {
        if let State::Initialising(config) = &self.state {
            let config = config.clone();
            self.state = if done {
                State::Initialised(config)
            } else {
                State::InitFailed(config)
            };
        }
    }

    /// The config that the signer runs under.
    ///
    /// # Errors
    /// [`Refused::NotInitialised`], and [`Refused::Initialising`] while `init` is under way.
    pub fn running(&self) -> Result<&Config, Refused> {
        match &self.state {
            State::Initialised(config) => Ok(config),
            State::Initialising(_) => Err(Refused::Initialising),
            _ => Err(Refused::NotInitialised),
        }
    }
}

#[cfg(test)]
mod tests;

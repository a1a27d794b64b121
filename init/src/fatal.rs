//! The end: why PID 1 gives up, its last words, the report to the parent, power off.
//!
//! There is one way out, [`end`]. Services are not stopped and nothing is written back: an enclave has no disk, and what
//! must survive it was stored elsewhere before it was acted on.

use abi::boot::{FatalCode, FatalReport, Stage};
use abi::events::{Event, Key, Kind};
use abi::vsock::BOOT_REPORT_PORT;

use crate::system::{Errno, System};

/// Why PID 1 gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// The stage that was being passed.
    pub stage: Stage,
    /// Why.
    pub code: FatalCode,
    /// The failed call's number.
    pub errno: Errno,
    /// See [`FatalReport::detail`].
    pub detail: u16,
    /// The path or step that failed, for the console only; empty when there is none.
    pub target: String,
}

impl Fatal {
    /// A cause with neither number nor detail nor target.
    #[must_use]
    pub const fn new(stage: Stage, code: FatalCode) -> Self {
        Self {
            stage,
            code,
            errno: Errno::NONE,
            detail: 0,
            target: String::new(),
        }
    }

    /// The same, caused by a call on `target`.
    #[must_use]
    pub fn on(self, target: &str, errno: Errno) -> Self {
        Self {
            errno,
            target: target.to_owned(),
            ..self
        }
    }

    /// The same, with this detail.
    #[must_use]
    pub fn detail(self, detail: usize) -> Self {
        Self {
            detail: u16::try_from(detail).unwrap_or(u16::MAX),
            ..self
        }
    }

    /// The last words.
    #[must_use]
    pub fn event(&self, uptime_ms: u64) -> Event {
        let event = Event::new(uptime_ms, self.stage, Kind::Fatal)
            .with(Key::Code, self.code)
            .with(Key::Errno, self.errno)
            .with(Key::Detail, self.detail);
        if self.target.is_empty() {
            event
        } else {
            event.with(Key::Target, &self.target)
        }
    }

    /// The report for the parent.
    #[must_use]
    pub fn report(&self, uptime_ms: u64) -> FatalReport {
        FatalReport {
            stage: self.stage,
            code: self.code,
            errno: self.errno.0,
            uptime_ms: u32::try_from(uptime_ms).unwrap_or(u32::MAX),
            detail: self.detail,
        }
    }
}

/// Says why, tells the parent as well as it goes, and ends the machine.
pub fn end(system: &mut dyn System, fatal: &Fatal) {
    let uptime_ms = system.uptime_ms();
    system.console(&fatal.event(uptime_ms).to_string());
    let report = fatal.report(uptime_ms).encode();
    if let Err(errno) = system.tell(BOOT_REPORT_PORT, &report) {
        // Nobody has to listen there. The cause is on the console; this line only explains the parent's silence.
        let unheard = Event::new(system.uptime_ms(), fatal.stage, Kind::Failed)
            .with(Key::Target, "boot-report")
            .with(Key::Errno, errno);
        system.console(&unheard.to_string());
    }
    system.power_off();
}

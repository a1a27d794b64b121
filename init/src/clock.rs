//! The wall clock, kept to the KVM host's (`/dev/ptp0`, `PTP_KVM`). An enclave has no other source: its clock drifts, and
//! certificates and request signatures depend on it. The host is trusted for time no more than for anything else; it
//! gives the enclave its clock in any case.
//!
//! A reading that fails is said and tried again at the next period; no clock is better than no enclave, and a wrong one
//! makes TLS refuse.

use abi::events::{CLOCK_FILE, Event, Key, Kind};
use services::Clock;

use crate::log::Log;
use crate::system::System;

/// Reads the source, sets the clock if it is off by more than the table allows, and says so. Returns the uptime in
/// milliseconds at which the next reading is due, `None` when there will be none.
///
/// The event goes to [`CLOCK_FILE`]; the first reading and every step go to the log too.
pub fn discipline(system: &mut dyn System, log: &mut Log, clock: Clock, first: bool) -> Option<u64> {
    let event = log.event(system, Kind::Clock);
    let (event, notable, again) = match clock {
        Clock::None => (event.with(Key::Source, "none"), false, None),
        Clock::PtpKvm {
            period_s,
            step_over_ms,
        } => {
            let (event, notable, present) = read(system, event, step_over_ms);
            (
                event,
                notable,
                present.then(|| system.uptime_ms() + u64::from(period_s) * 1000),
            )
        }
    };
    if first || notable {
        log.write(system, &event);
    }
    if let Err(errno) = system.replace_file(CLOCK_FILE, &format!("{event}\n")) {
        let failed = log.event(system, Kind::Failed).with(Key::Target, CLOCK_FILE);
        log.write(system, &failed.with(Key::Errno, errno));
    }
    again
}

/// One reading: the event, whether it is worth the log, and whether there is a source at all.
fn read(system: &mut dyn System, event: Event, step_over_ms: u32) -> (Event, bool, bool) {
    let offset_ns = match system.clock_offset_ns() {
        Ok(Some(offset_ns)) => offset_ns,
        Ok(None) => return (event.with(Key::Source, "absent"), false, false),
        Err(errno) => {
            let event = event.with(Key::Source, "ptp-kvm").with(Key::Errno, errno);
            return (event.with(Key::Stepped, "no"), true, true);
        }
    };
    let event = event
        .with(Key::Source, "ptp-kvm")
        .with(Key::OffsetUs, offset_ns / 1000);
    if offset_ns.unsigned_abs() <= u64::from(step_over_ms) * 1_000_000 {
        return (event.with(Key::Stepped, "no"), false, true);
    }
    match system.step_clock(offset_ns) {
        Ok(()) => (event.with(Key::Stepped, "yes"), true, true),
        Err(errno) => (event.with(Key::Stepped, "no").with(Key::Errno, errno), true, true),
    }
}

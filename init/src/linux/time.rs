//! Clocks.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;

use rustix::time::{ClockId, DynamicClockId, Timespec, clock_gettime, clock_gettime_dynamic, clock_settime};

use super::files;
use crate::system::{Errno, Result};

/// The clock of the KVM host.
const PTP_DEVICE: &str = "/dev/ptp0";
/// Where the kernel says what kind of clock that is, and what it says for KVM. Source: `drivers/ptp/ptp_kvm_common.c`.
const PTP_NAME: (&str, &[u8]) = ("/sys/class/ptp/ptp0/clock_name", b"KVM virtual PTP");

const NS_PER_S: i64 = 1_000_000_000;

pub(super) fn uptime_ms() -> u64 {
    u64::try_from(nanoseconds(clock_gettime(ClockId::Boottime)) / 1_000_000).unwrap_or(0)
}

pub(super) fn clock_offset_ns() -> Result<Option<i64>> {
    let device = match File::open(PTP_DEVICE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        result => result?,
    };
    let (path, name) = PTP_NAME;
    if files::read(path, 64)?.trim_ascii() != name {
        return Err(Errno::PROTOCOL);
    }
    let before = nanoseconds(clock_gettime(ClockId::Realtime));
    let host = nanoseconds(clock_gettime_dynamic(DynamicClockId::Dynamic(device.as_fd()))?);
    let after = nanoseconds(clock_gettime(ClockId::Realtime));
    Ok(Some(host - (before + (after - before) / 2)))
}

pub(super) fn step_clock(offset_ns: i64) -> Result<()> {
    let now = nanoseconds(clock_gettime(ClockId::Realtime)).saturating_add(offset_ns);
    let time = Timespec {
        tv_sec: now.div_euclid(NS_PER_S),
        tv_nsec: now.rem_euclid(NS_PER_S),
    };
    Ok(clock_settime(ClockId::Realtime, time)?)
}

/// Good until the year 2262.
const fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(NS_PER_S).saturating_add(time.tv_nsec)
}

//! The heartbeat: one byte to the parent, the same byte back. Without it nitro-cli ends the enclave with E36.
//!
//! Source: aws-nitro-enclaves-sdk-bootstrap `init/init.c`; aws-nitro-enclaves-cli, `enclave_proc/utils.rs`.

use std::time::Duration;

use abi::boot::FatalCode;
use abi::events::{Key, Kind};
use abi::vsock::{HEARTBEAT, HEARTBEAT_PORT};

use crate::fatal::Fatal;
use crate::log::Log;
use crate::system::{Errno, System};

/// Attempts before PID 1 gives up. With the waits below and calls that fail at once that is 15 s; nitro-cli waits 180 s or
/// more, and a parent that is not listening when it starts an enclave will not be later.
pub const ATTEMPTS: u32 = 20;
/// Wait after the first failure; doubled after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Exchanges the heartbeat and returns the attempts that it took.
///
/// # Errors
/// [`FatalCode::Heartbeat`] when every attempt failed (the last error number), or at once when the parent answered with
/// another byte (`detail` is that byte).
pub fn exchange(system: &mut dyn System, log: &mut Log) -> Result<u32, Fatal> {
    let stage = log.stage();
    let fatal = |errno| Fatal::new(stage, FatalCode::Heartbeat).on("vsock:3:9000", errno);
    let mut wait = FIRST_WAIT;
    let mut attempt = 1;
    loop {
        let errno = match system.exchange_byte(HEARTBEAT_PORT, HEARTBEAT) {
            Ok(HEARTBEAT) => return Ok(attempt),
            Ok(other) => return Err(fatal(Errno::PROTOCOL).detail(other.into())),
            Err(errno) => errno,
        };
        if attempt == ATTEMPTS {
            return Err(fatal(errno));
        }
        let event = log
            .event(system, Kind::Retry)
            .with(Key::Attempt, attempt)
            .with(Key::Errno, errno);
        log.write(system, &event.with(Key::WaitMs, wait.as_millis()));
        system.sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
        attempt += 1;
    }
}

//! PID 1 against an injected machine: the boot, the supervision, the requests, the clock, the confinement of a service.
#![expect(clippy::unwrap_used, reason = "a failed assumption should fail the test")]

mod boot;
mod clock;
mod confine;
mod fake;
mod requests;
mod story;
mod supervise;
mod tables;

//! `/init`: as PID 1 the boot and the supervision; as `/init exec N` the stage that becomes service N.
//! Any other use is refused. What the kernel passes to PID 1 from its command line is ignored.
#![forbid(unsafe_code)]

use std::panic::PanicHookInfo;
use std::process::ExitCode;

use abi::boot::FatalCode;
use init::child::SETUP_FAILED;
use init::fatal::{self, Fatal};
use init::linux::{Linux, Process};
use init::system::Errno;
use init::{child, log, run};

/// Exit status of a use that is neither.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    if rustix::process::getpid().is_init() {
        return pid1();
    }
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    match args.as_slice() {
        [verb, number] if verb == "exec" => {
            child::exec(&mut Process, &number.to_string_lossy());
            ExitCode::from(u8::try_from(SETUP_FAILED).unwrap_or(1))
        }
        _ => ExitCode::from(USAGE),
    }
}

/// Never returns while the machine runs. Were it to, the kernel would panic and, by its command line, restart.
fn pid1() -> ExitCode {
    std::panic::set_hook(Box::new(panicked));
    let mut system = Linux::default();
    let cause = run::run(&mut system);
    fatal::end(&mut system, &cause);
    ExitCode::FAILURE
}

/// A panic of PID 1 is a fault of ours; it ends like every other fatal cause.
fn panicked(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let cause = Fatal::new(log::current_stage(), FatalCode::Internal).on(&place, Errno::NONE);
    fatal::end(&mut Linux::default(), &cause);
}

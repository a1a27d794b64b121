//! The program `kmstool_enclave_cli`: gives the real world to [`kmstool_rs::cli::run`] and exits with its code.

#![forbid(unsafe_code)]

use std::io::{BufReader, stderr, stdin, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use kmstool_rs::cli::{Outside, run};
use kmstool_rs::clock::{Clock, RandomJitter};
use kmstool_rs::vsock::ParentProxy;

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "here the program meets the world")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

fn main() -> ExitCode {
    let outside = Outside {
        #[expect(clippy::disallowed_methods, reason = "here the program meets the world")]
        variable: &|name| std::env::var(name).ok(),
        stdin: Box::new(BufReader::new(stdin())),
        stdout: &mut stdout().lock(),
        stderr: &mut stderr().lock(),
        clock: Arc::new(SystemClock),
        jitter: Arc::new(RandomJitter),
        nsm: &|| Ok(Box::new(nsm::Session::open()?)),
        proxy: &|port| Arc::new(ParentProxy { port }),
    };
    ExitCode::from(run(std::env::args_os().skip(1).collect(), outside))
}

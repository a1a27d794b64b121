//! The program `web3signer`: gives the real world to [`web3signer_rs::start::run`] and exits with its code.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use web3signer_rs::clock::Clock;
use web3signer_rs::start::{Outside, run};

#[derive(Debug)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "here the program meets the world")]
    fn now(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

fn main() -> ExitCode {
    // A word or variable that is not text names no option; it is refused as such.
    let text = |word: std::ffi::OsString| word.to_string_lossy().into_owned();
    let words: Vec<String> = std::env::args_os().skip(1).map(text).collect();
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .filter(|(name, _)| name.starts_with("WEB3SIGNER_"))
        .collect();
    run(Outside {
        words: &words,
        environment: &environment,
        stdout: Arc::new(Mutex::new(std::io::stdout())),
        stderr: &mut std::io::stderr(),
        clock: Arc::new(SystemClock),
    })
}

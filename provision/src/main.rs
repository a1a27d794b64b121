//! The program `provision`: gives the real world to [`provision::run::run`], once.
#![forbid(unsafe_code)]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use abi::vsock::KMS_PROXY_PORT;
use anyhow::Context as _;
use control::policy::{self, ImagePolicy};
use control::provision::{SIGNER_DIR, SOCKET};
use kmstool_rs::clock::{Clock, RandomJitter};
use kmstool_rs::vsock::ParentProxy;
use provision::DEADLINE;
use provision::exchange::Exchange;
use provision::run::{Outside, run};
use provision::vault::Vault;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "here the program meets the world")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("event=failed error={:?}", format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn work() -> anyhow::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("turning core dumps off")?;
    if mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_err() {
        // An enclave has no swap: nothing is lost but a second lock on the same door.
        say("event=unlocked");
    }
    let policy = read_policy().with_context(|| format!("reading {}", policy::PATH))?;
    let agent = policy.users.agent;
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .context("starting the runtime")?;
    let whole = async {
        let mut exchange = Exchange::connect(Path::new(SOCKET), agent).await?;
        let job = exchange.job().await?;
        let outside = Outside {
            policy,
            vault: Vault::new(SIGNER_DIR.into()),
            nsm: Box::new(nsm::Session::open().context("opening the NSM")?),
            connect: Arc::new(ParentProxy { port: KMS_PROXY_PORT }),
            clock: Arc::new(SystemClock),
            jitter: Arc::new(RandomJitter),
            late: Box::new(move || started.elapsed() >= DEADLINE),
            say: Box::new(say),
        };
        let (ended, vault) = run(job, outside).await;
        let told = exchange.answer(&ended.outcome).await;
        match (&ended.swap, &told) {
            (Some(swap), Ok(())) => vault.keep(swap).context("wiping the files of before")?,
            (Some(swap), Err(_)) => vault.undo(swap).context("going back to the files of before")?,
            (None, _) => {}
        }
        told.context("telling the agent")
    };
    // The timer must be made where the runtime's clock runs.
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, whole)
            .await
            .context("running the job")?
    })
}

/// A line for the log, as PID 1's and the agent's: the parent may read it.
fn say(text: &str) {
    // There is nobody to tell that the log is gone.
    writeln!(std::io::stderr(), "nitro-provision {text}").unwrap_or_default();
}

fn read_policy() -> anyhow::Result<ImagePolicy> {
    let mut bytes = Vec::new();
    let most = u64::try_from(policy::MAX_BYTES)? + 1;
    std::fs::File::open(policy::PATH)?
        .take(most)
        .read_to_end(&mut bytes)?;
    Ok(ImagePolicy::parse(&bytes)?)
}

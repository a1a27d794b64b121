//! What `status` answers: what the enclave is, and how its boot went.
//!
//! Nothing of it is attested: it comes from inside, but the parent carries it and can change it. Who must be sure asks for
//! an attestation document.

use std::collections::BTreeMap;

use abi::boot::Stage;
use abi::events::{Event, Kind};
use nsm::{Nsm, NsmError, Pcr, PcrIndex};
use serde::Serialize;

use crate::sources::{SourceError, Sources};

/// The registers that are shown: image, boot, application, parent's role, parent instance, signer, deployment config.
pub const SHOWN_PCRS: [u16; 7] = [0, 1, 2, 3, 4, 8, 16];

/// The body of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The stage that PID 1 is in, a name of [`Stage`].
    pub stage: &'static str,
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// The stages that were passed, in order.
    pub boot: Vec<Passed>,
    /// [`SHOWN_PCRS`] by number, each as 96 lower-case hex characters.
    pub pcrs: BTreeMap<u16, String>,
    /// Whether the enclave runs in debug mode: PCR0 is zero then, and the parent can read its console.
    pub debug: bool,
    /// The kernel's active hardware random number generator.
    pub entropy_source: String,
    /// The NSM's name for this enclave.
    pub module_id: String,
    /// Version of the agent.
    pub version: &'static str,
}

/// A stage of the boot that was passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// A name of [`Stage`].
    pub stage: &'static str,
    /// `ok`, or `skipped` when there was nothing to do.
    pub event: &'static str,
    /// When it was passed, in milliseconds since the kernel started.
    pub uptime_ms: u64,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The module does not answer.
    #[error("nsm-failed")]
    Nsm(#[from] NsmError),
    /// A file does not say what it should.
    #[error("source-failed")]
    Source(#[from] SourceError),
}

impl Status {
    /// Asks the module and reads the files; blocks while it does.
    ///
    /// # Errors
    /// [`StatusError`] when any part cannot be had: a status with a hole could be taken for a good one.
    pub fn collect(nsm: &dyn Nsm, sources: &Sources) -> Result<Self, StatusError> {
        let events = sources.events()?;
        let mut pcrs = BTreeMap::new();
        for index in SHOWN_PCRS.into_iter().filter_map(PcrIndex::new) {
            pcrs.insert(index.number(), nsm.describe_pcr(index)?.value);
        }
        Ok(Self {
            stage: events.last().map_or(Stage::Start, |event| event.stage).name(),
            uptime_ms: sources.uptime_ms()?,
            boot: events.iter().filter_map(passed).collect(),
            debug: pcrs.get(&0) == Some(&Pcr::ZERO),
            pcrs: pcrs
                .into_iter()
                .map(|(index, pcr)| (index, pcr.to_string()))
                .collect(),
            entropy_source: sources.rng()?,
            module_id: nsm.describe()?.module_id,
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

fn passed(event: &Event) -> Option<Passed> {
    matches!(event.kind, Kind::Ok | Kind::Skipped).then(|| Passed {
        stage: event.stage.name(),
        event: event.kind.name(),
        uptime_ms: event.uptime_ms,
    })
}

//! What `status` answers: what the enclave is, how its boot went, and how the signer is. The form is [`control::status`].

use std::collections::BTreeMap;

use abi::boot::Stage;
use abi::events::{Event, Key, Kind};
use control::artefact::Kind as Artefact;
use control::provision::State;
use control::status::{Certificate, Clock, Passed, Status};
use nsm::{Nsm, NsmError, Pcr, PcrIndex};

use crate::core::Core;
use crate::sources::{SourceError, Sources};

/// The registers that are shown: image, boot, application, parent's role, parent instance, signer, deployment config.
pub const SHOWN_PCRS: [u16; 7] = [0, 1, 2, 3, 4, 8, 16];

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// The module does not answer.
    #[error("the module does not answer")]
    Nsm(#[from] NsmError),
    /// A file does not say what it should.
    #[error("a file does not say what it should")]
    Source(#[from] SourceError),
}

/// The first part: asks the module and reads the files; blocks while it does.
///
/// # Errors
/// [`StatusError`] when any part cannot be had: a status with a hole could be taken for a good one.
pub fn collect(nsm: &dyn Nsm, sources: &Sources) -> Result<Status, StatusError> {
    let events = sources.events()?;
    let mut pcrs = BTreeMap::new();
    for index in SHOWN_PCRS.into_iter().filter_map(PcrIndex::new) {
        pcrs.insert(index.number(), nsm.describe_pcr(index)?.value);
    }
    let uptime_ms = sources.uptime_ms()?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let mut versions = BTreeMap::from([("agent".to_owned(), version.clone())]);
    if let Some(init) = events.iter().find_map(|event| event.field(Key::Version)) {
        versions.insert("init".to_owned(), init.to_owned());
    }
    Ok(Status {
        stage: events
            .last()
            .map_or(Stage::Start, |event| event.stage)
            .name()
            .to_owned(),
        uptime_ms,
        boot: events.iter().filter_map(passed).collect(),
        debug: pcrs.get(&0) == Some(&Pcr::ZERO),
        pcrs: pcrs
            .into_iter()
            .map(|(index, pcr)| (index, pcr.to_string()))
            .collect(),
        entropy_source: sources.rng()?,
        module_id: nsm.describe()?.module_id,
        version,
        phase: None,
        config_sha384: None,
        signer: None,
        keys: None,
        certificate: None,
        clock: sources.clock()?.as_ref().map(|event| clock(event, uptime_ms)),
        artefact_versions: BTreeMap::new(),
        versions,
        log_dropped: None,
    })
}

fn passed(event: &Event) -> Option<Passed> {
    matches!(event.kind, Kind::Ok | Kind::Skipped).then(|| Passed {
        stage: event.stage.name().to_owned(),
        event: event.kind.name().to_owned(),
        uptime_ms: event.uptime_ms,
    })
}

fn clock(event: &Event, uptime_ms: u64) -> Clock {
    let offset = event.field(Key::OffsetUs).and_then(|text| text.parse().ok());
    Clock {
        source: event.field(Key::Source).unwrap_or("absent").to_owned(),
        offset_us: offset,
        read_ms_ago: offset.map(|_| uptime_ms.saturating_sub(event.uptime_ms)),
    }
}

impl Core {
    /// Adds what the agent knows itself.
    pub(crate) fn complete(&self, mut status: Status) -> Status {
        self.with_machine(|machine| {
            status.phase = Some(machine.phase());
            status.config_sha384 = machine
                .config()
                .and_then(|config| config.hash.text())
                .map(String::from);
        });
        status.signer = Some(self.book.signer());
        status.log_dropped = Some(self.parts.ring.dropped());
        self.with_held(|held| {
            let Some(state) = held.state.as_deref() else {
                return;
            };
            status.keys = u64::try_from(state.public_keys.len()).ok();
            status.certificate = Some(certificate(state));
            status.artefact_versions = versions(state);
        });
        status
    }
}

fn certificate(state: &State) -> Certificate {
    Certificate {
        not_after_unix_s: state.tls.not_after_unix_s,
        sha256: state.tls.sha256.to_string(),
    }
}

fn versions(state: &State) -> BTreeMap<Artefact, u64> {
    let versions = state.artefact_versions;
    BTreeMap::from([
        (Artefact::TlsKey, versions.tls_key),
        (Artefact::Clients, versions.clients),
        (Artefact::SlashingCredential, versions.slashing_credential),
    ])
}

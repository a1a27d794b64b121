//! What all connections share: the signer, the switches, and what a reload replaces.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::client_keys::{self, Allowed, ClientKeys};
use crate::config::{Clients, Config, HostList, Origins, Tls};
use crate::current::Current;
use crate::keys::{Changes, Keys, LoadReport, Progress, lock_memory};
use crate::log::Log;
use crate::reload::{Ending, Reloads};
use crate::server::router::Switches;
use crate::signer::Signer;
use crate::slashing::key::ValidatorKey;
use crate::slashing::refusal::StoreError;
use crate::slashing::report::Registration;
use crate::slashing::{Leaving, Protection};
use crate::tls::certificate::ClientName;
use crate::tls::server::{TlsError, TlsServer};

/// Shared by all connections.
#[derive(Debug)]
pub struct App {
    /// Makes signatures.
    pub signer: Signer,
    /// The log.
    pub log: Log,
    /// Log one line for each request.
    pub access_log: bool,
    /// Endpoints that are on.
    pub switches: Switches,
    /// Names that the Host header may have.
    pub hosts: HostList,
    /// Pages that may send requests.
    pub origins: Origins,
    /// Which client may use which keys.
    pub client_keys: Current<ClientKeys>,
    /// TLS, as it is now; `None` for plain HTTP. Receivers see a reload.
    pub tls: Option<tokio::sync::watch::Sender<TlsServer>>,
    /// State of reloads.
    pub reloads: Reloads,
    /// How long a reload may take.
    pub reload_timeout: Duration,
    /// Where TLS and the map of clients come from.
    pub sources: Sources,
}

/// Files that are read again on a reload.
#[derive(Debug, Clone)]
pub struct Sources {
    /// TLS.
    pub tls: Option<Tls>,
    /// The map of clients.
    pub client_keys: Option<std::path::PathBuf>,
    /// Versions of artefacts in use.
    pub artefacts: Option<std::path::PathBuf>,
}

impl Sources {
    /// Those of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            tls: config.tls.clone(),
            client_keys: config.client_keys.clone(),
            artefacts: config
                .slashing
                .as_ref()
                .and_then(|slashing| slashing.store.artefacts_file())
                .map(Path::to_owned),
        }
    }
}

/// Why something that was asked for could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The map of clients.
    #[error("client keys file {}: {why}", .path.display())]
    ClientKeys {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        why: String,
    },
    /// The file of artefacts' versions.
    #[error("artefacts file {}: {why}", .path.display())]
    Artefacts {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        why: String,
    },
    /// Slashing protection did not take the keys.
    #[error("slashing protection cannot register the keys: {}", causes(.0))]
    Register(#[from] StoreError),
}

/// An error with all its causes, on one line.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Reads the map of clients.
///
/// # Errors
/// [`LoadError::ClientKeys`].
pub fn read_client_keys(path: Option<&Path>) -> Result<ClientKeys, LoadError> {
    let Some(path) = path else {
        return Ok(ClientKeys::Everyone);
    };
    let wrong = |why: String| LoadError::ClientKeys {
        path: path.to_owned(),
        why,
    };
    let size = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
    if size > u64::try_from(client_keys::FILE_LIMIT).unwrap_or(u64::MAX) {
        return Err(wrong(format!(
            "it has {size} bytes; at most {} are read",
            client_keys::FILE_LIMIT
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    ClientKeys::parse(&bytes).map_err(|e| wrong(e.to_string()))
}

/// Longest file of artefacts' versions, bytes.
const ARTEFACTS_LIMIT: u64 = 4096;

/// Tells slashing protection which versions of artefacts are in use, before they are.
///
/// # Errors
/// [`LoadError::Artefacts`]: not a JSON object of numbers, or a version below the highest that was seen.
pub async fn use_artefacts(protection: &Protection, path: Option<&Path>) -> Result<(), LoadError> {
    let Some(path) = path else { return Ok(()) };
    let wrong = |why: String| LoadError::Artefacts {
        path: path.to_owned(),
        why,
    };
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(ARTEFACTS_LIMIT + 1).read_to_end(&mut text))
        .map_err(|e| wrong(e.to_string()))?;
    let versions: Option<BTreeMap<String, u64>> = serde_json::from_slice(&text)
        .ok()
        .filter(|_| text.len() <= usize::try_from(ARTEFACTS_LIMIT).unwrap_or(usize::MAX));
    let versions = versions
        .ok_or_else(|| wrong("not a JSON object of at most 4096 bytes with versions by kind".to_owned()))?;
    protection
        .use_artefacts(&versions)
        .await
        .map_err(|e| wrong(causes(&e)))
}

/// Loads keys and tells slashing protection of them, before they can be used. Blocks; run it on a thread for that.
///
/// # Errors
/// [`LoadError::Register`]; then nothing has changed.
pub fn load_keys(
    keys: &Keys,
    protection: &Protection,
    log: &Log,
    runtime: &tokio::runtime::Handle,
) -> Result<LoadReport, LoadError> {
    let progress = ProgressLog::new(log.clone());
    let report = keys.load(
        &|now| progress.show(now),
        |changes: &Changes| -> Result<(), StoreError> {
            let added: Vec<ValidatorKey> = changes.added.iter().map(name).collect();
            let registration = runtime.block_on(protection.register(&added))?;
            tell(log, &registration);
            Ok(())
        },
    )?;
    for problem in &report.problems {
        log.error(format_args!("key not loaded: {problem}"));
    }
    for duplicate in &report.duplicates {
        log.warn(duplicate);
    }
    let gone: Vec<ValidatorKey> = report.changes.removed.iter().map(name).collect();
    if !gone.is_empty()
        && let Err(error) = runtime.block_on(protection.disable(&gone, Leaving::Reloaded))
    {
        log.error(format_args!(
            "{} keys are gone, but slashing protection could not note it: {}",
            gone.len(),
            causes(&error)
        ));
    }
    log.info(format_args!(
        "keys loaded: {} in use, {} new, {} gone, {} files or folders not usable",
        report.keys,
        report.changes.added.len(),
        gone.len(),
        report.problems.len()
    ));
    if let Err(error) = lock_memory() {
        log.debug(format_args!("{}", causes(&error)));
    }
    Ok(report)
}

fn name(key: &keystore::PublicKey) -> ValidatorKey {
    ValidatorKey::from_bytes(key.to_bytes())
}

/// Says which keys slashing protection will not let sign.
pub fn tell(log: &Log, registration: &Registration) {
    for key in &registration.unknown {
        log.warn(format_args!("slashing protection has no record of {key}: it will sign no block and no attestation until its history is imported"));
    }
    for key in &registration.disabled {
        log.warn(format_args!(
            "slashing protection has {key} disabled: it will sign no block and no attestation"
        ));
    }
}

/// Logs every tenth of a long load.
struct ProgressLog {
    log: Log,
    tenth: std::sync::atomic::AtomicUsize,
}

impl ProgressLog {
    /// Loads of fewer units are over before anyone reads a line.
    const WORTH: usize = 200;

    fn new(log: Log) -> Self {
        Self {
            log,
            tenth: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    fn show(&self, now: Progress) {
        if now.total < Self::WORTH {
            return;
        }
        let tenth = now.done * 10 / now.total;
        let before = self.tenth.fetch_max(tenth, std::sync::atomic::Ordering::Relaxed);
        if tenth > before {
            self.log
                .info(format_args!("loading keys: {} of {}", now.done, now.total));
        }
    }
}

impl App {
    /// What a client may use.
    #[must_use]
    pub fn allowed(&self, client: Option<&ClientName>) -> Allowed {
        self.client_keys.get().of(client)
    }

    /// Starts a reload in the background. `false`: one runs already.
    #[must_use]
    pub fn start_reload(self: &Arc<Self>) -> bool {
        if !self.reloads.begin() {
            return false;
        }
        let app = Arc::clone(self);
        tokio::spawn(async move {
            app.log.info("reload begins");
            let ending = app.reload().await;
            match &ending {
                Ending::Failed(why) => app.log.error(format_args!("reload failed: {why}")),
                Ending::Clean | Ending::WithErrors(_) => app.log.info("reload is complete"),
            }
            app.reloads.end(ending);
        });
        true
    }

    async fn reload(self: &Arc<Self>) -> Ending {
        let app = Arc::clone(self);
        let runtime = tokio::runtime::Handle::current();
        let work = tokio::task::spawn_blocking(move || app.reload_now(&runtime));
        match tokio::time::timeout(self.reload_timeout, work).await {
            Ok(Ok(ending)) => ending,
            Ok(Err(_)) => Ending::Failed("the loading thread failed".to_owned()),
            // The thread cannot be stopped; what it loads counts when it is done.
            Err(_) => Ending::Failed(
                "it takes longer than --reload-timeout and goes on in the background".to_owned(),
            ),
        }
    }

    /// Clients first: whoever was taken off the list must not profit from keys that are slow to load.
    fn reload_now(&self, runtime: &tokio::runtime::Handle) -> Ending {
        let mut faults = Vec::new();
        // An artefact that is too old is not used: who may connect stays as it is.
        let allowed = runtime.block_on(use_artefacts(
            &self.signer.protection,
            self.sources.artefacts.as_deref(),
        ));
        if let Err(error) = allowed.and_then(|()| self.reload_clients()) {
            faults.push(error.to_string());
        }
        match load_keys(&self.signer.keys, &self.signer.protection, &self.log, runtime) {
            Err(error) => faults.push(error.to_string()),
            Ok(report) => {
                self.count_keys();
                if faults.is_empty() {
                    return match report.problems.len() {
                        0 => Ending::Clean,
                        count => Ending::WithErrors(count),
                    };
                }
            }
        }
        Ending::Failed(faults.join("; "))
    }

    /// Tells the metrics how many keys there are.
    pub fn count_keys(&self) {
        let count = i64::try_from(self.signer.keys.snapshot().len()).unwrap_or(i64::MAX);
        self.signer
            .metrics
            .signers_loaded
            .store(count, std::sync::atomic::Ordering::Relaxed);
    }

    /// Reads TLS files and the map of clients again. Either both are replaced or none.
    fn reload_clients(&self) -> Result<(), LoadError> {
        let client_keys = read_client_keys(self.sources.client_keys.as_deref())?;
        let tls = self.sources.tls.as_ref().map(TlsServer::load).transpose()?;
        self.client_keys.set(client_keys);
        if let (Some(sender), Some(tls)) = (&self.tls, tls) {
            sender.send_replace(tls);
        }
        Ok(())
    }
}

/// One line about who may connect.
#[must_use]
pub fn who_may_connect(tls: Option<&Tls>, loaded: Option<&TlsServer>) -> String {
    let known = loaded
        .and_then(|tls| tls.verifier.as_ref())
        .map_or(0, |verifier| verifier.known_len());
    match tls.map(|tls| &tls.clients) {
        None => "plain HTTP: anyone who reaches the port can ask for signatures".to_owned(),
        Some(Clients::Any) => {
            "TLS without client certificates: anyone who reaches the port can ask for signatures".to_owned()
        }
        Some(Clients::Known { ca_file: None, .. }) => {
            format!("TLS with client certificates: {known} known clients")
        }
        Some(Clients::Known { ca_file: Some(_), .. }) => {
            format!("TLS with client certificates: {known} known clients, and those of the client CA file")
        }
    }
}

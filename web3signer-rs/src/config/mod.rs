//! What the values of a command line mean together: typed, with the rules between options. No file but the network's
//! is opened here, and nothing is started.

mod hosts;
mod slashing;
mod tls;

pub use hosts::{HostList, Origins};
pub use slashing::{HealthQuery, Pruning, Slashing, Store};
pub use tls::{Clients, Tls};

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::error::{Show, UsageError};
use crate::cli::option::Level;
use crate::cli::values::Values;
use crate::log::Severity;

/// Seconds in a minute.
const MINUTE: u64 = 60;

/// Everything that the server needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where `web3signer.ports` is written.
    pub data_path: Option<PathBuf>,
    /// Where keys come from.
    pub keys: KeySources,
    /// What is logged.
    pub log: Log,
    /// The signing interface.
    pub http: Http,
    /// The metrics interface, if there is one.
    pub metrics: Option<Metrics>,
    /// TLS of the signing interface. `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// Name or path of the network, and epochs of forks that replace the network's.
    pub network: NetworkChoice,
    /// The key manager interface: `None` off, else whether imported keys are written to the key folder.
    pub key_manager: Option<KeyManager>,
    /// The signing extension.
    pub signing_extension: bool,
    /// Slashing protection. `None`: off.
    pub slashing: Option<Slashing>,
    /// Which client may use which keys. `None`: all may use all.
    pub client_keys: Option<PathBuf>,
    /// How long a reload may take before it counts as failed.
    pub reload_timeout: Duration,
    /// Options that do nothing, one log line each.
    pub notes: Vec<String>,
}

/// Where keys come from.
#[derive(Debug, Clone)]
pub struct KeySources {
    /// Folder of YAML key files.
    pub config_path: PathBuf,
    /// Largest of those files, in bytes.
    pub max_file_size: u64,
    /// Folder of keystores.
    pub keystores_path: Option<PathBuf>,
    /// Folder of their passwords.
    pub passwords_path: Option<PathBuf>,
    /// The one password of all of them.
    pub password_file: Option<PathBuf>,
}

/// What is logged.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    /// Events below it are not logged.
    pub least: Severity,
    /// One line for each request.
    pub access: bool,
}

/// The signing interface.
#[derive(Debug, Clone)]
pub struct Http {
    /// Host name or address.
    pub host: String,
    /// 0: any free port.
    pub port: u16,
    /// Names that the Host header may have.
    pub hosts: HostList,
    /// Origins for CORS.
    pub origins: Origins,
    /// A connection on which nothing happens is closed after this time.
    pub idle: Duration,
}

/// The metrics interface.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Host name or address.
    pub host: String,
    /// 0: any free port.
    pub port: u16,
    /// Names that the Host header may have.
    pub hosts: HostList,
    /// Groups to serve, upper case.
    pub categories: Vec<String>,
}

/// `--network` and `--Xnetwork-*-fork-epoch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkChoice {
    /// A name, or the path of a file.
    pub name: String,
    /// Name of a fork in lower case, its epoch.
    pub epochs: Vec<(&'static str, u64)>,
}

/// The key manager interface.
#[derive(Debug, Clone, Copy)]
pub struct KeyManager {
    /// Imported keys are written to the key folder.
    pub store: bool,
}

const CATEGORIES: [&str; 5] = ["HTTP", "SIGNING", "JVM", "ETH2_SLASHING_PROTECTION", "PROCESS"];

impl Config {
    /// The configuration of `eth2` or of one of its sub-commands.
    ///
    /// # Errors
    /// A rule between options that is broken, in the order in which upstream looks.
    pub fn new(level: Level, values: &Values) -> Result<Self, UsageError> {
        let usage = |reason: String| UsageError::new(level, reason);
        if values.number("--key-store-config-file-max-size") <= 0 {
            return Err(usage(
                "Invalid value for option '--key-store-config-file-max-size': Expecting positive value."
                    .to_owned(),
            ));
        }
        let tls = Tls::new(values).map_err(usage)?;
        if values.flag("--metrics-enabled") && values.flag("--metrics-push-enabled") {
            return Err(UsageError {
                level,
                reason: "--metrics-enabled option and --metrics-push-enabled option can't be used at the same time."
                    .to_owned(),
                show: Show::Nothing,
            });
        }
        let metrics = metrics(values).map_err(usage)?;
        let http = http(values).map_err(usage)?;
        let network = NetworkChoice::of(values);
        let slashing = Slashing::new(level, values).map_err(usage)?;
        let keys = keys(values).map_err(usage)?;
        commit_boost(values).map_err(usage)?;
        if let Some((name, why)) = values.refused.first() {
            return Err(usage(format!("Option '{name}' is not implemented: {why}")));
        }
        if values.text("--client-keys-file").is_some()
            && !matches!(&tls, Some(tls) if tls.clients.are_known())
        {
            return Err(usage(
                "--client-keys-file needs clients with a name: --tls-keystore-file and --tls-known-clients-file or \
                 --tls-allow-ca-clients"
                    .to_owned(),
            ));
        }
        Ok(Self {
            data_path: values.text("--data-path").map(PathBuf::from),
            keys,
            log: Log {
                least: values
                    .text("--logging")
                    .and_then(Severity::of)
                    .unwrap_or(Severity::Info),
                access: values.flag("--access-logs-enabled"),
            },
            http,
            metrics,
            tls,
            network,
            key_manager: values.flag("--key-manager-api-enabled").then(|| KeyManager {
                store: !values.flag("--Xkey-manager-skip-keystore-storage"),
            }),
            signing_extension: values.flag("--Xsigning-ext-enabled"),
            slashing,
            client_keys: values.text("--client-keys-file").map(PathBuf::from),
            reload_timeout: Duration::from_secs(MINUTE * unsigned(values, "--reload-timeout")),
            notes: notes(values),
        })
    }
}

fn unsigned(values: &Values, key: &str) -> u64 {
    u64::try_from(values.number(key)).unwrap_or(0)
}

fn port(values: &Values, key: &str) -> Result<u16, String> {
    let number = values.number(key);
    u16::try_from(number).map_err(|_| {
        format!("Invalid value for option '{key}' (<PORT>): {number} is not a port (0 to 65535)")
    })
}

fn http(values: &Values) -> Result<Http, String> {
    Ok(Http {
        host: values.text("--http-listen-host").unwrap_or_default().to_owned(),
        port: port(values, "--http-listen-port")?,
        hosts: HostList::new(values.list("--http-host-allowlist"))?,
        origins: Origins::new(values.list("--http-cors-origins"))?,
        idle: Duration::from_secs(unsigned(values, "--idle-connection-timeout-seconds")),
    })
}

fn metrics(values: &Values) -> Result<Option<Metrics>, String> {
    let categories: Vec<String> = values.list("--metrics-category").to_vec();
    for name in &categories {
        if !CATEGORIES.contains(&name.as_str()) {
            return Err(format!(
                "Invalid value for option '--metrics-categories' (<category name>): Category '{name}' not found; there are {}",
                CATEGORIES.join(", ")
            ));
        }
    }
    let metrics = Metrics {
        host: values.text("--metrics-host").unwrap_or_default().to_owned(),
        port: port(values, "--metrics-port")?,
        hosts: HostList::new(values.list("--metrics-host-allowlist"))?,
        categories,
    };
    Ok(values.flag("--metrics-enabled").then_some(metrics))
}

impl NetworkChoice {
    /// What the options say.
    #[must_use]
    pub fn of(values: &Values) -> Self {
        network(values)
    }
}

fn network(values: &Values) -> NetworkChoice {
    let forks = [
        ("altair", "--Xnetwork-altair-fork-epoch"),
        ("bellatrix", "--Xnetwork-bellatrix-fork-epoch"),
        ("capella", "--Xnetwork-capella-fork-epoch"),
        ("deneb", "--Xnetwork-deneb-fork-epoch"),
        ("electra", "--Xnetwork-electra-fork-epoch"),
        ("fulu", "--Xnetwork-fulu-fork-epoch"),
        ("gloas", "--Xnetwork-gloas-fork-epoch"),
    ];
    NetworkChoice {
        name: values.text("--network").unwrap_or_default().to_owned(),
        epochs: forks
            .into_iter()
            .filter_map(|(fork, key)| values.unsigned(key).map(|epoch| (fork, epoch)))
            .collect(),
    }
}

fn keys(values: &Values) -> Result<KeySources, String> {
    let of = |key| values.text(key).map(PathBuf::from);
    let keys = KeySources {
        config_path: of("--key-config-path").unwrap_or_default(),
        max_file_size: unsigned(values, "--key-store-config-file-max-size"),
        keystores_path: of("--keystores-path"),
        passwords_path: of("--keystores-passwords-path"),
        password_file: of("--keystores-password-file"),
    };
    if keys.passwords_path.is_some() && keys.password_file.is_some() {
        return Err(
            "Only one of --keystores-passwords-path or --keystores-password-file options can be specified"
                .to_owned(),
        );
    }
    Ok(keys)
}

/// Upstream's own complaints come first; then the option is refused like every other that is not implemented.
fn commit_boost(values: &Values) -> Result<(), String> {
    if !values.flag("--commit-boost-api-enabled") {
        return Ok(());
    }
    for key in ["--proxy-keystores-path", "--proxy-keystores-password-file"] {
        if values.text(key).is_none() {
            return Err(format!("Commit boost API is enabled, but {key} not set"));
        }
    }
    Ok(())
}

fn notes(values: &Values) -> Vec<String> {
    values
        .idle
        .iter()
        .map(|(name, why)| format!("{name} has no effect: {why}"))
        .collect()
}

#[cfg(test)]
mod tests;

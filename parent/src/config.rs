//! The configuration file: strict TOML, one for all sub-commands. Each uses its own sections and leaves the others alone.
//!
//! `deploy/systemd/parent.toml` is a commented example. Unknown keys are errors. There is no secret in it.

mod sections;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use control::config::DeploymentConfig;
use serde::Deserialize;

pub use sections::{
    Enclave, HttpsProxy, Limits, Log, Route, Service, Tables, Times, Transport, VsockProxy, Watchdog,
};

/// Where the file is, unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/nitro-web3signer/parent.toml";

/// Longest file, bytes.
const MAX_BYTES: u64 = 256 * 1024;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Our own log.
    pub log: Log,
    /// How the enclave is reached.
    pub transport: Transport,
    /// What the watchdog does. Needed by `watchdog`.
    pub watchdog: Option<Watchdog>,
    /// The deployment config that is sent with `configure`; none where the image has its own.
    pub deployment: Option<DeploymentConfig>,
    /// The signer as its clients see it.
    pub service: Service,
    /// Needed by `https-proxy`.
    pub https_proxy: Option<HttpsProxy>,
    /// Needed by `vsock-proxy`.
    pub vsock_proxy: Option<VsockProxy>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path} is wrong")]
    Form {
        /// Its path.
        path: PathBuf,
        /// Where and why.
        source: toml::de::Error,
    },
    /// A value that no type can catch.
    #[error("{key}: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// A section that the sub-command needs.
    #[error(
        "{command} needs the section [{section}] of the configuration file; deploy/systemd/parent.toml is an example"
    )]
    Section {
        /// The sub-command.
        command: &'static str,
        /// The section.
        section: &'static str,
    },
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`], by its variants.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        use std::io::Read;

        let mut text = String::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        read.map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Form {
            path: path.to_owned(),
            source,
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let value = |good: bool, key, problem| {
            if good {
                Ok(())
            } else {
                Err(ConfigError::Value { key, problem })
            }
        };
        value(
            self.transport.folder.is_some() || self.transport.cid > 3,
            "transport.cid",
            "0 to 3 are taken; nitro-cli gives what --enclave-cid says, 16 by convention",
        )?;
        let pair = self.service.client_certificate.is_some() == self.service.client_key.is_some();
        value(
            pair,
            "service.client_certificate",
            "client_certificate and client_key go together",
        )?;
        if let Some(watchdog) = &self.watchdog {
            value(
                !watchdog.tables.web3signer_uuids.is_empty(),
                "watchdog.tables.web3signer_uuids",
                "name at least one stack uuid",
            )?;
            value(
                watchdog.tables.page_size != Some(0),
                "watchdog.tables.page_size",
                "a page has at least one item",
            )?;
            value(
                watchdog.times.probes > 0,
                "watchdog.times.probes",
                "must be at least 1",
            )?;
            if let Enclave::Command { words } = &watchdog.enclave {
                value(
                    words.first().is_some_and(|word| !word.is_empty()),
                    "watchdog.enclave.words",
                    "name a program",
                )?;
            }
            loopback("watchdog.metrics", watchdog.metrics)?;
        }
        if let Some(proxy) = &self.https_proxy {
            loopback("https_proxy.metrics", proxy.metrics)?;
            check_limits("https_proxy.limits", &proxy.limits)?;
        }
        if let Some(proxy) = &self.vsock_proxy {
            loopback("vsock_proxy.metrics", proxy.metrics)?;
            check_limits("vsock_proxy.limits", &proxy.limits)?;
            value(
                !proxy.route.is_empty(),
                "vsock_proxy.route",
                "there is none; the enclave needs at least KMS",
            )?;
            let mut ports: Vec<u32> = proxy.route.iter().map(|route| route.vsock_port).collect();
            ports.sort_unstable();
            ports.dedup();
            value(
                ports.len() == proxy.route.len(),
                "vsock_proxy.route",
                "two routes have the same vsock_port",
            )?;
            let good = |route: &Route| {
                route.port > 0 && is_host(&route.host) && ![0, u32::MAX].contains(&route.vsock_port)
            };
            value(
                proxy.route.iter().all(good),
                "vsock_proxy.route",
                "vsock_port, host (a name or address) and port must name one server",
            )?;
        }
        Ok(())
    }
}

fn loopback(key: &'static str, address: Option<SocketAddr>) -> Result<(), ConfigError> {
    if address.is_none_or(|address| address.ip().is_loopback()) {
        return Ok(());
    }
    Err(ConfigError::Value {
        key,
        problem: "must be a loopback address, as 127.0.0.1:9101",
    })
}

fn check_limits(key: &'static str, limits: &Limits) -> Result<(), ConfigError> {
    let good = limits.connections > 0
        && limits.per_source > 0
        && (1..=4096).contains(&limits.buffer_kib)
        && !limits.idle.is_zero();
    if good {
        Ok(())
    } else {
        Err(ConfigError::Value {
            key,
            problem: "every limit must be above 0, buffer_kib at most 4096",
        })
    }
}

fn is_host(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.:_".contains(&b))
}

#[cfg(test)]
mod tests;

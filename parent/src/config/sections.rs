//! The sections of the file and their defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use control::log::Level;
use control::text::{HostName, StackId};
use serde::{Deserialize, Deserializer};

use crate::journal::Format;
use crate::transport::{Dialer, Place};

/// `[log]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `text` or `json`.
    pub format: Format,
    /// `debug`, `info`, `warn` or `error`.
    pub level: Level,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: Format::Text,
            level: Level::Info,
        }
    }
}

/// `[transport]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transport {
    /// Context id of the enclave.
    pub cid: u32,
    /// Folder of Unix sockets in place of vsock, see [`crate::transport`].
    pub folder: Option<PathBuf>,
    /// How long a connection to the enclave may take.
    #[serde(rename = "connect_s", deserialize_with = "seconds")]
    pub connect: Duration,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            cid: abi::vsock::ENCLAVE_CID,
            folder: None,
            connect: Duration::from_secs(5),
        }
    }
}

impl Transport {
    /// Where the enclave is.
    #[must_use]
    pub fn place(&self) -> Place {
        self.folder
            .clone()
            .map_or(Place::Vsock { cid: self.cid }, Place::Folder)
    }

    /// What calls it.
    #[must_use]
    pub fn dialer(&self) -> Dialer {
        Dialer::new(self.place(), self.connect)
    }
}

/// `[watchdog]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// How the enclave is started.
    pub enclave: Enclave,
    /// Where the artefacts are.
    pub tables: Tables,
    /// Endpoint of the instance metadata service.
    #[serde(default = "imds_endpoint")]
    pub imds_endpoint: String,
    /// Prometheus numbers; loopback unless `metrics_anywhere`.
    pub metrics: Option<SocketAddr>,
    /// Times.
    #[serde(default)]
    pub times: Times,
    /// Leave the enclave running when the watchdog is told to end. The next one takes it over.
    #[serde(default)]
    pub keep_enclave: bool,
}

fn imds_endpoint() -> String {
    crate::imds::DEFAULT_ENDPOINT.to_owned()
}

/// `[watchdog.enclave]`: `launcher = "nitro-cli"` or `launcher = "command"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "launcher", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Enclave {
    /// AWS's tool.
    NitroCli {
        /// The program.
        #[serde(default = "nitro_cli")]
        program: PathBuf,
        /// The image file.
        image: PathBuf,
        /// Processors.
        cpus: u32,
        /// Memory, MiB.
        memory_mib: u64,
        /// All-zero PCRs and a readable console; KMS will refuse.
        #[serde(default)]
        debug: bool,
    },
    /// A program that runs an enclave for as long as it lives, and ends it on SIGTERM. It must answer the heartbeat itself.
    Command {
        /// Program and arguments.
        words: Vec<String>,
    },
}

fn nitro_cli() -> PathBuf {
    "nitro-cli".into()
}

/// `[watchdog.tables]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// Region of the tables.
    pub region: String,
    /// Name of the table of TLS keys.
    pub tls: String,
    /// Its `key_id`.
    #[serde(default = "one")]
    pub tls_key_id: String,
    /// Name of the table of validator keys.
    pub validators: String,
    /// Whose keys to take.
    pub web3signer_uuids: Vec<StackId>,
    /// Endpoint in place of the region's, for local use.
    pub endpoint: Option<String>,
    /// Send bare ciphertexts, as the published guidance does. The image must be a `legacy_no_context` one.
    #[serde(default)]
    pub legacy: bool,
    /// Items of a page; the service's own bound (1 MiB) where absent.
    pub page_size: Option<u16>,
}

fn one() -> String {
    "1".to_owned()
}

/// `[watchdog.times]`, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Times {
    /// From the start of the launcher to the first answer to `status`.
    #[serde(rename = "boot_s", deserialize_with = "seconds")]
    pub boot: Duration,
    /// For `init`; more keys need more.
    #[serde(rename = "init_s", deserialize_with = "seconds")]
    pub init: Duration,
    /// Between two looks at the service.
    #[serde(rename = "probe_s", deserialize_with = "seconds")]
    pub probe: Duration,
    /// Failed looks in a row after which the enclave is started again.
    pub probes: u32,
    /// First pause after a failure; it doubles each time.
    #[serde(rename = "first_pause_s", deserialize_with = "seconds")]
    pub first_pause: Duration,
    /// Longest pause.
    #[serde(rename = "longest_pause_s", deserialize_with = "seconds")]
    pub longest_pause: Duration,
    /// How long the service must be good before failures are forgotten.
    #[serde(rename = "settled_s", deserialize_with = "seconds")]
    pub settled: Duration,
    /// For ending the enclave.
    #[serde(rename = "stop_s", deserialize_with = "seconds")]
    pub stop: Duration,
}

impl Default for Times {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            boot: s(240),
            init: s(300),
            probe: s(5),
            // Longer than a JVM that the agent starts again.
            probes: 24,
            first_pause: s(1),
            longest_pause: s(120),
            settled: s(300),
            stop: s(30),
        }
    }
}

/// `[service]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Service {
    /// Name that the signer's certificate must have.
    pub server_name: Option<HostName>,
    /// PEM of the certificate, or of the authority that it must chain to. The watchdog uses the table's `cert_pem` without it.
    pub trust: Option<PathBuf>,
    /// PEM of a client certificate that the signer lets in.
    pub client_certificate: Option<PathBuf>,
    /// PEM of its private key.
    pub client_key: Option<PathBuf>,
    /// Where `status` reaches the https-proxy.
    pub address: Option<String>,
}

/// `[https_proxy]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpsProxy {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where load balancers ask for `/healthz`.
    pub health: Option<SocketAddr>,
    /// Where auditors ask for `/attest`.
    pub attest: Option<SocketAddr>,
    /// Prometheus numbers.
    pub metrics: Option<SocketAddr>,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
}

/// `[https_proxy.limits]` and `[vsock_proxy.limits]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time of one source (an IPv4 address or an IPv6 /64). Only for `https_proxy`.
    pub per_source: usize,
    /// How long the first byte may take. Only for `https_proxy`.
    #[serde(rename = "first_byte_s", deserialize_with = "seconds")]
    pub first_byte: Duration,
    /// How long a connection to a server may take. Only for `vsock_proxy`.
    #[serde(rename = "connect_s", deserialize_with = "seconds")]
    pub connect: Duration,
    /// How long nothing may move.
    #[serde(rename = "idle_s", deserialize_with = "seconds")]
    pub idle: Duration,
    /// Buffer for each direction of a connection.
    pub buffer_kib: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            connections: 1024,
            per_source: 256,
            first_byte: s(10),
            connect: s(10),
            idle: s(300),
            buffer_kib: 64,
        }
    }
}

/// `[vsock_proxy]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockProxy {
    /// The only ways out.
    pub route: Vec<Route>,
    /// Prometheus numbers.
    pub metrics: Option<SocketAddr>,
    /// Bounds, for each route.
    #[serde(default)]
    pub limits: Limits,
}

/// `[[vsock_proxy.route]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// vsock port where the enclave connects.
    pub vsock_port: u32,
    /// The server's name, or its address.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

/// Seconds, whole or with a fraction, from 0 to a year.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    const YEAR_S: f64 = 365.0 * 86400.0;
    let seconds = f64::deserialize(deserializer)?;
    let good = (0.0..=YEAR_S).contains(&seconds);
    good.then(|| Duration::from_secs_f64(seconds))
        .ok_or_else(|| serde::de::Error::custom("expected seconds from 0 to 31536000"))
}

//! The body of the answer to `status`.
//!
//! Nothing of it is attested: it comes from inside, but the parent carries it and can change it. Who must be sure asks for
//! an attestation document. The fields of the first part are there since the first agent; each of the second
//! part is absent where the agent does not know it (yet).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::artefact::Kind;

/// How the enclave is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The stage that PID 1 is in, a name of [`abi::boot::Stage`].
    pub stage: String,
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// The stages that were passed, in order.
    pub boot: Vec<Passed>,
    /// Registers by number, each as 96 lower-case hexadecimal digits.
    pub pcrs: BTreeMap<u16, String>,
    /// Whether the enclave runs in debug mode: PCR0 is zero then, and the parent can read its console.
    pub debug: bool,
    /// The kernel's active hardware random number generator.
    pub entropy_source: String,
    /// The NSM's name for this enclave.
    pub module_id: String,
    /// Version of the agent.
    pub version: String,

    /// How far the bootstrap is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// SHA-384 of the canonical deployment config, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_sha384: Option<String>,
    /// How the signer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Signer>,
    /// Validator keys that the signer has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    /// The signer's TLS certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// The clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// Versions of the artefacts in use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub artefact_versions: BTreeMap<Kind, u64>,
    /// Version of each program of the image, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, String>,
    /// Log records that were dropped because the parent did not take them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_dropped: Option<u64>,
}

/// A stage of the boot that was passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// A name of [`abi::boot::Stage`].
    pub stage: String,
    /// `ok`, or `skipped` when there was nothing to do.
    pub event: String,
    /// When it was passed, in milliseconds since the kernel started.
    pub uptime_ms: u64,
}

/// How far the bootstrap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// Neither the manifest nor `configure` has given a config.
    Unconfigured,
    /// A config is measured; `init` is awaited.
    Configured,
    /// `init` is under way.
    Initialising,
    /// The last `init` failed; another is awaited.
    InitFailed,
    /// `init` was done. Whether signing works is [`Signer::state`].
    Initialised,
    /// A phase that this version has no word for.
    #[serde(other)]
    Other,
}

/// How the signer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SignerState {
    /// Not started yet.
    Absent,
    /// Started; its health check has not been good yet.
    Starting,
    /// The last health check was good.
    Healthy,
    /// It runs; the last health check was not good.
    Unhealthy,
    /// It ended and is to be started again.
    Restarting,
    /// A state that this version has no word for.
    #[serde(other)]
    Other,
}

/// The signer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// How it is.
    pub state: SignerState,
    /// How often it was started again.
    pub restarts: u64,
    /// Milliseconds since its last good health check; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_ms_ago: Option<u64>,
}

/// The signer's TLS certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Last second of its validity, in seconds since 1970-01-01 UTC.
    pub not_after_unix_s: i64,
    /// SHA-256 of its DER, in hexadecimal digits.
    pub sha256: String,
}

/// The clock of the enclave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// `ptp-kvm`, `absent` (no device) or `none` (the image wants none).
    pub source: String,
    /// How far the wall clock was ahead of (-) or behind (+) its source at the last reading, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_us: Option<i64>,
    /// Milliseconds since that reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_ms_ago: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_agents_answer_is_read() {
        let text = r#"{"boot":[{"event":"ok","stage":"mounts","uptime_ms":3}],"debug":false,"entropy_source":"nsm-hwrng",
            "module_id":"i-0-enc0","pcrs":{"0":"00","16":"01"},"stage":"running","uptime_ms":42,"version":"0.1.0"}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(
            (status.uptime_ms, status.phase, status.pcrs[&16].as_str()),
            (42, None, "01")
        );
        let again: serde_json::Value = serde_json::to_value(&status).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn words_of_later_versions_are_read() {
        let signer: Signer = serde_json::from_str(r#"{"state":"dreaming","restarts":1,"x":1}"#).unwrap();
        assert_eq!(signer.state, SignerState::Other);
        assert_eq!(
            serde_json::from_str::<Phase>("\"init-failed\"").unwrap(),
            Phase::InitFailed
        );
        assert_eq!(serde_json::from_str::<Phase>("\"later\"").unwrap(), Phase::Other);
    }
}

//! A running enclave, judged from outside: is it the image that the source gives, and whose TLS key and keys does it hold?
//!
//! ```text
//! nonce (ours, fresh) --> enclave --> document: PCRs, nonce, user_data     signed by AWS
//!                                     user_data = tag || SHA-384(claims)   claims travel beside it
//! expected PCRs  (rebuilt or published, never from the host that is asked)   = PCR0, PCR1, PCR2, PCR8
//! expected config (the operator's file)  SHA-384 --> PCR16, claims.config_sha384
//! certificate that HOST:PORT presents, and proves to have the key of         = claims.tls_*
//! expected keys (the operator's list)                                        = claims.public_keys
//! ```
//!
//! [`judge`] is pure: no clock, no file, no connection. [`ask`] fetches a document, [`presented`] a certificate.

pub mod ask;
pub mod presented;

use ::attest::{AWS_ROOT_SHA256, Claims as Document, Moment, Policy, TrustRoot, UnixMs};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use control::answer::Attestation;
use control::claims::{Claims, user_data};
use control::config::DeploymentConfig;
use control::text::{Nonce, PublicKey};
use kms_policy::request::ImagePcrs;
use presented::Presented;
use serde_json::json;
use sha2::{Digest as _, Sha384};

use crate::verdict::Verdict;

/// The register that the agent extends with the deployment config.
const CONFIG_PCR: u8 = 16;
/// Most keys that are named one by one when a set differs.
const MOST_NAMED: usize = 8;

/// What the auditor knows without the host that is asked.
#[derive(Debug)]
pub struct Expected<'a> {
    /// Who must have signed the document.
    pub root: &'a TrustRoot,
    /// Measurements of the image.
    pub pcrs: &'a ImagePcrs,
    /// Keys of `[trust]` that the image's manifest weakens.
    pub weakened: &'a [String],
    /// The operator's deployment config.
    pub config: Option<&'a DeploymentConfig>,
    /// The validators' public keys, ascending, each once.
    pub keys: Option<&'a [PublicKey]>,
}

/// What came from the host.
#[derive(Debug)]
pub struct Found<'a> {
    /// The answer to `attest`.
    pub attestation: &'a Attestation,
    /// What the TLS server presented, where one was asked.
    pub presented: Option<&'a Presented>,
}

/// Judges what a host answered to `nonce` at `now`.
#[must_use]
pub fn judge(nonce: &Nonce, expected: &Expected<'_>, found: &Found<'_>, now: UnixMs) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.fact("at", now.to_string());
    verdict.fact("nonce", nonce.as_str());
    verdict.fact("root", format!("SHA-256 {}", hex::encode(expected.root.sha256())));
    verdict.evidence = Some(json!({
        "nonce": nonce.as_str(),
        "attestation_document": found.attestation.attestation_document,
        "claims": found.attestation.claims,
    }));
    if expected.root.sha256() != AWS_ROOT_SHA256 {
        let danger = "the trust root is not the AWS Nitro root: AWS did not sign this, and it proves nothing but a test";
        verdict.dangers.push(danger.to_owned());
    }
    for key in expected.weakened {
        verdict
            .dangers
            .push(format!("the image weakens trust: [trust] {}", key.escape_debug()));
    }
    let Ok(bytes) = BASE64_STANDARD.decode(&found.attestation.attestation_document) else {
        verdict.fails("document", "it is not base64");
        return verdict;
    };
    let policy = Policy::new().expect_nonce(&nonce.to_bytes());
    let document = match ::attest::verify(&bytes, expected.root, Moment::Now(now), &policy) {
        Ok(document) => document,
        Err(error) => {
            verdict.fails(
                "document",
                format!("{}: {:#}", error.step(), anyhow::Error::from(error)),
            );
            return verdict;
        }
    };
    let document = document.claims();
    let made = format!(
        "signed by the root's chain, not in debug mode; made {}",
        document.timestamp
    );
    verdict.holds("document", made);
    verdict.holds("nonce", "ours: the document is fresh");
    judge_pcrs(document, expected.pcrs, &mut verdict);
    match document.public_key {
        None => verdict.holds("public key", "absent: this document can decrypt nothing"),
        Some(_) => verdict.fails(
            "public key",
            "present: the agent never puts one into a document for others",
        ),
    }
    let claims = read_claims(document, found.attestation.claims.as_deref(), &mut verdict);
    judge_config(document, claims.as_ref(), expected.config, &mut verdict);
    judge_tls(claims.as_ref(), found.presented, &mut verdict);
    judge_keys(claims.as_ref(), expected.keys, &mut verdict);
    verdict
}

fn judge_pcrs(document: &Document<'_>, expected: &ImagePcrs, verdict: &mut Verdict) {
    let image = [
        (0, Some(&expected.pcr0)),
        (1, Some(&expected.pcr1)),
        (2, Some(&expected.pcr2)),
        (8, expected.pcr8.as_ref()),
    ];
    for (index, pcr) in image {
        let Some(pcr) = pcr else { continue };
        verdict.same(
            &format!("PCR{index}"),
            &pcr.to_string(),
            &register(document, index),
        );
    }
}

/// A register as text.
fn register(document: &Document<'_>, index: u8) -> String {
    let pcr = document.pcrs.get(index);
    pcr.map_or_else(|| "absent".to_owned(), ToString::to_string)
}

/// The claims, when the document commits to them.
fn read_claims(document: &Document<'_>, text: Option<&str>, verdict: &mut Verdict) -> Option<Claims> {
    let Some(text) = text else {
        verdict.fails(
            "claims",
            "the answer has none: this agent is not of this project, or too old",
        );
        return None;
    };
    // Hashed as it came; only then read.
    let committed = user_data(&Sha384::digest(text.as_bytes()).into());
    if document.user_data != Some(&committed[..]) {
        verdict.fails(
            "claims",
            "the document does not commit to them: its user_data is another",
        );
        return None;
    }
    match serde_json::from_str(text) {
        Ok(claims) => {
            verdict.holds("claims", "the document commits to them");
            Some(claims)
        }
        Err(error) => {
            verdict.fails(
                "claims",
                format!("the document commits to a text that is none: {error}"),
            );
            None
        }
    }
}

/// What register 16 is after it was extended with a config's hash, and nothing else.
fn extended(hash: &[u8; 48]) -> String {
    let mut register = Sha384::new();
    register.update([0; 48]);
    register.update(hash);
    hex::encode(register.finalize())
}

fn judge_config(
    document: &Document<'_>,
    claims: Option<&Claims>,
    expected: Option<&DeploymentConfig>,
    verdict: &mut Verdict,
) {
    let found = register(document, CONFIG_PCR);
    let claimed = claims.and_then(|claims| claims.config_sha384.as_ref());
    if let Some(config) = expected {
        let hash: [u8; 48] = Sha384::digest(config.canonical().unwrap_or_default()).into();
        verdict.same("PCR16", &extended(&hash), &found);
        match (claims, claimed) {
            (None, _) => verdict.not_reached("config", "there are no claims"),
            (_, None) => verdict.fails("config", "the enclave claims to have none"),
            (_, Some(claimed)) => verdict.same("config", &hex::encode(hash), claimed.as_str()),
        }
        return;
    }
    // Without the operator's file there is still one thing to hold against: what the enclave itself says.
    let Some(claims) = claims else { return };
    let own = match &claims.config_sha384 {
        None => hex::encode([0; 48]),
        Some(hash) => {
            let mut bytes = [0; 48];
            // Checked text: 96 hexadecimal digits.
            hex::decode_to_slice(hash.as_str(), &mut bytes).unwrap_or_default();
            extended(&bytes)
        }
    };
    verdict.same("PCR16", &own, &found);
    let which = claimed.map_or_else(
        || "none is set".to_owned(),
        |hash| format!("it has SHA-384 {hash}"),
    );
    verdict.not_proven.push(format!(
        "whose deployment config it is: {which} (--config FILE to demand the operator's)"
    ));
}

fn judge_tls(claims: Option<&Claims>, presented: Option<&Presented>, verdict: &mut Verdict) {
    let Some(presented) = presented else {
        let text = "that any TLS server is this enclave (--tls HOST:PORT to tie it)";
        verdict.not_proven.push(text.to_owned());
        return;
    };
    if presented.proven {
        verdict.holds(
            "TLS handshake",
            "the server has the private key of its certificate",
        );
    } else {
        verdict.fails(
            "TLS handshake",
            presented.why.as_deref().unwrap_or("it was not finished"),
        );
    }
    let Some(claims) = claims else {
        verdict.not_reached("certificate", "there are no claims");
        return;
    };
    let nothing = "none: the signer is not running";
    for (name, claimed, found) in [
        (
            "certificate",
            &claims.tls_certificate_sha256,
            &presented.certificate_sha256,
        ),
        (
            "TLS key",
            &claims.tls_public_key_sha256,
            &presented.public_key_sha256,
        ),
    ] {
        let claimed = claimed.as_ref().map_or(nothing, |hash| hash.as_str());
        verdict.same(
            name,
            claimed,
            found.as_deref().unwrap_or("none: it cannot be read"),
        );
    }
    let text = "that nobody else has the TLS key: it was made at the key ceremony, and whoever kept it could answer as well";
    verdict.not_proven.push(text.to_owned());
}

fn judge_keys(claims: Option<&Claims>, expected: Option<&[PublicKey]>, verdict: &mut Verdict) {
    let Some(expected) = expected else {
        if let Some(claims) = claims {
            let count = claims.public_keys.len();
            verdict.not_proven.push(format!(
                "that its {count} validator keys are the right ones (--keys FILE to demand a list)"
            ));
        }
        return;
    };
    let Some(claims) = claims else {
        verdict.not_reached("key set", "there are no claims");
        return;
    };
    let without = |these: &[PublicKey], those: &[PublicKey]| -> Vec<String> {
        let missing = these.iter().filter(|key| !those.contains(key));
        missing.map(ToString::to_string).collect()
    };
    let missing = without(expected, &claims.public_keys);
    let unexpected = without(&claims.public_keys, expected);
    if missing.is_empty() && unexpected.is_empty() && claims.public_keys.len() == expected.len() {
        verdict.holds(
            "key set",
            format!("exactly the {} keys of the list", expected.len()),
        );
        return;
    }
    let parts = [("missing", missing), ("not in the list", unexpected)];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, keys)| !keys.is_empty())
        .map(|(what, keys)| named(what, keys))
        .collect();
    let parts = if parts.is_empty() {
        "a key stands twice".to_owned()
    } else {
        parts.join("; ")
    };
    let (found, listed) = (claims.public_keys.len(), expected.len());
    verdict.fails("key set", format!("{found} keys, the list has {listed}; {parts}"));
}

fn named(what: &str, keys: &[String]) -> String {
    let shown: Vec<&str> = keys.iter().take(MOST_NAMED).map(String::as_str).collect();
    let more = keys.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{what}: {}{more}", shown.join(", "))
}

/// A list of keys that makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A line that is no key.
    #[error(
        "line {line} is no validator key: expected 96 hexadecimal digits, with or without 0x before them"
    )]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// A key twice.
    #[error("line {line}: {key} stands in the list before")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// The key.
        key: PublicKey,
    },
}

/// Reads a list of keys: one on each line; empty lines and what follows `#` do not count. An empty list is a list.
///
/// # Errors
/// [`KeysError`] for the first line that is wrong.
pub fn read_keys(text: &str) -> Result<Vec<PublicKey>, KeysError> {
    let mut keys = std::collections::BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let word = line.split('#').next().unwrap_or_default().trim();
        if word.is_empty() {
            continue;
        }
        let line = index + 1;
        let key: PublicKey = word.parse().map_err(|_| KeysError::Line { line })?;
        if !keys.insert(key.clone()) {
            return Err(KeysError::Twice { line, key });
        }
    }
    Ok(keys.into_iter().collect())
}

//! `policy check`: is the key's policy as it should be, and does it admit the images that are in use?

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use control::text::KeyArn;
use kms_policy::condition::Attested;
use kms_policy::lint::{Finding, Severity, lint};
use kms_policy::measurements;
use kms_policy::policy::Policy;
use kms_policy::request::ImagePcrs;
use serde::Serialize;

use crate::aws::{Aws, reason};
use crate::secret::read_file;

/// Longest policy, bytes: KMS takes 32 KB.
const MAX_POLICY_BYTES: usize = 64 * 1024;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where the policy is from.
    pub policy: String,
    /// What is weak.
    pub findings: Vec<Weakness>,
    /// Whether something is dangerous.
    pub dangerous: bool,
    /// What a person should look at besides.
    pub notes: Vec<String>,
}

/// A finding, for JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Weakness {
    /// `danger` or `warning`
    pub severity: &'static str,
    /// Its name.
    pub code: &'static str,
    /// Index of the statement, from 0.
    pub statement: Option<usize>,
    /// What is there.
    pub reason: String,
    /// How to mend it.
    pub mend: &'static str,
}

impl From<&Finding> for Weakness {
    fn from(finding: &Finding) -> Self {
        Self {
            severity: match finding.code.severity() {
                Severity::Danger => "danger",
                Severity::Warning => "warning",
            },
            code: finding.code.name(),
            statement: finding.statement,
            reason: finding.reason.clone(),
            mend: finding.code.mend(),
        }
    }
}

/// Asks KMS for the policy of a key.
///
/// # Errors
/// What KMS says.
pub async fn of_key(aws: &Aws, key: &KeyArn) -> anyhow::Result<String> {
    let answer = aws
        .kms()
        .get_key_policy()
        .key_id(key.as_str())
        .policy_name("default")
        .send()
        .await;
    let answer = answer.map_err(|error| anyhow::anyhow!("KMS GetKeyPolicy of {key}: {}", reason(&error)))?;
    answer.policy.context("KMS gave no policy")
}

/// Reads a policy from a file.
///
/// # Errors
/// When it cannot be read, or is not text.
pub fn of_file(path: &Path) -> anyhow::Result<String> {
    let bytes = read_file(path, MAX_POLICY_BYTES)?;
    Ok(std::str::from_utf8(&bytes)
        .with_context(|| format!("{} is not text", path.display()))?
        .to_owned())
}

/// Looks for weaknesses. `pcr16` is the register of the deployment config, if one is given.
///
/// # Errors
/// A policy that cannot be read, or measurements that are none.
pub fn check(from: String, text: &str, pcrs: &[PathBuf], pcr16: Option<&str>) -> anyhow::Result<Report> {
    let policy = Policy::parse(text.as_bytes()).with_context(|| format!("the policy of {from}"))?;
    let images = pcrs
        .iter()
        .map(|path| image(path))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let found = lint(&policy, (!images.is_empty()).then_some(images.as_slice()));
    let mut notes = Vec::new();
    if images.is_empty() {
        notes.push(
            "no image was given with --pcrs: whether the policy admits the right one was not looked at"
                .to_owned(),
        );
    }
    if let Some(pcr16) = pcr16 {
        notes.extend(about_pcr16(&policy, pcr16));
    }
    Ok(Report {
        policy: from,
        dangerous: found
            .iter()
            .any(|finding| finding.code.severity() == Severity::Danger),
        findings: found.iter().map(Weakness::from).collect(),
        notes,
    })
}

/// Whether the policy demands the config.
fn about_pcr16(policy: &Policy, pcr16: &str) -> Option<String> {
    let mut named = Vec::new();
    for keys in policy
        .statements
        .iter()
        .flat_map(|statement| statement.conditions.values())
    {
        for (key, values) in keys {
            if key.attested() == Attested::Pcr(16) {
                named.extend(values.iter().cloned());
            }
        }
    }
    if named.is_empty() {
        return Some(
            "the policy does not ask for PCR16: it admits the images with any deployment config".to_owned(),
        );
    }
    let ours = named.iter().any(|value| value.eq_ignore_ascii_case(pcr16));
    (!ours).then(|| format!("the policy asks for PCR16, but not for {pcr16}, which this config gives: the enclave will be refused"))
}

/// Measurements as `eif-builder` and `nitro-cli` print them.
fn image(path: &Path) -> anyhow::Result<ImagePcrs> {
    let bytes = read_file(path, measurements::MAX_BYTES)?;
    Ok(measurements::read(&path.display().to_string(), &bytes)?)
}

impl Report {
    /// For a person.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for found in &self.findings {
            let place = found
                .statement
                .map_or_else(|| "policy".to_owned(), |index| format!("statement {index}"));
            writeln!(
                out,
                "{}: {place}: {}: {}; mend: {}",
                found.severity, found.code, found.reason, found.mend
            )?;
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        writeln!(out, "{}: {} findings", self.policy, self.findings.len())
    }
}

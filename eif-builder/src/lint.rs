//! The `policy lint` command: what is weak in a KMS key policy, why, and how to mend it.
//!
//! Every rule is [`kms_policy::lint`]'s; here findings become a report. It reads no file. Names in a policy are foreign:
//! control characters are escaped before they reach a terminal.

use core::fmt;

use kms_policy::lint::{Finding, Severity, lint};
use kms_policy::parse::ParseError;
use kms_policy::policy::Policy;
use kms_policy::request::ImagePcrs;
use serde::Serialize;

use crate::cpio_read::printable;

/// Longest key policy that is read, in bytes: KMS takes 32 KiB.
pub const MAX_POLICY_BYTES: u64 = 64 * 1024;

/// One weakness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Weakness {
    /// Index of the statement from 0; absent when the policy as a whole is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<usize>,
    /// `danger`: something can use the key that should not. `warning`: it opens nothing by itself.
    pub severity: &'static str,
    /// Name of the rule, for example `open-use`.
    pub code: &'static str,
    /// What is there that should not be, or is missing.
    pub reason: String,
    /// What to do about it.
    pub mend: &'static str,
}

/// All that is weak in a policy. `Display` is the text for people, `Serialize` the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing was found. That proves nothing about the roles' own policies.
    pub clean: bool,
    /// How many statements the policy has.
    pub statements: usize,
    /// Whether measurements were given, without which neither stale nor missing images are found.
    pub images: usize,
    /// Sorted by statement and rule.
    pub findings: Vec<Weakness>,
}

/// Looks for what is weak in the text of a policy. `images` are those that should be in use, if they are known.
///
/// # Errors
/// [`ParseError`] when it is no key policy that KMS would take.
pub fn report(policy: &[u8], images: Option<&[ImagePcrs]>) -> Result<Report, ParseError> {
    let policy = Policy::parse(policy)?;
    let findings: Vec<_> = lint(&policy, images).iter().map(Weakness::from).collect();
    Ok(Report {
        clean: findings.is_empty(),
        statements: policy.statements.len(),
        images: images.map_or(0, <[_]>::len),
        findings,
    })
}

impl From<&Finding> for Weakness {
    fn from(finding: &Finding) -> Self {
        let severity = match finding.code.severity() {
            Severity::Warning => "warning",
            Severity::Danger => "danger",
        };
        Self {
            statement: finding.statement,
            severity,
            code: finding.code.name(),
            reason: printable(finding.reason.as_bytes()),
            mend: finding.code.mend(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for weakness in &self.findings {
            match weakness.statement {
                Some(index) => write!(f, "statement {index}: ")?,
                None => f.write_str("policy: ")?,
            }
            let Weakness {
                severity,
                code,
                reason,
                mend,
                ..
            } = weakness;
            writeln!(f, "{severity}: {code}\n    why   {reason}\n    mend  {mend}")?;
        }
        if self.images == 0 {
            writeln!(
                f,
                "note: without --pcrs neither stale nor missing images are looked for"
            )?;
        }
        match self.findings.len() {
            0 => write!(f, "nothing weak found in {} statements", self.statements),
            1 => write!(f, "1 weakness in {} statements", self.statements),
            count => write!(f, "{count} weaknesses in {} statements", self.statements),
        }
    }
}

//! What an auditor reads: one line a check with what it means, what was expected and found, and what to do next.

use core::error::Error;
use core::fmt;

use attest::UnixMs;
use eif::Measurements;
use serde::Serialize;
use serde_json::Value;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Ok,
    /// It does not hold.
    Failed,
    /// There was nothing to hold it against.
    NotAsked,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name: `form`, `crc`, `architecture`, `pcr0`, `pcr1`, `pcr2`, `pcr8`, `file`, `signature`, `certificate`,
    /// `memory`, `init`, `metadata`; callers may add others.
    pub name: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What holds, or why it does not.
    pub detail: String,
    /// What should be there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Check {
    /// A check that holds.
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, detail.into())
    }

    /// A check that does not hold.
    pub fn failed(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Failed, detail.into())
    }

    /// A check that nothing was given for.
    pub fn not_asked(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::NotAsked, detail.into())
    }

    const fn new(name: &'static str, outcome: Outcome, detail: String) -> Self {
        Self {
            name,
            outcome,
            detail,
            expected: None,
            actual: None,
            next: None,
        }
    }

    /// With both values side by side.
    #[must_use]
    pub fn values(mut self, expected: impl fmt::Display, actual: impl fmt::Display) -> Self {
        self.expected = Some(expected.to_string());
        self.actual = Some(actual.to_string());
        self
    }

    /// With the value found.
    #[must_use]
    pub fn found(mut self, actual: impl fmt::Display) -> Self {
        self.actual = Some(actual.to_string());
        self
    }

    /// With a next step.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// The verdict on an image. `Display` is the text for people, `Serialize` the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether no check failed.
    pub verified: bool,
    /// The instant of the verification.
    pub at: String,
    /// All checks in their order.
    pub checks: Vec<Check>,
    /// Keys of the manifest by which the image's policy weakens trust; nothing when it has no policy of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weakened: Option<Vec<&'static str>>,
    /// What a verified image still does not prove.
    pub caveats: Vec<String>,
    /// The computed registers as nitro-cli prints them, unless the file is no image.
    #[serde(rename = "Measurements", skip_serializing_if = "Option::is_none")]
    pub measurements: Option<Value>,
}

impl Report {
    pub(super) fn new(at: UnixMs) -> Self {
        Self {
            verified: true,
            at: at.to_string(),
            checks: Vec::new(),
            weakened: None,
            caveats: Vec::new(),
            measurements: None,
        }
    }

    pub(super) fn measured(&mut self, measurements: &Measurements) {
        self.measurements = Some(measurements.to_json());
    }

    /// Adds a check; one that failed makes the verdict.
    pub fn push(&mut self, check: Check) {
        self.verified &= check.outcome != Outcome::Failed;
        self.checks.push(check);
    }

    /// Adds what is still not proven.
    pub fn caveat(&mut self, text: impl Into<String>) {
        self.caveats.push(text.into());
    }

    /// The check of this name, if it was reached.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let outcome = match check.outcome {
                Outcome::Ok => "ok",
                Outcome::Failed => "FAILED",
                Outcome::NotAsked => "-",
            };
            writeln!(f, "{outcome:<6}  {:<12}  {}", check.name, check.detail)?;
            let lines = [
                ("expected", &check.expected),
                ("found", &check.actual),
                ("next", &check.next),
            ];
            for (name, text) in lines {
                if let Some(text) = text {
                    writeln!(f, "{:22}{name:<8}  {text}", "")?;
                }
            }
        }
        for caveat in &self.caveats {
            writeln!(f, "note    {caveat}")?;
        }
        let verdict = if self.verified { "VERIFIED" } else { "REFUSED" };
        write!(f, "{verdict} at {}", self.at)
    }
}

/// An error and its causes in one line.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = core::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

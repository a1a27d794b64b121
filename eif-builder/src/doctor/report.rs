//! The findings as text and JSON, and what they mean for a purpose.

use core::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Finding, PURPOSES, Purpose, State};

/// All findings, sorted by purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// See [`Finding`].
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether a host that was found so can be used for `purpose`: nothing is lacking that it, or one before it, needs.
    #[must_use]
    pub fn is_fit(&self, purpose: Purpose) -> bool {
        let needed = self.findings.iter().filter(|finding| finding.purpose <= purpose);
        needed.into_iter().all(|finding| finding.state != State::Lacking)
    }

    /// As JSON: the findings, and for each purpose whether the host is fit.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let fit = PURPOSES.map(|purpose| (purpose.to_string(), Value::Bool(self.is_fit(purpose))));
        json!({ "findings": self.findings, "fit": fit.into_iter().collect::<serde_json::Map<_, _>>() })
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Build => "build",
            Self::Run => "run",
            Self::Test => "test",
            Self::Bench => "bench",
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for purpose in PURPOSES {
            let fit = if self.is_fit(purpose) {
                "fit"
            } else {
                "LACKS SOMETHING"
            };
            writeln!(f, "to {purpose}: {fit}")?;
            for finding in self.findings.iter().filter(|finding| finding.purpose == purpose) {
                let state = match finding.state {
                    State::Ok => "ok",
                    State::Poor => "poor",
                    State::Lacking => "LACKING",
                };
                writeln!(f, "  {:<16} {state:<8} {}", finding.name, finding.found)?;
                if finding.state != State::Ok {
                    writeln!(f, "                   for: {}", finding.reason)?;
                    writeln!(f, "                   mend: {}", finding.mend)?;
                }
            }
        }
        Ok(())
    }
}

//! What an audit found: facts, checks in their order, what is dangerous, what is not proven. Text for people, JSON for programs.
//!
//! It judges nothing itself: `rebuild` and `live` fill it. Texts that came from elsewhere must be escaped by who puts them in.

use core::fmt;

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
    /// What it rests on failed, or is not there.
    NotReached,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked, in a word or two.
    pub name: String,
    /// How it went.
    pub outcome: Outcome,
    /// What holds, or what was expected and what was found.
    pub detail: String,
}

/// All that was found. It is good when there are checks and every one holds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// What was looked at and under what, as name and value.
    pub facts: Vec<(String, String)>,
    /// The checks.
    pub checks: Vec<Check>,
    /// What makes even a good verdict worthless outside of tests.
    pub dangers: Vec<String>,
    /// What a good verdict does not prove, and how to have it proven.
    pub not_proven: Vec<String>,
    /// What another program can check again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Value>,
}

impl Verdict {
    /// Whether every check holds.
    #[must_use]
    pub fn is_good(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.outcome == Outcome::Ok)
    }

    /// Adds a fact.
    pub fn fact(&mut self, name: &str, value: impl Into<String>) {
        self.facts.push((name.to_owned(), value.into()));
    }

    /// Adds a check that holds.
    pub fn holds(&mut self, name: &str, detail: impl Into<String>) {
        self.check(name, Outcome::Ok, detail);
    }

    /// Adds a check that does not hold.
    pub fn fails(&mut self, name: &str, detail: impl Into<String>) {
        self.check(name, Outcome::Failed, detail);
    }

    /// Adds a check that could not be made.
    pub fn not_reached(&mut self, name: &str, detail: impl Into<String>) {
        self.check(name, Outcome::NotReached, detail);
    }

    /// Adds a check that two texts are the same.
    pub fn same(&mut self, name: &str, expected: &str, found: &str) {
        if expected == found {
            self.holds(name, found);
        } else {
            self.fails(name, format!("expected {expected}, found {found}"));
        }
    }

    fn check(&mut self, name: &str, outcome: Outcome, detail: impl Into<String>) {
        self.checks.push(Check {
            name: name.to_owned(),
            outcome,
            detail: detail.into(),
        });
    }

    /// As JSON, `good` first.
    ///
    /// # Errors
    /// None that these types can have; a `Result` because they cannot say so.
    pub fn to_json(&self) -> serde_json::Result<Value> {
        let mut value = serde_json::to_value(self)?;
        if let Some(object) = value.as_object_mut() {
            object.insert("good".to_owned(), Value::Bool(self.is_good()));
            let pairs = self.facts.iter().cloned();
            let facts = pairs.map(|(name, fact)| (name, Value::String(fact))).collect();
            object.insert("facts".to_owned(), Value::Object(facts));
        }
        Ok(value)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.is_good() { "VERIFIED" } else { "REFUSED" })?;
        for (name, value) in &self.facts {
            writeln!(f, "  {name:<12} {value}")?;
        }
        writeln!(f, "checks")?;
        for check in &self.checks {
            let outcome = match check.outcome {
                Outcome::Ok => "ok",
                Outcome::Failed => "FAILED",
                Outcome::NotReached => "not reached",
            };
            let line = format!("  {:<14} {outcome:<12} {}", check.name, check.detail);
            writeln!(f, "{}", line.trim_end())?;
        }
        for danger in &self.dangers {
            writeln!(f, "DANGER: {danger}")?;
        }
        if !self.not_proven.is_empty() {
            writeln!(f, "not proven")?;
            for text in &self.not_proven {
                writeln!(f, "  {text}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_checked_is_nothing_good() {
        let mut verdict = Verdict::default();
        assert!(!verdict.is_good());
        verdict.holds("a", "as it should");
        assert!(verdict.is_good());
        verdict.not_reached("b", "");
        assert!(!verdict.is_good(), "a check that could not be made is no pass");
    }

    #[test]
    fn text_and_json_say_the_same() {
        let mut verdict = Verdict::default();
        verdict.fact("asked", "there");
        verdict.same("PCR0", "aa", "aa");
        verdict.same("PCR1", "aa", "bb");
        verdict.dangers.push("a test root".to_owned());
        verdict.not_proven.push("who operates it".to_owned());
        let text = "REFUSED\n  asked        there\nchecks\n  PCR0           ok           aa\n  PCR1           FAILED       \
                    expected aa, found bb\nDANGER: a test root\nnot proven\n  who operates it\n";
        assert_eq!(verdict.to_string(), text);
        let json = verdict.to_json().unwrap();
        assert_eq!(json["good"], false);
        assert_eq!(json["facts"]["asked"], "there");
        assert_eq!(json["checks"][1]["outcome"], "failed");
    }
}

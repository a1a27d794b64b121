//! The value of every option of a command line, from the strongest source that has one: command line, environment,
//! configuration file, default. Here texts become numbers and truth values.

use std::collections::BTreeMap;
use std::fmt;

use super::error::UsageError;
use super::option::{Effect, Kind, Level, Opt};
use super::parse::Line;
use super::table;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A word of the command line.
    CommandLine,
    /// An environment variable.
    Environment,
    /// The configuration file.
    File,
    /// The table.
    Default,
}

/// A value of the kind that the table asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// A truth value.
    Bool(bool),
    /// A number with a sign.
    Number(i64),
    /// A number without one.
    Unsigned(u64),
    /// A text; words of a choice are in upper case.
    Text(String),
    /// Texts.
    List(Vec<String>),
}

/// Values may be secrets.
impl fmt::Debug for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Value(..)")
    }
}

/// All values. Every key of the table that belongs to the commands in use is there, if it has a value.
#[derive(Debug, Clone)]
pub struct Values {
    by_key: BTreeMap<&'static str, (Value, Source)>,
    /// Options that were given and do nothing: name and reason, for the log.
    pub idle: Vec<(&'static str, &'static str)>,
    /// Options that were given and that this signer refuses: name and reason. The configuration reports them, after
    /// the rules that upstream has for them.
    pub refused: Vec<(&'static str, &'static str)>,
}

/// Gathers the values of the commands of `line`.
///
/// # Errors
/// A value of the wrong kind, an unknown key in the file.
pub fn gather(
    line: &Line,
    environment: &BTreeMap<String, String>,
    file: &BTreeMap<String, String>,
) -> Result<Values, UsageError> {
    known_keys(line.level(), file)?;
    let mut gathered = Values {
        by_key: BTreeMap::new(),
        idle: Vec::new(),
        refused: Vec::new(),
    };
    for opt in table::all().filter(|opt| line.levels.contains(&opt.level)) {
        let Some((texts, source)) = texts(opt, line, environment, file) else {
            continue;
        };
        let value = convert(opt, &texts)?;
        if source != Source::Default {
            match opt.effect {
                Effect::Works | Effect::Own => {}
                Effect::Nothing(why) => gathered.idle.push((opt.longest(), why)),
                Effect::Refused(_) if value == Value::Bool(false) => {}
                Effect::Refused(why) => gathered.refused.push((opt.longest(), why)),
            }
        }
        gathered.by_key.insert(opt.key(), (value, source));
    }
    Ok(gathered)
}

fn texts(
    opt: &Opt,
    line: &Line,
    environment: &BTreeMap<String, String>,
    file: &BTreeMap<String, String>,
) -> Option<(Vec<String>, Source)> {
    if let Some(values) = line.given.get(opt.key()) {
        return Some((values.clone(), Source::CommandLine));
    }
    // A configuration file that names another one would be read by nobody: upstream ignores both forms.
    if opt.key() == "--config-file" {
        return None;
    }
    if let Some(value) = opt.variables().find_map(|name| environment.get(&name)) {
        return Some((vec![value.clone()], Source::Environment));
    }
    if let Some(value) = opt.file_keys().find_map(|key| file.get(&key)) {
        return Some((vec![value.clone()], Source::File));
    }
    opt.default.map(|value| (vec![value.to_owned()], Source::Default))
}

fn known_keys(level: Level, file: &BTreeMap<String, String>) -> Result<(), UsageError> {
    let known = |key: &&String| !table::all().any(|opt| opt.file_keys().any(|name| name == **key));
    let unknown: Vec<&str> = file.keys().filter(known).map(String::as_str).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let options = if unknown.len() > 1 { "options" } else { "option" };
    let reason = format!(
        "Unknown {options} in yaml configuration file: {}",
        unknown.join(", ")
    );
    Err(UsageError::new(level, reason))
}

fn convert(opt: &Opt, texts: &[String]) -> Result<Value, UsageError> {
    let text = texts.first().map_or("", String::as_str);
    let wrong = |why: String| {
        let reason = format!(
            "Invalid value for option '{}' ({}): {why}",
            opt.longest(),
            opt.label
        );
        UsageError::new(opt.level, reason)
    };
    match opt.kind {
        Kind::Switch | Kind::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong(format!("'{text}' is not a boolean"))),
        },
        Kind::Int { min } => {
            let number: i32 = text
                .parse()
                .map_err(|_| wrong(format!("'{text}' is not an int")))?;
            if i64::from(number) < min {
                return Err(wrong(format!("{number} is less than {min}")));
            }
            Ok(Value::Number(i64::from(number)))
        }
        Kind::Long => text
            .parse()
            .map(Value::Number)
            .map_err(|_| wrong(format!("'{text}' is not a long"))),
        Kind::Unsigned => text
            .parse()
            .map(Value::Unsigned)
            .map_err(|_| wrong(format!("'{text}' is not an unsigned 64-bit number"))),
        Kind::Text | Kind::Secret => Ok(Value::Text(text.to_owned())),
        Kind::List => list(texts)
            .map(Value::List)
            .ok_or_else(|| wrong("an entry is empty".to_owned())),
        Kind::Choice(words) => {
            let upper = text.to_ascii_uppercase();
            if words.contains(&upper.as_str()) {
                return Ok(Value::Text(upper));
            }
            let words = words.join(", ");
            Err(wrong(format!(
                "expected one of [{words}] (case-insensitive) but was '{text}'"
            )))
        }
    }
}

fn list(texts: &[String]) -> Option<Vec<String>> {
    let entries = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    entries
        .map(|entry| (!entry.is_empty()).then(|| entry.to_owned()))
        .collect()
}

impl Values {
    /// Where the value of `key` came from.
    #[must_use]
    pub fn source(&self, key: &str) -> Source {
        self.by_key
            .get(key)
            .map_or(Source::Default, |(_, source)| *source)
    }

    /// A truth value; `false` where nobody set one.
    #[must_use]
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.value(key), Some(Value::Bool(true)))
    }

    /// A number with a sign.
    #[must_use]
    pub fn number(&self, key: &str) -> i64 {
        match self.value(key) {
            Some(Value::Number(number)) => *number,
            _ => 0,
        }
    }

    /// A number without a sign.
    #[must_use]
    pub fn unsigned(&self, key: &str) -> Option<u64> {
        match self.value(key) {
            Some(Value::Unsigned(number)) => Some(*number),
            _ => None,
        }
    }

    /// A text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The entries of a list.
    #[must_use]
    pub fn list(&self, key: &str) -> &[String] {
        match self.value(key) {
            Some(Value::List(entries)) => entries,
            _ => &[],
        }
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.by_key.get(key).map(|(value, _)| value)
    }
}

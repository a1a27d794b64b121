//! Words of the command line into commands and option values. Knows nothing of the environment or of files, and does
//! not look into values.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Show, UsageError};
use super::option::{Kind, Level, Opt};
use super::similar::similar;
use super::table;

/// A command line that names existing commands and options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The commands, the program itself first.
    pub levels: Vec<Level>,
    /// Key of an option to its values, in order. An option that is not a list has one.
    pub given: BTreeMap<&'static str, Vec<String>>,
    /// Help or the version was asked for instead of work.
    pub ask: Option<Ask>,
}

/// What can be asked instead of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The usage of a command.
    Help(Level),
    /// The version.
    Version,
}

impl Line {
    /// The last command.
    #[must_use]
    pub fn level(&self) -> Level {
        self.levels.last().copied().unwrap_or(Level::Web3signer)
    }
}

struct Parser<'a> {
    words: std::iter::Peekable<std::slice::Iter<'a, String>>,
    line: Line,
    unmatched: Vec<String>,
    first_unmatched_at: usize,
}

/// Reads the words after the program's name.
///
/// # Errors
/// An unknown option or command, an option without its value, an option given twice.
pub fn parse(words: &[String]) -> Result<Line, UsageError> {
    let mut parser = Parser {
        words: words.iter().peekable(),
        line: Line {
            levels: vec![Level::Web3signer],
            given: BTreeMap::new(),
            ask: None,
        },
        unmatched: Vec::new(),
        first_unmatched_at: 0,
    };
    let total = words.len();
    while let Some(word) = parser.words.next() {
        let at = total - 1 - parser.words.len();
        parser.word(word, at)?;
    }
    parser.finish()
}

impl Parser<'_> {
    fn word(&mut self, word: &str, at: usize) -> Result<(), UsageError> {
        let level = self.line.level();
        if let Some(child) = level.child(word) {
            self.line.levels.push(child);
            return Ok(());
        }
        match word {
            "-h" | "--help" => self.ask(Ask::Help(level)),
            "-V" | "--version" => self.ask(Ask::Version),
            "help" => return self.help(level),
            _ => {
                if let Some((opt, attached)) = option(level, word) {
                    return self.value(level, opt, attached);
                }
                if self.unmatched.is_empty() {
                    self.first_unmatched_at = at;
                }
                self.unmatched.push(word.to_owned());
            }
        }
        Ok(())
    }

    /// The first question is answered; a later one does not change it.
    fn ask(&mut self, ask: Ask) {
        self.line.ask.get_or_insert(ask);
    }

    fn help(&mut self, level: Level) -> Result<(), UsageError> {
        let mut about = level;
        for word in self.words.by_ref() {
            about = about
                .child(word)
                .ok_or_else(|| UsageError::new(level, format!("Unknown subcommand '{word}'.")))?;
        }
        self.ask(Ask::Help(about));
        Ok(())
    }

    fn value(&mut self, level: Level, opt: &'static Opt, attached: Option<&str>) -> Result<(), UsageError> {
        let value = match attached {
            Some(value) => value.to_owned(),
            None if opt.kind == Kind::Switch => "true".to_owned(),
            None => self.next_value(level, opt)?,
        };
        let values = self.line.given.entry(opt.key()).or_default();
        if !values.is_empty() && opt.kind != Kind::List {
            let reason = format!(
                "option '{}' ({}) should be specified only once",
                opt.longest(),
                opt.label
            );
            return Err(UsageError::new(level, reason));
        }
        values.push(value);
        Ok(())
    }

    /// A word that is an option or a command is never a value: `--http-listen-port eth2` is a slip of the pen.
    fn next_value(&mut self, level: Level, opt: &Opt) -> Result<String, UsageError> {
        let name = opt.longest();
        let Some(word) = self.words.next() else {
            let reason = format!("Missing required parameter for option '{name}' ({})", opt.label);
            return Err(UsageError::new(level, reason));
        };
        if level.child(word).is_some() || option(level, word).is_some() {
            let reason = format!("Expected parameter for option '{name}' but found '{word}'");
            return Err(UsageError::new(level, reason));
        }
        Ok(word.clone())
    }

    fn finish(self) -> Result<Line, UsageError> {
        let level = self.line.level();
        if !self.unmatched.is_empty() {
            return Err(unmatched(level, self.first_unmatched_at, &self.unmatched));
        }
        if level == Level::Web3signer && self.line.ask.is_none() {
            return Err(UsageError::new(level, "Missing required subcommand".to_owned()));
        }
        Ok(self.line)
    }
}

/// The option that a word names, and the value that is attached to it: `--name=value`, `-l=value`, `-lvalue`.
fn option(level: Level, word: &str) -> Option<(&'static Opt, Option<&str>)> {
    if let Some(opt) = table::find(level, word) {
        return Some((opt, None));
    }
    if let Some((name, value)) = word.split_once('=')
        && let Some(opt) = table::find(level, name)
    {
        return Some((opt, Some(value)));
    }
    if word.starts_with("--") || !word.starts_with('-') {
        return None;
    }
    let (name, value) = word.split_at_checked(2)?;
    table::find(level, name).map(|opt| (opt, Some(value)))
}

fn unmatched(level: Level, at: usize, words: &[String]) -> UsageError {
    let quoted: Vec<String> = words
        .iter()
        .map(|word| format!("'{}'", name_only(word)))
        .collect();
    let quoted = quoted.join(", ");
    let first = words.first().map_or("", String::as_str);
    let (one, many) = if first.starts_with('-') {
        ("Unknown option:".to_owned(), "Unknown options:".to_owned())
    } else {
        (
            format!("Unmatched argument at index {at}:"),
            format!("Unmatched arguments from index {at}:"),
        )
    };
    let what = if words.len() == 1 { one } else { many };
    let misplaced = misplaced(level, first);
    let candidates: BTreeSet<&str> = table::all()
        .filter(|opt| opt.level == level && !opt.hidden)
        .flat_map(|opt| opt.names.iter().copied())
        .chain(level.children().map(Level::name))
        .collect();
    let found = similar(name_only(first), candidates);
    UsageError {
        level,
        reason: format!("{what} {quoted}{misplaced}"),
        show: if found.is_empty() {
            Show::Usage
        } else {
            Show::Suggestions(found)
        },
    }
}

/// The value of an unknown option may be a secret that stands in the wrong place: only the name is shown.
fn name_only(word: &str) -> &str {
    word.split_once('=').map_or(word, |(name, _)| name)
}

/// The most frequent mistake: the right option on the wrong side of `eth2`.
fn misplaced(level: Level, word: &str) -> String {
    let other = Level::ALL
        .into_iter()
        .find(|other| *other != level && option(*other, word).is_some());
    match other {
        Some(Level::Web3signer) => " (a global option: it stands before 'eth2')".to_owned(),
        Some(other) => format!(" (an option of '{}': it stands behind that word)", other.name()),
        None => String::new(),
    }
}

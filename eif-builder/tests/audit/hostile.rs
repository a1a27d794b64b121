//! The hostile corpus: input that was made to do harm, given to the real program under a limit of memory and of time.
//!
//! One table a kind of input. For each row the program has to end by itself, with this exit code, with this word in what it
//! says, and with nothing left behind that it should not have made.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::Parts;

mod debs;
mod images;
mod ramdisks;
mod texts;

/// Address space of the program, in bytes. More than any of its bounds, less than any bomb.
const ADDRESS_SPACE: u64 = 1 << 30;
/// Seconds of CPU time.
const CPU_SECONDS: u64 = 30;

/// One row.
pub(crate) struct Case {
    name: String,
    /// Files to write first: path below the test's folder, content.
    files: Vec<(String, Vec<u8>)>,
    args: Vec<String>,
    code: i32,
    word: &'static str,
}

impl Case {
    pub(crate) fn new(name: &str, args: &[&str], code: i32, word: &'static str) -> Self {
        Self {
            name: format!("{}: {name}", args[0]),
            files: Vec::new(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            code,
            word,
        }
    }

    pub(crate) fn file(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), content.into()));
        self
    }
}

/// Runs the program below both limits, in a folder of its own.
fn limited(dir: &Path, args: &[String]) -> Output {
    Command::new("prlimit")
        .arg(format!("--as={ADDRESS_SPACE}"))
        .arg(format!("--cpu={CPU_SECONDS}"))
        .arg(env!("CARGO_BIN_EXE_eif-builder"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("CARGO_HOME", dir.join("cargo"))
        .output()
        .unwrap_or_else(|error| panic!("prlimit is needed (apt-get install util-linux): {error}"))
}

/// Every row that does not end as it should, with what was said.
fn failures(cases: &[Case]) -> Vec<String> {
    let mut failures = Vec::new();
    for case in cases {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in &case.files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let output = limited(dir.path(), &case.args);
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let panicked = text.contains("panicked at") || text.contains("memory allocation of");
        let left = dir.path().join("out").exists() || dir.path().parent().unwrap().join("escaped").exists();
        if output.status.code() != Some(case.code) || !text.contains(case.word) || panicked || left {
            let text: String = text.chars().take(400).collect();
            failures.push(format!(
                "{}: {:?}, expected {} with {:?}: {text}",
                case.name,
                output.status.code(),
                case.code,
                case.word
            ));
        }
        // A control character that came from the input must not reach the terminal.
        if text.contains('\u{1b}') {
            failures.push(format!("{}: an escape sequence came through", case.name));
        }
    }
    failures
}

fn check(cases: &[Case]) {
    let failures = failures(cases);
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

#[test]
fn images() {
    check(&images::cases());
}

#[test]
fn ramdisks() {
    check(&ramdisks::cases());
}

#[test]
fn packages_and_tarballs() {
    check(&debs::cases());
}

#[test]
fn policies_measurements_bills_and_locks() {
    check(&texts::cases());
}

#[test]
fn the_corpus_is_large_and_each_row_is_another() {
    let all = [images::cases(), ramdisks::cases(), debs::cases(), texts::cases()].concat_names();
    assert!(all.len() >= 60, "{}", all.len());
    let mut unique = all.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), all.len(), "two rows have one name");
}

trait Names {
    fn concat_names(self) -> Vec<String>;
}

impl<const N: usize> Names for [Vec<Case>; N] {
    fn concat_names(self) -> Vec<String> {
        self.into_iter().flatten().map(|case| case.name).collect()
    }
}

/// The limits are real: a sound image passes below them, and a limit that is too small is felt.
#[test]
fn a_sound_image_passes_below_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    Parts::default().write(dir.path(), "a");
    let args = |command: &str| vec![command.to_owned(), "a.eif".to_owned()];
    for command in ["verify", "describe"] {
        let output = limited(dir.path(), &args(command));
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let output = Command::new("prlimit")
        .args([
            "--as=10000000",
            env!("CARGO_BIN_EXE_eif-builder"),
            "verify",
            "a.eif",
        ])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(0));
}

//! A program's completions and man pages, judged by what reads them: bash, zsh and mandoc. Every program with a manual includes
//! this file in a test of its own, because only there its binary is at hand.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A program and how it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program<'a> {
    /// Its name for people.
    pub(crate) name: &'a str,
    /// Where it is.
    pub(crate) exe: &'a str,
    /// What stands before each command, for example a flag that must not matter.
    pub(crate) before: &'a [&'a str],
}

impl Program<'_> {
    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new(self.exe);
        let output = command.args(self.before).args(args).env_clear().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The shells read its scripts, and bash offers exactly `words` after `typed`, of which the last is not whole.
    pub(crate) fn completes(&self, typed: &[&str], words: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        for shell in ["bash", "zsh"] {
            let file = dir.path().join(shell);
            fs::write(&file, self.run(&["completions", shell])).unwrap();
            assert_eq!(judged(shell, &["-n"], &file), "", "{shell}");
        }
        // As bash itself calls it: the function, the program, the word, the word before.
        let ask = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                   function=$(complete -p \"$1\"); function=${function##*-F }; \
                   \"${function%% *}\" \"$1\" \"${@: -1}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
        let mut bash = Command::new("bash");
        bash.args(["-c", ask, "bash"]).arg(dir.path().join("bash"));
        let offered = bash.arg(self.name).args(typed).output().unwrap();
        assert_eq!(said(&offered).lines().collect::<Vec<_>>(), words);
    }

    /// mandoc has nothing to say about its pages: there are exactly those for it and for `commands`, no date is in them, and
    /// `texts` are in what a reader sees of the page beside them.
    pub(crate) fn explains(&self, commands: &[&str], texts: &[(&str, &str)]) {
        let dir = tempfile::tempdir().unwrap();
        self.run(&["man", dir.path().to_str().unwrap()]);
        #[expect(clippy::disallowed_methods, reason = "the order is made here")]
        let listed = fs::read_dir(dir.path()).unwrap();
        let pages: BTreeSet<String> = listed
            .map(|page| page.unwrap().file_name().into_string().unwrap())
            .collect();
        let wanted = commands
            .iter()
            .map(|command| format!("{}-{command}.1", self.name));
        let wanted: BTreeSet<String> = wanted.chain([format!("{}.1", self.name)]).collect();
        assert_eq!(pages, wanted);
        for page in &pages {
            let said = judged("mandoc", &["-T", "lint", "-W", "warning"], &dir.path().join(page));
            // The generator parts paragraphs with .br before .sp, which readers skip; and a date would change with every build.
            let known = ["skipping paragraph macro: br", "missing date"];
            let unknown = |line: &&str| !known.iter().any(|known| line.contains(known));
            let said: Vec<&str> = said.lines().filter(unknown).collect();
            assert!(said.is_empty(), "{said:#?}");
        }
        for (command, text) in texts {
            let page = dir.path().join(format!("{}-{command}.1", self.name));
            let shown = judged("mandoc", &["-T", "utf8"], &page);
            // A reader's lines are as long as the terminal is wide.
            let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(shown.contains(text), "{command}: {shown}");
        }
    }
}

/// What a checker says about a file; nothing when all is well.
fn judged(program: &str, args: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(args).arg(file).output();
    said(&output.unwrap_or_else(|e| panic!("{program}: {e}; `make test-deps` installs it")))
}

fn said(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap()
}

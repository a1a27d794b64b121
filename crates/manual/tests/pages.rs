//! A small program's pages and scripts, beside what a reader of them expects.

use std::fs;
use std::io;

use clap::{Arg, Command};
use manual::{Completions, Man, Shell};

fn program() -> Command {
    let secret = Command::new("own-use").hide(true).about("not for people");
    let sign = Command::new("sign").about("Sign it").arg(
        Arg::new("key")
            .long("key")
            .value_name("FILE")
            .help("Its \"key\" - or 'none'"),
    );
    Command::new("tool")
        .version("1.2")
        .about("Does things")
        .subcommand(sign)
        .subcommand(secret)
}

#[test]
fn pages_are_the_texts_of_help() {
    let dir = tempfile::tempdir().unwrap();
    let man = Man {
        dir: dir.path().join("deep/man1"),
    };
    assert_eq!(man.write(program()).unwrap(), ["tool.1", "tool-sign.1"]);
    let page = fs::read_to_string(man.dir.join("tool-sign.1")).unwrap();
    assert!(
        page.contains(".TH \"tool-sign\" \"1\" \"\" \"tool 1.2\" \"User Commands\"\n"),
        "{page}"
    );
    for text in ["Sign it", "\\fB\\-\\-key\\fR", "FILE"] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
    let first = fs::read(man.dir.join("tool.1")).unwrap();
    man.write(program()).unwrap();
    assert_eq!(
        fs::read(man.dir.join("tool.1")).unwrap(),
        first,
        "no date, no order of chance"
    );
    #[expect(clippy::disallowed_methods, reason = "only counted")]
    let count = fs::read_dir(&man.dir).unwrap().count();
    assert_eq!(count, 2, "no partial page is left");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Man {
        dir: file.join("man1"),
    }
    .write(program())
    .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
}

#[test]
fn every_shell_is_offered_the_flags() {
    for shell in [
        Shell::Bash,
        Shell::Zsh,
        Shell::Fish,
        Shell::Elvish,
        Shell::PowerShell,
    ] {
        let mut script = Vec::new();
        Completions { shell }.write(program(), &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("key"), "{shell}: {script}");
    }
}

/// A closed pipe is an error of the caller, not a panic of the generator.
#[test]
fn a_closed_pipe_is_an_error() {
    struct Closed;
    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let shell = Shell::Bash;
    let error = Completions { shell }.write(program(), &mut Closed).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}

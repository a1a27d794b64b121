//! Shell completions and man pages of the host programs, made from their command lines.
//!
//! A program adds [`Completions`] and [`Man`] to its subcommands and hands its own `clap::Command` over. Nothing here has a text
//! of its own: what `--help` says is what the pages say. Same command line, same bytes; no date is written.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
pub use clap_complete::Shell;

/// `PROGRAM completions`
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completions {
    /// The shell that is to complete
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `PROGRAM man`
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Man {
    /// Folder for the pages, for example ~/.local/share/man/man1; made when it is not there
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

impl Completions {
    /// Writes the script for the shell.
    ///
    /// # Errors
    /// What `out` fails with.
    pub fn write(self, mut command: Command, out: &mut dyn Write) -> io::Result<()> {
        let name = command.get_name().to_owned();
        let mut script = Vec::new();
        // Into memory first: the generator takes any failure to write as a reason to panic.
        clap_complete::generate(self.shell, &mut command, &name, &mut script);
        if self.shell == Shell::Bash {
            script = joined(script, &name);
        }
        out.write_all(&script)
    }
}

/// The script for bash with the two spellings of the program's name made one.
///
/// `clap_complete` 4.6.11 calls the state of `eif-builder lock` by two names, `eif__builder__subcmd__lock` where it is entered and
/// `eif__subcmd__builder__subcmd__lock` where it is answered, so nothing behind a command is completed. A name without `-` has
/// one spelling only.
fn joined(script: Vec<u8>, name: &str) -> Vec<u8> {
    let spelling = |hyphen| format!("{}__subcmd__", name.replace('-', hyphen));
    match String::from_utf8(script) {
        Ok(text) => text
            .replace(&spelling("__subcmd__"), &spelling("__"))
            .into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

impl Man {
    /// Writes a page for the program and one for each of its commands, and gives their names in order.
    ///
    /// # Errors
    /// When the folder cannot be made or a page cannot be written; the pages that are there are then whole.
    pub fn write(&self, command: Command) -> io::Result<Vec<String>> {
        fs::create_dir_all(&self.dir)?;
        let mut command = command.disable_help_subcommand(true);
        command.build();
        let source = format!(
            "{} {}",
            command.get_name(),
            command.get_version().unwrap_or_default()
        );
        let mut names = Vec::new();
        pages(&command, &source, &self.dir, &mut names)?;
        Ok(names)
    }
}

fn pages(command: &Command, source: &str, dir: &Path, names: &mut Vec<String>) -> io::Result<()> {
    let page = clap_mangen::Man::new(command.clone());
    let name = page.get_filename();
    let mut bytes = Vec::new();
    page.render(&mut bytes)?;
    let bytes = titled(&bytes, name.trim_end_matches(".1"), source);
    let partial = dir.join(format!(".{name}.partial"));
    let written = fs::write(&partial, bytes).and_then(|()| fs::rename(&partial, dir.join(&name)));
    if written.is_err() {
        drop(fs::remove_file(&partial));
    }
    written?;
    names.push(name);
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    for command in shown {
        pages(command, source, dir, names)?;
    }
    Ok(())
}

/// The page with a title line in which each field is quoted: the generator leaves an empty date out, and what follows it then
/// stands in the wrong field.
fn titled(page: &[u8], title: &str, source: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in page.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b".TH ") {
            bytes.extend(format!(".TH \"{title}\" \"1\" \"\" \"{source}\" \"User Commands\"\n").as_bytes());
        } else {
            bytes.extend(line);
        }
    }
    bytes
}

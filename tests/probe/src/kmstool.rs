//! Runs the image's KMS tool as its user would: arguments and standard input from the caller, everything back.

use std::io::{self, Read, Write as _};
use std::process::{Command, Stdio};

const PROGRAM: &str = "/usr/bin/kmstool_enclave_cli";

/// `arguments` are separated by tabs; `input` is read to its end first.
///
/// The answer is `CODE LENGTH`, a line feed, `LENGTH` bytes of standard output, then standard error. A process that a
/// signal ended has the code -1.
pub(crate) fn run(arguments: &str, mut input: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.read_to_end(&mut text)?;
    let mut child = Command::new(PROGRAM)
        .args(arguments.split('\t'))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = child.stdin.take();
    let writer = std::thread::spawn(move || {
        // A tool that ends early reads no more: its own answer says why.
        stdin.map(|mut stdin| stdin.write_all(&text))
    });
    let output = child.wait_with_output()?;
    drop(writer.join());
    let code = output.status.code().unwrap_or(-1);
    let head = format!("{code} {}\n", output.stdout.len());
    Ok([head.as_bytes(), &output.stdout, &output.stderr].concat())
}

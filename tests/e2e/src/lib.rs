//! What the end-to-end tests share: where `scripts/with-enclave.sh` put things, one command of eif-builder, and an
//! enclave with its control port.
//!
//! Nothing is skipped: what is not there fails the test and names the command that makes it.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a failed step is a failed test"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use simulator::emulator::Emulator;
use simulator::enclave::{Config, Enclave};
use simulator::record::Milestone;

pub mod probe;
pub mod service;

/// Patience with a step of an emulated machine on a busy host.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// The value of a variable that `scripts/with-enclave.sh` sets.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told where things are through the environment"
)]
pub fn place(variable: &str) -> PathBuf {
    let value = std::env::var(variable);
    PathBuf::from(value.unwrap_or_else(|_| panic!("{variable} is not set: run `make e2e`")))
}

/// The top of the source tree.
#[must_use]
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf()
}

/// A folder inside the source tree that git ignores, removed with the value.
#[must_use]
pub fn scratch_in_tree() -> tempfile::TempDir {
    let target = top().join("target/e2e");
    fs::create_dir_all(&target).unwrap();
    tempfile::tempdir_in(target).unwrap()
}

/// Runs eif-builder to its end.
#[must_use]
pub fn eif_builder(args: &[&str]) -> Output {
    Command::new(place("NITRO_EIF_BUILDER"))
        .args(args)
        .output()
        .unwrap()
}

/// Both streams of a finished program.
#[must_use]
pub fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Builds an image and gives the folder of its files.
#[must_use]
pub fn build_image(manifest: &Path) -> PathBuf {
    let out = place("NITRO_OUT_DIR");
    let output = eif_builder(&[
        "build",
        manifest.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", said(&output));
    out
}

/// `PCR0`, `PCR1`, `PCR2` of a `.pcrs.json`.
#[must_use]
pub fn pcrs(file: &Path) -> [String; 3] {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}; run `make eif`", file.display()));
    let value: Value = serde_json::from_str(&text).unwrap();
    [0, 1, 2].map(|n| {
        value["Measurements"][format!("PCR{n}")]
            .as_str()
            .unwrap()
            .to_owned()
    })
}

/// A running enclave, with the folder of its sockets.
#[derive(Debug)]
pub struct Booted {
    /// The enclave.
    pub enclave: Enclave,
    dir: tempfile::TempDir,
}

/// Boots an image and waits until every service has been started.
#[must_use]
pub fn boot(image: &Path) -> Booted {
    let emulator = Emulator::find(Some(&place("NITRO_EMULATOR_DIR")), None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let launcher = place("NITRO_SIMULATOR");
    let config = Config::new(image.to_path_buf(), emulator, launcher, dir.path().to_path_buf()).unwrap();
    let enclave = Enclave::boot(&config, |text| println!("{text}")).unwrap();
    let booted = Booted { enclave, dir };
    if let Err(error) = booted
        .enclave
        .wait_for(Milestone::Init(abi::boot::Stage::Running), PATIENCE)
    {
        panic!("{error}\n{}", booted.enclave.record().console_lines().join("\n"));
    }
    booted
}

impl Booted {
    /// Folder of the enclave's sockets.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Connects to a port of the enclave, as soon as somebody listens there.
    #[must_use]
    pub fn connect(&self, port: u32) -> UnixStream {
        let start = Instant::now();
        loop {
            match self.enclave.connect(port) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return stream;
                }
                Err(error) if start.elapsed() > PATIENCE => panic!("port {port}: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Sends a control message and reads the answer.
    #[must_use]
    pub fn control(&self, message: &str) -> Value {
        let mut stream = self.connect(abi::vsock::CONTROL_PORT);
        stream.write_all(message.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{answer:?}: {e}"))
    }

    /// Sends bytes to the service port and reads what comes back.
    #[must_use]
    pub fn service(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect(abi::vsock::SERVICE_PORT);
        // What is no message may be cut off before its end.
        drop(stream.write_all(bytes));
        let mut answer = Vec::new();
        // A connection that is closed while bytes are on their way may be reset.
        drop(stream.read_to_end(&mut answer));
        answer
    }

    /// Asks the probe of the test image.
    #[must_use]
    pub fn probe(&self, question: &str) -> String {
        String::from_utf8_lossy(&probe::ask(self.connect(7000), question, b"")).into_owned()
    }
}

/// A failed test says what the enclave said.
#[derive(Debug)]
pub struct Console<'a>(pub &'a Booted);

impl Drop for Console<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.0.enclave.record().console_lines().join("\n"));
        }
    }
}

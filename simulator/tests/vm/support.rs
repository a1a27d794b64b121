//! Makes the test image (a kernel, and `tests/vsock-guest` as PID 1) and boots it.
//!
//! Needs `NITRO_EMULATOR_DIR` and `NITRO_TEST_KERNEL`; a test without them fails.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what a test needs and does not get is a failed test"
)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use abi::boot::Stage;
use eif::{Architecture, BuildInfo, EifWriter, Metadata, Part, Parts};
use simulator::emulator::Emulator;
use simulator::enclave::{Config, Enclave};
use simulator::record::Milestone;
use tempfile::TempDir;

const CMDLINE: &str = "reboot=k panic=30 pci=off nomodules console=ttyS0 i8042.noaux i8042.nomux i8042.nopnp \
                       i8042.dumbkbd random.trust_cpu=on";

/// Longest time for anything in a guest that is emulated on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Held by the tests of this process that share it, or by one that must be alone in it.
static PROCESS: RwLock<()> = RwLock::new(());

/// A part of this process, as long as it is kept.
pub(crate) enum Turn {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

impl Turn {
    pub(crate) fn shared() -> Self {
        let guard = PROCESS.read().unwrap_or_else(PoisonError::into_inner);
        Self::Shared { _guard: guard }
    }

    /// For a test that measures this process.
    pub(crate) fn alone() -> Self {
        let guard = PROCESS.write().unwrap_or_else(PoisonError::into_inner);
        Self::Alone { _guard: guard }
    }
}

/// The folder of one enclave, and the turn in which it runs.
pub(crate) struct Place {
    dir: TempDir,
    _turn: Turn,
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

pub(crate) fn variable(name: &str) -> PathBuf {
    let value = std::env::var_os(name);
    value
        .unwrap_or_else(|| {
            panic!("{name} is not set: run `make emulator`, then `make e2e`, which sets it (scripts/with-enclave.sh)")
        })
        .into()
}

pub(crate) fn emulator() -> Emulator {
    Emulator::find(Some(&variable("NITRO_EMULATOR_DIR")), None).unwrap()
}

/// The guest program, static, built once.
fn guest() -> &'static Path {
    static GUEST: OnceLock<PathBuf> = OnceLock::new();
    GUEST.get_or_init(|| {
        const TARGET: &str = "x86_64-unknown-linux-gnu";
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vsock-guest");
        let output = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args([
                "build",
                "--quiet",
                "--locked",
                "--package",
                "vsock-guest",
                "--profile",
                "tool",
                "--target",
                TARGET,
            ])
            .arg("--target-dir")
            .arg(&folder)
            .env("RUSTFLAGS", "-C target-feature=+crt-static -C strip=symbols")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "tests/vsock-guest was not built:\n{said}"
        );
        folder.join(TARGET).join("tool/vsock-guest")
    })
}

/// An image whose PID 1 gets `words`, in a folder of its own.
pub(crate) fn image(dir: &Path, words: &str) -> PathBuf {
    let boot = cpio(&[
        ("dev", 0o040_755, &[]),
        ("init", 0o100_755, &fs::read(guest()).unwrap()),
    ]);
    let app = cpio(&[("rootfs", 0o040_755, &[])]);
    let kernel = fs::read(variable("NITRO_TEST_KERNEL")).unwrap();
    let text = String::new;
    let metadata = Metadata {
        image_name: "vsock-guest".into(),
        image_version: "0".into(),
        build: BuildInfo {
            build_time: "1970-01-01T00:00:00Z".into(),
            build_tool: text(),
            build_tool_version: text(),
            operating_system: text(),
            kernel_version: text(),
        },
        docker_info: serde_json::Value::Null,
        custom: serde_json::Value::Null,
    };
    let path = dir.join("test.eif");
    let writer = EifWriter {
        architecture: Architecture::X86_64,
        default_mem: 512 << 20,
        default_cpus: 2,
    };
    let [mut kernel, mut boot, mut app] = [&kernel[..], &boot, &app];
    let cmdline = format!("{CMDLINE} {words}");
    let parts = Parts {
        kernel: part(&mut kernel),
        cmdline: cmdline.as_bytes(),
        metadata: &metadata.to_bytes(),
        ramdisks: vec![part(&mut boot), part(&mut app)],
        signature: None,
    };
    writer.write(parts, &mut File::create(&path).unwrap()).unwrap();
    path
}

fn part<'a>(bytes: &'a mut &[u8]) -> Part<'a> {
    Part {
        size: bytes.len() as u64,
        source: bytes,
    }
}

/// A newc archive: entries of name, mode and content, all else zero.
fn cpio(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let trailer = ("TRAILER!!!", 0, &[][..]);
    for (ino, (name, mode, content)) in entries.iter().chain([&trailer]).enumerate() {
        let (name_size, size) = (name.len() + 1, content.len());
        let ino = ino + 1;
        write!(
            out,
            "070701{ino:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}",
            0, 0, 1, 0
        )
        .unwrap();
        write!(
            out,
            "{:08x}{:08x}{:08x}{:08x}{name_size:08x}{:08x}{name}\0",
            0, 0, 0, 0, 0
        )
        .unwrap();
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// A folder with the image of a guest that serves, and how to boot it.
pub(crate) fn config(words: &str) -> (Place, Config) {
    config_in(Turn::shared(), words)
}

pub(crate) fn config_in(turn: Turn, words: &str) -> (Place, Config) {
    let dir = tempfile::tempdir().unwrap();
    let launcher = PathBuf::from(env!("CARGO_BIN_EXE_simulator"));
    let config = Config::new(
        image(dir.path(), words),
        emulator(),
        launcher,
        dir.path().to_owned(),
    )
    .unwrap();
    raise_descriptor_limit();
    (Place { dir, _turn: turn }, config)
}

/// A guest that serves all its ports.
pub(crate) fn boot(config: &Config) -> Enclave {
    let enclave = Enclave::boot(config, |text| println!("{text}")).unwrap();
    enclave
        .wait_for(Milestone::Init(Stage::Running), PATIENCE)
        .unwrap();
    enclave
}

/// Has the guest run a command, and returns its line.
pub(crate) fn command(enclave: &Enclave, line: &str) -> String {
    let mut stream = enclave.connect(5004).unwrap();
    writeln!(stream, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer.trim().to_owned()
}

/// The number behind `key=` in a line of the guest.
pub(crate) fn number(answer: &str, key: &str) -> u64 {
    let found = answer
        .split_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    found
        .unwrap_or_else(|| panic!("no {key} in {answer:?}"))
        .parse()
        .unwrap()
}

/// Tests hold both ends of many connections in one process.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

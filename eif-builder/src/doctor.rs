//! What this host lacks for building, running, testing and measuring: each with the reason and the mend.
//!
//! It changes nothing and fetches nothing. [`examine`] asks a [`Machine`], which tests replace; the same list of tools as
//! `scripts/host-deps.sh` has, and a test holds the two together.

mod machine;
mod report;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use crate::enter::advice::Advice;
use crate::lock::Archive;
use crate::mirror::{MirrorOptions, Mirrors};

pub use machine::{Machine, ThisMachine};
pub use report::Report;

/// What a host is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// `make eif`, `make verify`
    Build,
    /// `make run`: an image in the simulator
    Run,
    /// `make test`, `make check`
    Test,
    /// `make bench`
    Bench,
}

/// All of them, from what needs least to what needs most: each needs what those before it need.
pub const PURPOSES: [Purpose; 4] = [Purpose::Build, Purpose::Run, Purpose::Test, Purpose::Bench];

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it must be.
    Ok,
    /// It works without, but worse; the reason says how.
    Poor,
    /// It does not work without.
    Lacking,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub name: String,
    /// The first purpose that needs it; those after it do as well.
    pub purpose: Purpose,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What it is for.
    pub reason: String,
    /// What to do; empty when it is as it must be.
    pub mend: String,
}

/// A command that something calls, and the Debian package that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// The command.
    pub command: &'static str,
    /// The package.
    pub package: &'static str,
    /// See [`Finding::purpose`].
    pub purpose: Purpose,
    /// See [`Finding::reason`].
    pub reason: &'static str,
}

const fn tool(command: &'static str, package: &'static str, purpose: Purpose, reason: &'static str) -> Tool {
    Tool {
        command,
        package,
        purpose,
        reason,
    }
}

/// The commands. `scripts/host-deps.sh` has the same.
pub const TOOLS: [Tool; 15] = [
    tool(
        "cc",
        "gcc",
        Purpose::Build,
        "links the host tools; nothing of it is measured",
    ),
    tool(
        "c++",
        "g++",
        Purpose::Test,
        "the reference builder's crates compile with it",
    ),
    tool(
        "cpio",
        "cpio",
        Purpose::Test,
        "the other implementation that archives are compared with",
    ),
    tool(
        "git",
        "git",
        Purpose::Test,
        "which files are of the source; `verify --rebuild` names the commit with it",
    ),
    tool("mandoc", "mandoc", Purpose::Test, "judges the man pages"),
    tool(
        "node",
        "nodejs",
        Purpose::Test,
        "runs Lodestar's client of the signer",
    ),
    tool(
        "npm",
        "npm",
        Purpose::Test,
        "installs Lodestar's client from its lock",
    ),
    tool(
        "openssl",
        "openssl",
        Purpose::Test,
        "the other implementation of hashes, certificates and signatures",
    ),
    tool(
        "pdftotext",
        "poppler-utils",
        Purpose::Test,
        "reads the report as it is printed",
    ),
    tool(
        "pkg-config",
        "pkg-config",
        Purpose::Test,
        "finds OpenSSL for the reference builder",
    ),
    tool("prlimit", "util-linux", Purpose::Test, "tests of limits"),
    tool(
        "python3",
        "python3",
        Purpose::Test,
        "other implementations that tests call",
    ),
    tool(
        "shellcheck",
        "shellcheck",
        Purpose::Test,
        "lints the shell scripts",
    ),
    tool("zsh", "zsh", Purpose::Test, "judges the shell completions"),
    tool(
        "socat",
        "socat",
        Purpose::Bench,
        "the tunnel that ours is measured beside",
    ),
];

/// Oldest Rust of the host tools: `rust-version` of the workspace.
const RUST: (u32, u32) = (1, 95);
/// Disk for the first build: inputs, build root, kernel tree, results.
const BUILD_DISK: u64 = 8 << 30;
/// Disk for the tests besides: the emulator, other people's tools.
const TEST_DISK: u64 = 16 << 30;
/// Memory for compiling with two jobs; each more wants half of that.
const BUILD_MEMORY: u64 = 3 << 30;

/// What `main` knows of the machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store; `None` when no place is known.
    pub store: Option<PathBuf>,
    /// Where Debian packages come from.
    pub mirrors: MirrorOptions,
    /// The machine's configuration folder.
    pub etc: PathBuf,
    /// The cargo that vendors crates.
    pub cargo: PathBuf,
    /// CPUs that may be used.
    pub cpus: usize,
}

/// Looks at everything.
#[must_use]
pub fn examine(machine: &dyn Machine, settings: &Settings) -> Report {
    let mut findings = vec![
        namespaces(machine),
        rust(machine, &settings.cargo),
        store(machine, settings.store.as_deref(), Purpose::Build, BUILD_DISK),
        memory(machine, settings.cpus),
        mirror(settings),
        kvm(machine),
        store(machine, settings.store.as_deref(), Purpose::Test, TEST_DISK),
    ];
    findings.extend(TOOLS.iter().map(|tool| command(machine, tool)));
    findings.push(venv(machine));
    findings.push(browser(machine));
    findings.push(postgresql(machine));
    findings.push(openssl_headers(machine));
    findings.push(faketime(machine));
    findings.sort_by_key(|finding| finding.purpose);
    Report { findings }
}

/// Starts a finding that is as it must be.
fn finding(name: &str, purpose: Purpose, reason: &str) -> Finding {
    Finding {
        name: name.to_owned(),
        purpose,
        state: State::Ok,
        found: String::new(),
        reason: reason.to_owned(),
        mend: String::new(),
    }
}

impl Finding {
    fn ok(self, found: impl Into<String>) -> Self {
        Self {
            found: found.into(),
            ..self
        }
    }

    fn bad(self, state: State, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            state,
            found: found.into(),
            mend: mend.into(),
            ..self
        }
    }
}

fn install(package: &str) -> String {
    format!("sudo apt-get install {package}")
}

fn namespaces(machine: &dyn Machine) -> Finding {
    let reason = "everything measured is compiled in namespaces of its own, without root and without network";
    let finding = finding("user namespaces", Purpose::Build, reason);
    let flags = [
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--net",
        "--fork",
        "true",
    ];
    match machine.run(Path::new("unshare"), &flags) {
        Some(Ok(_)) => return finding.ok("they can be made"),
        Some(Err(_)) => {}
        // Without the tool only settings can be looked at.
        None => match Advice::from_files(&|path| machine.read(Path::new(path))) {
            Advice::Unknown => return finding.ok("no setting forbids them (not tried: unshare is not here)"),
            advice => return finding.bad(State::Lacking, "a setting forbids them", advice.to_string()),
        },
    }
    let advice = Advice::from_files(&|path| machine.read(Path::new(path)));
    finding.bad(State::Lacking, "they cannot be made", advice.to_string())
}

fn rust(machine: &dyn Machine, cargo: &Path) -> Finding {
    let reason = "compiles the host tools; what is measured has a compiler of its own, from the lock";
    let finding = finding("Rust", Purpose::Build, reason);
    let mend = format!(
        "install Rust {}.{} or newer (rustup), or set CARGO",
        RUST.0, RUST.1
    );
    let Some(Ok(text)) = machine.run(cargo, &["--version"]) else {
        return finding.bad(State::Lacking, format!("{} does not run", cargo.display()), mend);
    };
    let found = text.trim().to_owned();
    let version = found.split(' ').nth(1).and_then(|version| {
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    });
    match version {
        Some(version) if version >= RUST => finding.ok(found),
        _ => finding.bad(State::Lacking, format!("it says {found:?}"), mend),
    }
}

fn store(machine: &dyn Machine, store: Option<&Path>, purpose: Purpose, least: u64) -> Finding {
    let name = if purpose == Purpose::Build {
        "store"
    } else {
        "store for tests"
    };
    let finding = finding(name, purpose, "inputs and built parts are kept there");
    let Some(store) = store else {
        return finding.bad(
            State::Lacking,
            "no place is known",
            "set HOME or XDG_CACHE_HOME, or give --store",
        );
    };
    let nearest = store.ancestors().find(|dir| machine.exists(dir));
    let Some((dir, free)) = nearest.and_then(|dir| Some((dir, machine.free_bytes(dir)?))) else {
        let found = format!("nothing is known of {}", store.display());
        return finding.bad(State::Lacking, found, "give --store a folder that can be made");
    };
    let found = format!("{}: {} GiB free", store.display(), free >> 30);
    if !machine.writable(dir) {
        return finding.bad(
            State::Lacking,
            format!("{} cannot be written", dir.display()),
            "give --store another folder, or mend its rights",
        );
    }
    // What is there already needs no more room.
    let wanted = if machine.exists(&store.join("parts")) {
        least / 4
    } else {
        least
    };
    if free >= wanted {
        return finding.ok(found);
    }
    finding.bad(
        State::Lacking,
        found,
        format!(
            "make room: {} GiB are needed there, or give --store another place",
            wanted >> 30
        ),
    )
}

fn memory(machine: &dyn Machine, cpus: usize) -> Finding {
    let finding = finding("memory", Purpose::Build, "compiling the kernel and the programs");
    let text = machine.read(Path::new("/proc/meminfo")).unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        let rest = line.strip_prefix("MemAvailable:")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    let Some(bytes) = kib.map(|kib| kib << 10) else {
        return finding.ok("not known on this machine");
    };
    let found = format!("{} MiB available, {cpus} CPUs", bytes >> 20);
    let jobs = u64::try_from(cpus).unwrap_or(u64::MAX).max(2);
    if bytes < BUILD_MEMORY {
        finding.bad(
            State::Lacking,
            found,
            "3 GiB are needed; end other programs or add swap",
        )
    } else if bytes < BUILD_MEMORY / 2 * jobs.min(1024) {
        finding.bad(State::Poor, found, "compile with fewer jobs: --jobs 2")
    } else {
        finding.ok(found)
    }
}

fn mirror(settings: &Settings) -> Finding {
    let reason =
        "Debian packages and the kernel's source come from it; every byte is checked against the lock";
    let finding = finding("Debian mirror", Purpose::Build, reason);
    match Mirrors::discover(&settings.mirrors, &settings.etc) {
        Err(error) => finding.bad(State::Lacking, error.to_string(), "mend that setting"),
        Ok(mirrors) => match mirrors.of(Archive::Debian) {
            // Whose it is, is nobody's business in a bug report.
            Ok(known) => finding.ok(format!("{} known, the snapshot archive besides", known.len())),
            Err(_) => finding.bad(
                State::Poor,
                "only the public snapshot archive, which is slow",
                "set DEBIAN_MIRROR to the base URL of a mirror",
            ),
        },
    }
}

fn kvm(machine: &dyn Machine) -> Finding {
    let reason =
        "the simulator runs enclaves at the machine's own speed with it, about ten times slower without";
    let finding = finding("KVM", Purpose::Run, reason);
    let device = Path::new("/dev/kvm");
    if !machine.exists(device) {
        let mend = "nothing is needed; on hardware or a virtual machine with nested virtualisation, load kvm";
        return finding.bad(State::Poor, "absent: enclaves are emulated", mend);
    }
    if machine.writable(device) {
        finding.ok("/dev/kvm can be opened; whether guests run is seen when one starts")
    } else {
        let mend = "add this user to the group of /dev/kvm (often `kvm`)";
        finding.bad(
            State::Poor,
            "/dev/kvm is not for this user: enclaves are emulated",
            mend,
        )
    }
}

fn command(machine: &dyn Machine, tool: &Tool) -> Finding {
    let finding = finding(tool.command, tool.purpose, tool.reason);
    if machine.run(Path::new(tool.command), &["--version"]).is_some() {
        finding.ok("here")
    } else {
        finding.bad(State::Lacking, "not here", install(tool.package))
    }
}

fn venv(machine: &dyn Machine) -> Finding {
    let reason = "installs pinned Python tools into folders of their own";
    let finding = finding("python3 venv", Purpose::Test, reason);
    match machine.run(Path::new("python3"), &["-c", "import ensurepip, venv"]) {
        Some(Ok(_)) => finding.ok("here"),
        _ => finding.bad(State::Lacking, "not here", install("python3-venv")),
    }
}

fn browser(machine: &dyn Machine) -> Finding {
    let finding = finding(
        "browser",
        Purpose::Test,
        "shows the report's page, as a reader would see it",
    );
    let names = ["chromium", "google-chrome", "chromium-browser"];
    if names
        .iter()
        .any(|name| machine.run(Path::new(name), &["--version"]).is_some())
    {
        finding.ok("here")
    } else {
        finding.bad(State::Lacking, "not here", install("chromium"))
    }
}

fn postgresql(machine: &dyn Machine) -> Finding {
    let finding = finding(
        "postgresql",
        Purpose::Test,
        "the slashing store that tests run against",
    );
    let here = machine.run(Path::new("initdb"), &["--version"]).is_some();
    if here || machine.matches("/usr/lib/postgresql/*/bin/initdb") {
        finding.ok("here")
    } else {
        finding.bad(State::Lacking, "not here", install("postgresql"))
    }
}

fn openssl_headers(machine: &dyn Machine) -> Finding {
    let finding = finding(
        "openssl headers",
        Purpose::Test,
        "the reference builder compiles against them",
    );
    match machine.run(Path::new("pkg-config"), &["--exists", "openssl"]) {
        Some(Ok(_)) => finding.ok("here"),
        _ => finding.bad(State::Lacking, "not here", install("libssl-dev")),
    }
}

fn faketime(machine: &dyn Machine) -> Finding {
    let finding = finding(
        "libfaketime",
        Purpose::Bench,
        "other people's tools with the clock of their documents",
    );
    if machine.matches("/usr/lib/*/faketime/libfaketime.so.1") {
        finding.ok("here")
    } else {
        finding.bad(State::Lacking, "not here", install("libfaketime"))
    }
}

#[cfg(test)]
mod tests;

//! The image manifest as it is written: the schema of `rootfs/<image>/image.toml`.
//!
//! Nothing is checked here but names and types; unknown keys are errors. [`super`] checks the rest.
//! `rootfs/README.md` describes each key for people who write manifests.

use std::collections::{BTreeMap, BTreeSet};

use control::config::RawConfig;
use serde::Deserialize;

use crate::nar::NarHash;
use crate::request::Request;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawManifest {
    /// Required: [`super::SCHEMA`].
    pub schema: u32,
    /// Required.
    pub image: RawImage,
    /// Required.
    pub kernel: RawKernel,
    /// Required.
    pub ramdisk: RawRamdisk,
    /// Required; may be empty. Debian packages and downloads, as `eif-builder lock` reads them.
    pub inputs: Request,
    /// Required: settings of PID 1.
    pub init: RawInit,
    /// Optional: which files of the packages enter the image.
    #[serde(default)]
    pub packages: RawPackages,
    /// Optional.
    #[serde(default, rename = "group")]
    pub groups: Vec<RawGroup>,
    /// Optional.
    #[serde(default, rename = "user")]
    pub users: Vec<RawUser>,
    /// Optional: static programs of this workspace.
    #[serde(default, rename = "program")]
    pub programs: Vec<RawProgram>,
    /// Optional.
    #[serde(default, rename = "directory")]
    pub directories: Vec<RawDirectory>,
    /// Optional.
    #[serde(default, rename = "file")]
    pub files: Vec<RawFile>,
    /// Optional.
    #[serde(default, rename = "link")]
    pub links: Vec<RawLink>,
    /// Optional: files made of several files of the packages.
    #[serde(default, rename = "concatenation")]
    pub concatenations: Vec<RawConcatenation>,
    /// Optional: releases of other projects.
    #[serde(default, rename = "tarball")]
    pub tarballs: Vec<RawTarball>,
    /// Optional: files out of jars or other zip archives of the image.
    #[serde(default, rename = "member")]
    pub members: Vec<RawMember>,
    /// Optional: argument files with Java's class path.
    #[serde(default, rename = "classpath")]
    pub classpaths: Vec<RawClasspath>,
    /// Optional: memory file systems.
    #[serde(default, rename = "tmpfs")]
    pub tmpfs: Vec<RawTmpfs>,
    /// Optional: what weakens trust; nothing when absent.
    pub trust: Option<RawTrust>,
    /// Optional: the one deployment config of this image.
    pub deployment: Option<RawConfig>,
    /// Optional: which signer the image has.
    pub signer: Option<RawSigner>,
    /// Required: at least one.
    #[serde(rename = "service")]
    pub services: Vec<RawService>,
}

impl RawManifest {
    /// The files of the source tree that it names, as it names them: from the folder that it is in.
    pub fn named_files(&self) -> impl Iterator<Item = &str> {
        let files = self.files.iter().filter_map(|file| file.source.as_deref());
        let filters = self.services.iter().map(|service| service.seccomp.as_str());
        let roots = self.trust.iter().filter_map(|trust| trust.kms_ca.as_deref());
        files.chain(filters).chain(roots)
    }
}

/// `[image]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawImage {
    /// Required: lower-case letters, digits and `-`; names the output files.
    pub name: String,
    /// Required: free text without control characters; goes into the EIF's metadata.
    pub version: String,
    /// Required: `x86_64`.
    pub architecture: String,
    /// Required: memory in MiB that the EIF header asks for.
    pub memory_mib: u64,
    /// Required: CPUs that the EIF header asks for.
    pub cpus: u64,
}

/// `[kernel]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawKernel {
    /// Required.
    pub command_line: String,
}

/// `[ramdisk]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRamdisk {
    /// Required: 1 to 19.
    pub zstd_level: i32,
}

/// `[init]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawInit {
    /// Required: the workspace member that becomes `/init`.
    pub program: String,
    /// Required: group that may open `/dev/nsm`.
    pub nsm_group: String,
    /// Required: first port that a service may bind without a capability, at most 1024.
    pub unprivileged_ports_from: u16,
    /// Required.
    pub clock: RawClock,
}

/// `clock = { source = "ptp-kvm", … }` or `clock = { source = "none" }`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, tag = "source", rename_all = "kebab-case")]
pub enum RawClock {
    /// Whatever the kernel found at boot.
    None,
    /// The clock of the KVM host.
    PtpKvm {
        /// Seconds between two readings.
        period_s: u32,
        /// Set the clock only when it is off by more.
        step_over_ms: u32,
    },
}

/// `[packages]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPackages {
    /// Patterns of paths that enter the image; everything when absent.
    pub keep: Option<Vec<String>>,
    /// Patterns of paths that do not, stronger than `keep`.
    #[serde(default)]
    pub drop: Vec<String>,
}

/// `[[group]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawGroup {
    /// Required.
    pub name: String,
    /// Required: 1 to 65533.
    pub id: u32,
}

/// `[[user]]`; each user has a group of its own name and number.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawUser {
    /// Required.
    pub name: String,
    /// Required: 1 to 65533.
    pub id: u32,
    /// Optional: supplementary groups.
    #[serde(default)]
    pub groups: BTreeSet<String>,
}

/// `[[program]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawProgram {
    /// Required: the workspace member.
    pub package: String,
    /// Optional, the package's name: which of its binaries.
    pub bin: Option<String>,
    /// Required: path in the image.
    pub path: String,
}

/// `[[directory]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDirectory {
    /// Required.
    pub path: String,
    /// Required: octal text.
    pub mode: String,
    /// Optional: root.
    pub user: Option<String>,
    /// Optional: root.
    pub group: Option<String>,
}

/// `[[file]]`: exactly one of `source` and `text`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFile {
    /// Required: path in the image.
    pub path: String,
    /// A file of the source tree, from the manifest's folder.
    pub source: Option<String>,
    /// The content itself.
    pub text: Option<String>,
    /// Required: octal text.
    pub mode: String,
    /// Optional: root.
    pub user: Option<String>,
    /// Optional: root.
    pub group: Option<String>,
}

/// `[[link]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLink {
    /// Required: path in the image.
    pub path: String,
    /// Required.
    pub target: String,
}

/// `[[concatenation]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConcatenation {
    /// Required: path in the image.
    pub path: String,
    /// Required: patterns of files of the packages; joined in order of path. Each must match at least one.
    pub from: Vec<String>,
}

/// `[[tarball]]`: a release of another project, unpacked into a folder of the image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTarball {
    /// Required: the `name` of one of `[[inputs.downloads]]`.
    pub download: String,
    /// Required: the folder in the image.
    pub path: String,
    /// Optional, 0: how many leading components of its paths are dropped.
    #[serde(default)]
    pub strip: usize,
    /// Optional: NAR SHA-256 of all its files, in base64; a second source beside the download's SHA-256.
    pub nar_sha256: Option<NarHash>,
    /// Optional: patterns of its paths that enter the image; everything when absent. `/` is its folder.
    pub keep: Option<Vec<String>>,
    /// Optional: patterns of its paths that do not, stronger than `keep`.
    #[serde(default)]
    pub drop: Vec<String>,
}

/// `[[member]]`: a file out of a zip archive that is in the image.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMember {
    /// Required: a pattern of paths in the image that matches one archive.
    pub archive: String,
    /// Required: the file's name in the archive, exactly.
    pub member: String,
    /// Required: where it goes.
    pub path: String,
}

/// `[[classpath]]`: a Java argument file (`java @FILE`) that names archives of the image one by one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawClasspath {
    /// Required: where it goes.
    pub path: String,
    /// Required: patterns of paths in the image. In their order, and within one in order of path. Each must match at least one.
    pub from: Vec<String>,
}

/// `[[tmpfs]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTmpfs {
    /// Required: mount point.
    pub path: String,
    /// Required.
    pub size_mib: u64,
    /// Required: octal text.
    pub mode: String,
    /// Optional: root.
    pub user: Option<String>,
    /// Optional: root.
    pub group: Option<String>,
    /// Optional, false: programs on it may be executed.
    #[serde(default)]
    pub exec: bool,
}

/// `[[service]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawService {
    /// Required.
    pub name: String,
    /// Required: absolute path of the program, then its arguments.
    pub exec: Vec<String>,
    /// Required: a `[[user]]`.
    pub user: String,
    /// Required.
    pub start: RawStart,
    /// Required.
    pub kind: RawKind,
    /// For daemons: required.
    pub restart: Option<RawRestart>,
    /// Required: milliseconds between SIGTERM and SIGKILL.
    pub grace_ms: u32,
    /// Optional: the whole environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Optional: `/`.
    pub directory: Option<String>,
    /// Optional: 0077, octal text.
    pub umask: Option<String>,
    /// Required: limits by their short name (`nofile`, `nproc`, `memlock`, …).
    pub limits: BTreeMap<String, u64>,
    /// Optional: none kept. `ipc_lock` is the only one a manifest may name.
    #[serde(default)]
    pub capabilities: BTreeSet<String>,
    /// Optional: 0.
    #[serde(default)]
    pub oom_score_adjust: i16,
    /// Optional, false: gets the request channel to PID 1.
    #[serde(default)]
    pub channel: bool,
    /// Required.
    pub output: RawOutput,
    /// Required: a seccomp filter in seccompiler's JSON, from the manifest's folder.
    pub seccomp: String,
}

/// `[trust]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTrust {
    /// Optional, false: a config may let every TLS client in.
    #[serde(default)]
    pub allow_any_client: bool,
    /// Optional, false: a config may keep slashing protection in memory.
    #[serde(default)]
    pub memory_slashing: bool,
    /// Optional, false: artefacts may be encrypted without context.
    #[serde(default)]
    pub legacy_no_context: bool,
    /// Optional: a PEM file of the source tree, from the manifest's folder: the roots that KMS must chain to, for tests.
    pub kms_ca: Option<String>,
}

/// `[signer]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSigner {
    /// Required.
    pub distribution: RawDistribution,
    /// Optional, 120: seconds from its start to its first good health check.
    pub start_within_s: Option<u32>,
    /// Optional, 5: seconds between health checks.
    pub upcheck_every_s: Option<u32>,
    /// Optional, 3: seconds that one may take.
    pub upcheck_within_s: Option<u32>,
}

/// `distribution`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawDistribution {
    /// `web3signer-rs`.
    Native,
    /// Upstream Web3Signer.
    Consensys,
}

/// `start`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawStart {
    /// At the end of the boot.
    Boot,
    /// When the agent asks.
    OnRequest,
}

/// `kind`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawKind {
    /// Started again when it ends.
    Daemon,
    /// Runs to its end.
    OneShot,
}

/// `restart`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRestart {
    /// First wait.
    pub first_wait_ms: u32,
    /// Longest wait.
    pub longest_wait_ms: u32,
    /// Restarts allowed within the window.
    pub most: u16,
    /// Length of the window.
    pub window_ms: u32,
}

/// `output`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawOutput {
    /// The console, which only a debug-mode enclave shows.
    Console,
    /// A pipe to the agent, which sends what passes its filter to the parent.
    Log,
    /// Nowhere.
    Null,
}

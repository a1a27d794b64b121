//! Tests of the manifest: what is refused, and by which words.

use services::{Clock, Kind, Resource, Seccomp};

use super::*;

const GOOD: &str = r#"
schema = 1
[image]
name = "test"
version = "1"
architecture = "x86_64"
memory_mib = 256
cpus = 2
[kernel]
command_line = "console=ttyS0"
[ramdisk]
zstd_level = 3
[inputs]
suite = "trixie"
[packages]
keep = ["/usr/lib/**"]
drop = ["/usr/lib/*.a"]
[init]
program = "init"
nsm_group = "nsm"
unprivileged_ports_from = 80
clock = { source = "ptp-kvm", period_s = 60, step_over_ms = 50 }
[[group]]
name = "nsm"
id = 200
[[user]]
name = "agent"
id = 101
groups = ["nsm"]
[[program]]
package = "agent"
path = "/usr/bin/agent"
[[program]]
package = "kms"
bin = "tool"
path = "/usr/bin/tool"
[[directory]]
path = "/var/lib/x"
mode = "0750"
user = "agent"
[[file]]
path = "/etc/motd"
text = "hello"
mode = "0444"
[[link]]
path = "/bin"
target = "usr/bin"
[[tmpfs]]
path = "/run/keys"
size_mib = 4
mode = "0700"
user = "agent"
[[service]]
name = "agent"
exec = ["/usr/bin/agent", "--x"]
user = "agent"
start = "boot"
kind = "daemon"
restart = { first_wait_ms = 100, longest_wait_ms = 1000, most = 3, window_ms = 10000 }
grace_ms = 1000
limits = { nofile = 64 }
capabilities = ["ipc_lock"]
channel = true
output = "null"
seccomp = "filter.json"
"#;

const FILTER: &str = r#"{"main": {"mismatch_action": "kill_process", "match_action": "allow",
    "filter": [{"syscall": "read"}, {"syscall": "execve"}]}}"#;

fn load(text: &str) -> Result<Manifest, ManifestError> {
    load_with(text, FILTER)
}

fn load_with(text: &str, filter: &str) -> Result<Manifest, ManifestError> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("filter.json"), filter).unwrap();
    let path = dir.path().join("image.toml");
    fs::write(&path, text).unwrap();
    Manifest::load(&path)
}

fn refusal(text: &str) -> String {
    use std::error::Error as _;
    let error = load(text).unwrap_err();
    let mut message = error.to_string();
    let mut cause = error.fault.source();
    while let Some(next) = cause {
        message = format!("{message}: {next}");
        cause = next.source();
    }
    message
}

#[test]
fn a_good_manifest_becomes_a_table() {
    let manifest = load(GOOD).unwrap();
    assert_eq!(manifest.name, "test");
    assert_eq!(manifest.memory_bytes, 256 << 20);
    assert_eq!(manifest.lock_path(), manifest.path.with_file_name("image.lock"));
    assert_eq!(manifest.table.nsm_gid, 200);
    let programs: Vec<_> = manifest
        .programs
        .iter()
        .map(|p| (&*p.name.package, &*p.name.bin))
        .collect();
    assert_eq!(programs, [("agent", "agent"), ("kms", "tool")]);
    assert_eq!(
        manifest.table.clock,
        Clock::PtpKvm {
            period_s: 60,
            step_over_ms: 50
        }
    );
    let service = &manifest.table.services[0];
    assert_eq!((service.uid, service.gid, service.umask), (101, 101, 0o077));
    assert_eq!(service.argv, [b"/usr/bin/agent".to_vec(), b"--x".to_vec()]);
    assert_eq!(service.capabilities, 1 << 14);
    assert_eq!(
        service.rlimits[&Resource::Core].hard,
        0,
        "no core dumps, whatever the manifest says"
    );
    assert_eq!(service.rlimits[&Resource::Nofile].hard, 64);
    assert!(matches!(service.kind, Kind::Daemon(restart) if restart.max_restarts == 3));
    assert!(matches!(&service.seccomp, Seccomp::Filter(program) if program.len() > 4));
    let mount = &manifest.table.mounts[&b"/run/keys".to_vec()];
    assert_eq!(
        (mount.size_bytes, mount.mode, mount.uid, mount.noexec),
        (4 << 20, 0o700, 101, true)
    );
    assert!(manifest.filter.admits("/usr/lib/x/y.so"));
    assert!(!manifest.filter.admits("/usr/lib/y.a"));
    assert!(!manifest.filter.admits("/etc/passwd"));
}

/// Each row replaces one text of the good manifest and names what the refusal must say.
#[test]
fn each_bad_value_is_named() {
    let rows = [
        (
            "schema = 1",
            "schema = 2",
            "schema is 2, this eif-builder reads 1",
        ),
        ("cpus = 2", "cpu = 2", "unknown field `cpu`"),
        ("cpus = 2", "cpus = 0", "image.cpus is `0`"),
        ("memory_mib = 256", "memory_mib = 99999999999", "image.memory_mib"),
        ("name = \"test\"", "name = \"../x\"", "image.name is `../x`"),
        ("version = \"1\"", "version = \"a\\nb\"", "image.version"),
        ("\"x86_64\"", "\"aarch64\"", "image.architecture is `aarch64`"),
        ("\"console=ttyS0\"", "\"a\\u0000b\"", "kernel.command_line"),
        ("zstd_level = 3", "zstd_level = 22", "ramdisk.zstd_level is `22`"),
        (
            "nsm_group = \"nsm\"",
            "nsm_group = \"x\"",
            "init.nsm_group names `x`, which no [[group]] defines",
        ),
        (
            "unprivileged_ports_from = 80",
            "unprivileged_ports_from = 2000",
            "expected at most 1024",
        ),
        (
            "source = \"ptp-kvm\"",
            "source = \"ntp\"",
            "unknown variant `ntp`",
        ),
        (
            "path = \"/usr/bin/agent\"",
            "path = \"usr/bin/agent\"",
            "must start with `/`",
        ),
        ("mode = \"0750\"", "mode = \"4750\"", "directory.mode is `4750`"),
        ("mode = \"0750\"", "mode = \"9\"", "directory.mode is `9`"),
        ("text = \"hello\"", "", "exactly one of `source` and `text`"),
        ("target = \"usr/bin\"", "target = \"\"", "link.target"),
        ("path = \"/run/keys\"", "path = \"/run/../etc\"", "tmpfs.path"),
        ("size_mib = 4", "size_mib = 0", "its size is not allowed"),
        ("user = \"agent\"\nstart", "user = \"root\"\nstart", "uid is 0"),
        (
            "user = \"agent\"\nstart",
            "user = \"x\"\nstart",
            "names `x`, which no [[user]] defines",
        ),
        ("start = \"boot\"", "start = \"later\"", "unknown variant `later`"),
        (
            "restart = {",
            "#",
            "service.kind is `daemon`: expected `restart` beside it",
        ),
        ("{ nofile = 64 }", "{ files = 64 }", "limits is `files`"),
        ("[\"ipc_lock\"]", "[\"sys_admin\"]", "capabilities is `sys_admin`"),
        ("\"filter.json\"", "\"none.json\"", "cannot read"),
        ("[\"/usr/lib/**\"]", "[\"usr/lib\"]", "packages.keep is `usr/lib`"),
        ("[\"/usr/lib/**\"]", "[\"/a***\"]", "packages.keep"),
    ];
    for (from, to, expected) in rows {
        assert!(GOOD.contains(from), "row {from}");
        let message = refusal(&GOOD.replacen(from, to, 1));
        assert!(message.contains(expected), "{to}: {message}");
    }
}

#[test]
fn filters_that_do_not_compile_are_refused() {
    let refused = |filter: &str, expected: &str| {
        let message = load_with(GOOD, filter).unwrap_err().to_string();
        assert!(
            message.contains("filter.json") && message.contains(expected),
            "{message}"
        );
    };
    refused("{}", "no filter named `main`");
    refused("not json", "");
    refused(&FILTER.replace("\"read\"", "\"reed\""), "reed");
    refused(&FILTER.replace("{\"main\"", "{\"extra\": {\"mismatch_action\": \"allow\", \"match_action\": \"log\", \"filter\": []}, \"main\""), "second filter");
}

const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIB\nAAEC\n-----END CERTIFICATE-----\n";

fn with(tables: &str) -> String {
    GOOD.replacen("[[group]]", &format!("{tables}\n[[group]]"), 1)
}

const DEPLOYMENT: &str = r#"[deployment]
schema = 1
region = "eu-central-1"
kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/12345678-0000-4000-8000-00000000000b"
stacks = ["0f9e8d7c-0000-4000-8000-00000000000a"]
network = "hoodi"
client_authentication = "any-client"
slashing_store = { kind = "memory" }
outbound = []
artefact_versions = { tls_key = 0, clients = 0, slashing_credential = 0 }
"#;

#[test]
fn without_keys_of_trust_the_policy_is_safe() {
    let policy = load(GOOD).unwrap().policy.unwrap();
    assert_eq!(policy.trust, control::policy::Trust::default());
    assert!(policy.deployment.is_none());
    assert_eq!((policy.users.agent, policy.users.signer), (101, None));
    assert_eq!(policy.signer, control::policy::Signer::default());
    let mute = GOOD.replace("channel = true\n", "");
    assert!(load(&mute).unwrap().policy.is_none(), "there is no agent");
    let unread = mute.replacen("[[group]]", "[trust]\n[[group]]", 1);
    assert!(
        refusal(&unread).contains("service.channel"),
        "{}",
        refusal(&unread)
    );
}

#[test]
fn the_policy_says_what_the_manifest_says() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("filter.json"), FILTER).unwrap();
    fs::write(dir.path().join("ca.pem"), format!("{CA}\n{CA}")).unwrap();
    let path = dir.path().join("image.toml");
    let tables = format!(
        "[trust]\nallow_any_client = true\nmemory_slashing = true\nkms_ca = \"ca.pem\"\n[signer]\ndistribution = \"consensys\"\nstart_within_s = 300\n{DEPLOYMENT}"
    );
    fs::write(&path, with(&tables)).unwrap();
    let policy = Manifest::load(&path).unwrap().policy.unwrap();
    assert_eq!(
        policy.trust.weakened(),
        ["allow_any_client", "kms_ca", "memory_slashing"]
    );
    assert_eq!(policy.trust.kms_ca.len(), 2);
    assert_eq!(policy.trust.kms_ca[0].as_str(), "MIIBAAEC");
    assert_eq!(policy.signer.start_within_s, 300);
    assert!(!policy.signer.distribution.reloads());
    assert_eq!(
        policy.deployment.as_ref().unwrap().fields().network.as_str(),
        "hoodi"
    );
    let text = policy.canonical().unwrap();
    assert_eq!(
        control::policy::ImagePolicy::parse(text.as_bytes()).unwrap(),
        policy
    );
    for bad in [
        "",
        "x",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        &CA.replace("MIIB", "MI%B"),
        &CA.replace("AAEC", "AAE"),
        &CA.repeat(5),
        &format!("{CA}trailing"),
        &CA.replace("CERTIFICATE", "PRIVATE KEY"),
    ] {
        fs::write(dir.path().join("ca.pem"), bad).unwrap();
        let error = Manifest::load(&path).unwrap_err().to_string();
        assert!(error.contains("trust.kms_ca"), "{bad}: {error}");
    }
}

#[test]
fn policies_that_would_be_refused_later_are_refused_now() {
    for (tables, expected) in [
        ("[trust]\nallow_everything = true".to_owned(), "allow_everything"),
        (DEPLOYMENT.to_owned(), "allow_any_client"),
        (
            format!("[trust]\nallow_any_client = true\n{DEPLOYMENT}"),
            "memory_slashing",
        ),
        (DEPLOYMENT.replace("stacks", "stack"), "stack"),
        (DEPLOYMENT.replace("schema = 1", "schema = 2"), "schema is 2"),
        ("[signer]\ndistribution = \"other\"".to_owned(), "other"),
        (
            "[signer]\ndistribution = \"native\"\nupcheck_every_s = 0".to_owned(),
            "upcheck_every_s",
        ),
        ("[trust]\nkms_ca = \"/etc/ca.pem\"".to_owned(), "trust.kms_ca"),
    ] {
        let text = refusal(&with(&tables));
        assert!(text.contains(expected), "{tables}: {text}");
    }
    let log = GOOD.replace("output = \"null\"", "output = \"log\"");
    assert!(
        refusal(&log).contains("log"),
        "the agent's own output has no other reader"
    );
}

#[test]
fn signer_and_provision_have_one_user() {
    let service = |name: &str, user: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nexec = [\"/usr/bin/{name}\"]\nuser = \"{user}\"\nstart = \"on-request\"\nkind = \"one-shot\"\ngrace_ms = 1000\nlimits = {{}}\noutput = \"log\"\nseccomp = \"filter.json\"\n"
        )
    };
    let users = "[[user]]\nname = \"signer\"\nid = 102\n[[user]]\nname = \"other\"\nid = 103\n";
    let text =
        |provision: &str| with(users) + &service("signer", "signer") + &service("provision", provision);
    let manifest = load(&text("signer")).unwrap();
    assert_eq!(manifest.policy.unwrap().users.signer, Some(102));
    assert_eq!(manifest.table.services[1].stdio, services::Stdio::Log);
    assert!(refusal(&text("other")).contains("provision"));
    assert!(refusal(&text("agent")).contains("provision"));
}

#[test]
fn every_file_that_a_manifest_names_is_known() {
    let raw: RawManifest = toml::from_str(&format!(
        "{GOOD}\n[[file]]\npath = \"/x\"\nsource = \"b\"\nmode = \"0444\"\n[trust]\nkms_ca = \"../a.pem\"\n"
    ))
    .unwrap();
    let named: BTreeSet<&str> = raw.named_files().collect();
    assert_eq!(named, BTreeSet::from(["../a.pem", "b", "filter.json"]));
}

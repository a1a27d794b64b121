//! Tests of the root: what gets in, what stays out, and what is refused.

use std::os::unix::fs::symlink;

use super::*;

const MANIFEST: &str = r#"
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
unprivileged_ports_from = 1024
clock = { source = "none" }
[[group]]
name = "nsm"
id = 200
[[user]]
name = "agent"
id = 101
[[program]]
package = "agent"
path = "/usr/bin/agent"
[[file]]
path = "/etc/motd"
source = "motd"
mode = "0440"
user = "agent"
[[concatenation]]
path = "/etc/bundle"
from = ["/usr/share/certs/*.crt"]
[[tmpfs]]
path = "/run/keys"
size_mib = 4
mode = "0700"
[[tmpfs]]
path = "/var/lib/signer"
size_mib = 4
mode = "0700"
[[service]]
name = "agent"
exec = ["/usr/bin/agent"]
user = "agent"
start = "boot"
kind = "one-shot"
grace_ms = 1000
limits = {}
output = "null"
seccomp = "filter.json"
"#;

const FILTER: &str = r#"{"main": {"mismatch_action": "kill_process", "match_action": "allow",
    "filter": [{"syscall": "execve"}]}}"#;

struct Place {
    dir: tempfile::TempDir,
    programs: BTreeMap<ProgramName, PathBuf>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("filter.json", FILTER);
        put("motd", "hello");
        put("bin/agent", "ELF");
        put("packages/usr/lib/x/liba.so", "so");
        put("packages/usr/lib/liba.a", "static");
        put("packages/usr/bin/tool", "tool");
        put("packages/usr/share/certs/b.crt", "B\n");
        put("packages/usr/share/certs/a.crt", "A\n");
        put("release/lib/b-1.jar", "not a zip");
        put("release/lib/a.jar", "");
        put("release/bin/start", "#!/bin/sh");
        symlink("x/liba.so", dir.path().join("packages/usr/lib/liba.so")).unwrap();
        let name = ProgramName {
            package: "agent".to_owned(),
            bin: "agent".to_owned(),
        };
        let programs = BTreeMap::from([(name, dir.path().join("bin/agent"))]);
        Self { dir, programs }
    }

    fn build(&self, from: &str, to: &str) -> Result<Tree, RootfsError> {
        assert!(MANIFEST.contains(from));
        let path = self.dir.path().join("image.toml");
        fs::write(&path, MANIFEST.replacen(from, to, 1)).unwrap();
        let manifest = Manifest::load(&path).unwrap();
        let releases = BTreeMap::from([("x.tar.gz".to_owned(), self.dir.path().join("release"))]);
        build(
            &manifest,
            &self.programs,
            Some(&self.dir.path().join("packages")),
            &releases,
        )
    }

    fn refusal(&self, from: &str, to: &str) -> String {
        self.build(from, to).unwrap_err().to_string()
    }
}

fn bytes(tree: &Tree, path: &str) -> Vec<u8> {
    match &tree.node(&TreePath::new(path).unwrap()).unwrap().kind {
        Kind::File(Content::Bytes(bytes)) => bytes.to_vec(),
        Kind::File(Content::File { path, .. }) => fs::read(path).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn exactly_what_was_asked_for_gets_in() {
    let tree = Place::new().build("schema", "schema").unwrap();
    let paths: Vec<_> = tree.iter().map(|(path, _, _)| path.as_str()).collect();
    let expected = [
        "/dev",
        "/etc",
        "/etc/bundle",
        "/etc/group",
        "/etc/motd",
        "/etc/nitro",
        "/etc/nitro/services",
        "/etc/passwd",
        "/proc",
        "/run",
        "/sys",
        "/tmp",
        "/usr",
        "/usr/bin",
        "/usr/bin/agent",
        "/usr/lib",
        "/usr/lib/liba.so",
        "/usr/lib/x",
        "/usr/lib/x/liba.so",
        "/var",
        "/var/lib",
        "/var/lib/signer",
    ];
    assert_eq!(paths, expected);
    assert_eq!(bytes(&tree, "/etc/bundle"), b"A\nB\n");
    let table = services::Table::decode(&bytes(&tree, services::PATH)).unwrap();
    assert_eq!(table.services[0].argv, [b"/usr/bin/agent".to_vec()]);
    let motd = tree.node(&TreePath::new("/etc/motd").unwrap()).unwrap();
    assert_eq!((motd.mode, motd.uid, motd.gid), (0o440, 101, 101));
}

/// A host's umask and the owner of the store must not show in the image.
#[test]
fn modes_of_packaged_files_are_ours() {
    let place = Place::new();
    let library = place.dir.path().join("packages/usr/lib/x/liba.so");
    for (host, image) in [(0o600, 0o444), (0o664, 0o444), (0o4755, 0o555), (0o700, 0o555)] {
        fs::set_permissions(&library, fs::Permissions::from_mode(host)).unwrap();
        let tree = place.build("schema", "schema").unwrap();
        let node = tree.node(&TreePath::new("/usr/lib/x/liba.so").unwrap()).unwrap();
        assert_eq!((node.mode, node.uid, node.gid), (image, 0, 0));
    }
}

#[test]
fn what_cannot_work_is_refused() {
    let place = Place::new();
    let text = place.refusal("exec = [\"/usr/bin/agent\"]", "exec = [\"/usr/bin/tool\"]");
    assert_eq!(
        text,
        "service agent starts /usr/bin/tool, which is not in the image"
    );
    let text = place.refusal("exec = [\"/usr/bin/agent\"]", "exec = [\"/etc/motd\"]");
    assert_eq!(text, "service agent starts /etc/motd, which is not executable");
    let text = place.refusal("/usr/share/certs/*.crt", "/usr/share/certs/*.pem");
    assert_eq!(
        text,
        "/etc/bundle: `/usr/share/certs/*.pem` matches no file of the packages"
    );
    let text = place.refusal("path = \"/etc/motd\"", "path = \"/usr/lib/liba.so\"");
    assert_eq!(
        text,
        "/usr/lib/liba.so: the packages would replace what the manifest put there"
    );
    let text = place.refusal("path = \"/etc/motd\"", "path = \"/etc/nitro/services\"");
    assert!(
        text.starts_with("/etc/nitro/services: eif-builder would replace"),
        "{text}"
    );
    let text = place.refusal("package = \"agent\"", "package = \"agent\"\nbin = \"other\"");
    assert_eq!(text, "program other of agent was not built");
    let text = place.refusal("source = \"motd\"", "source = \"absent\"");
    assert!(
        text.starts_with("cannot read ") && text.ends_with("absent"),
        "{text}"
    );
}

/// A release goes into its folder, without what is dropped; the class path names what is there.
#[test]
fn a_release_has_a_folder_of_its_own() {
    let place = Place::new();
    let rows = format!(
        "[[inputs.downloads]]\nname = \"x.tar.gz\"\nurl = \"https://e.example/x\"\nsize = 1\nsha256 = \"{}\"\n[packages]",
        "00".repeat(32)
    );
    let more = "[[tarball]]\ndownload = \"x.tar.gz\"\npath = \"/opt/x\"\ndrop = [\"/bin/**\"]\n\
        [[classpath]]\npath = \"/opt/x/classpath\"\nfrom = [\"/opt/x/lib/b-*.jar\", \"/opt/x/lib/*\"]\n[[service]]";
    let build = |more: &str| {
        let path = place.dir.path().join("image.toml");
        let text = MANIFEST
            .replacen("[packages]", &rows, 1)
            .replacen("[[service]]", more, 1);
        fs::write(&path, text).unwrap();
        let manifest = Manifest::load(&path).map_err(|e| e.to_string())?;
        let releases = BTreeMap::from([("x.tar.gz".to_owned(), place.dir.path().join("release"))]);
        let packages = place.dir.path().join("packages");
        build(&manifest, &place.programs, Some(&packages), &releases).map_err(|e| e.to_string())
    };
    let tree = build(more).unwrap();
    let paths: Vec<_> = tree.iter().map(|(path, _, _)| path.as_str()).collect();
    let release: Vec<_> = paths.iter().filter(|p| p.starts_with("/opt")).collect();
    assert_eq!(
        release,
        [
            &"/opt",
            &"/opt/x",
            &"/opt/x/classpath",
            &"/opt/x/lib",
            &"/opt/x/lib/a.jar",
            &"/opt/x/lib/b-1.jar"
        ]
    );
    assert_eq!(
        bytes(&tree, "/opt/x/classpath"),
        b"-classpath\n/opt/x/lib/b-1.jar:/opt/x/lib/a.jar\n"
    );
    let member = "[[member]]\narchive = \"/opt/x/lib/b-*.jar\"\nmember = \"l.so\"\npath = \"/opt/x/l.so\"\n[[service]]";
    let error = build(&more.replace("[[service]]", member)).unwrap_err();
    assert_eq!(error, "/opt/x/l.so: cannot take `l.so` out of /opt/x/lib/b-1.jar");
    let unused = build("[[service]]").unwrap_err();
    assert!(
        unused.contains("inputs.downloads is `x.tar.gz`: expected a [[tarball]]"),
        "{unused}"
    );
    let absent = build(&more.replace("download = \"x.tar.gz\"", "download = \"y.tar.gz\"")).unwrap_err();
    assert!(
        absent.contains("y.tar.gz") && absent.contains("expected"),
        "{absent}"
    );
    let deep = build(&more.replace("drop = [", "strip = 9\ndrop = [")).unwrap_err();
    assert!(deep.contains("tarball.strip is `9`"), "{deep}");
    let hash = build(&more.replace("drop = [", "nar_sha256 = \"abc\"\ndrop = [")).unwrap_err();
    assert!(hash.contains("44 characters"), "{hash}");
}

#[test]
fn a_device_among_the_packages_is_refused() {
    let place = Place::new();
    let fifo = place.dir.path().join("packages/usr/lib/pipe");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    assert_eq!(
        place.refusal("schema", "schema"),
        "/usr/lib/pipe (extracted) is no file, folder or link"
    );
}

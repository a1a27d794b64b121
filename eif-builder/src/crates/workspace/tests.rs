//! Reduces a small workspace that has one of everything.

use super::*;

const LOCK: &str = r#"version = 4

[[package]]
name = "app"
version = "0.1.0"
dependencies = [
 "cc",
 "lib",
 "onlytests",
 "serde",
 "winapi",
]

[[package]]
name = "cc"
version = "1.0.0"
source = "registry+x"
checksum = "11"

[[package]]
name = "lib"
version = "0.1.0"

[[package]]
name = "onlytests"
version = "1.0.0"
source = "registry+x"
checksum = "22"

[[package]]
name = "other"
version = "0.1.0"
dependencies = [
 "lib",
]

[[package]]
name = "serde"
version = "1.0.0"
source = "registry+x"
checksum = "33"

[[package]]
name = "winapi"
version = "1.0.0"
source = "registry+x"
checksum = "44"
"#;

const FILES: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        r#"
[workspace]
resolver = "3"
members = ["other", "app", "crates/lib"]
[workspace.package]
edition = "2024"
[workspace.dependencies]
lib = { path = "crates/lib" }
json = { package = "serde", version = "1" }
onlytests = "1"
unused = "1"
[workspace.lints.rust]
unsafe_code = "deny"
[profile.release]
lto = "fat"
[profile.tool]
inherits = "release"
"#,
    ),
    (
        "app/Cargo.toml",
        r#"
[package]
name = "app"
version = "0.1.0"
edition.workspace = true
[package.metadata.build-root]
files = ["data"]
[[bin]]
name = "appd"
path = "src/main.rs"
[[bench]]
name = "b"
[dependencies]
lib = { workspace = true }
json = { workspace = true, features = ["derive"] }
[build-dependencies]
cc = "1"
[dev-dependencies]
onlytests = { workspace = true }
[target.'cfg(windows)'.dependencies]
winapi = "1"
[target.'cfg(unix)'.dev-dependencies]
onlytests = { workspace = true }
[lints]
workspace = true
"#,
    ),
    ("app/src/main.rs", "fn main() {}"),
    ("app/src/deep/mod.rs", ""),
    ("app/src/bin/tool.rs", "fn main() {}"),
    ("app/build.rs", "fn main() {}"),
    ("app/data/table", "x"),
    ("app/tests/t.rs", ""),
    ("app/README.md", ""),
    (
        "crates/lib/Cargo.toml",
        "[package]\nname = \"lib\"\nversion = \"0.1.0\"\n",
    ),
    ("crates/lib/src/lib.rs", ""),
    (
        "other/Cargo.toml",
        "[package]\nname = \"other\"\nversion = \"0.1.0\"\n[dependencies]\nlib = { workspace = true }\n",
    ),
    ("other/src/main.rs", "fn main() {}"),
    ("Cargo.lock", LOCK),
];

fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
        put(dir.path(), path, text);
    }
    dir
}

fn put(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn reduce(dir: &Path, package: &str) -> Result<Reduced, WorkspaceError> {
    Workspace::open(dir)?.reduce(package)
}

#[test]
fn only_what_the_program_needs_is_left() {
    let dir = place();
    let app = reduce(dir.path(), "app").unwrap();
    assert_eq!(app.bins, ["appd", "tool"]);
    assert_eq!(app.members, ["app", "lib"]);
    let paths: Vec<_> = app.files.keys().map(String::as_str).collect();
    let expected = [
        "Cargo.toml",
        "app/Cargo.toml",
        "app/build.rs",
        "app/data/table",
        "app/src/bin/tool.rs",
        "app/src/deep/mod.rs",
        "app/src/main.rs",
        "crates/lib/Cargo.toml",
        "crates/lib/src/lib.rs",
    ];
    assert_eq!(paths, expected);
    let text = |path: &str| String::from_utf8(app.files.get(path).unwrap().clone()).unwrap();
    let top: Table = toml::from_str(&text("Cargo.toml")).unwrap();
    let expected: Table = toml::from_str(
        "[workspace]\nresolver = '3'\nmembers = ['app', 'crates/lib']\n[workspace.package]\nedition = '2024'\n\
         [workspace.dependencies]\nlib = { path = 'crates/lib' }\njson = { package = 'serde', version = '1' }\n\
         [profile.release]\nlto = 'fat'\n",
    )
    .unwrap();
    assert_eq!(top, expected);
    for dropped in ["onlytests", "bench", "lints"] {
        assert!(!text("app/Cargo.toml").contains(dropped), "{dropped}");
    }
    assert!(text("app/Cargo.toml").contains("winapi"));
    let names: Vec<_> = app.lock.packages().iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["app", "cc", "lib", "serde", "winapi"]);
    let other = reduce(dir.path(), "other").unwrap();
    assert_eq!(
        (other.bins, other.members),
        (
            vec!["other".to_owned()],
            vec!["lib".to_owned(), "other".to_owned()]
        )
    );
}

#[test]
fn the_digest_moves_with_what_is_in_it_only() {
    let dir = place();
    let digests = || {
        let app = reduce(dir.path(), "app").unwrap();
        (app.digest(), app.needs_digest())
    };
    let first = digests();
    for (path, text) in [
        ("app/tests/t.rs", "changed"),
        ("app/README.md", "changed"),
        ("other/src/main.rs", "changed"),
        ("Cargo.lock", &LOCK.replace("\"22\"", "\"23\"")),
    ] {
        put(dir.path(), path, text);
        assert_eq!(first, digests(), "{path}");
    }
    let mut last = first;
    for path in [
        "app/src/deep/mod.rs",
        "app/data/table",
        "app/build.rs",
        "crates/lib/src/lib.rs",
    ] {
        put(dir.path(), path, "// changed");
        let now = digests();
        assert_ne!(last.0, now.0, "{path}");
        assert_eq!(last.1, now.1, "{path} does not change which crates are needed");
        last = now;
    }
    put(dir.path(), "Cargo.lock", &LOCK.replace("\"33\"", "\"34\""));
    let now = digests();
    assert!(now.0 != last.0 && now.1 != last.1);
}

#[test]
fn what_is_written_is_a_workspace_that_cargo_reads() {
    let dir = place();
    put(
        dir.path(),
        "app/Cargo.toml",
        "[package]\nname = \"app\"\nversion = \"0.1.0\"\n[dependencies]\nlib = { workspace = true }\n",
    );
    let lock = "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"lib\",\n]\n\n[[package]]\nname = \"lib\"\nversion = \"0.1.0\"\n";
    put(dir.path(), "Cargo.lock", lock);
    let app = reduce(dir.path(), "app").unwrap();
    let out = tempfile::tempdir().unwrap();
    app.write(out.path(), &app.lock.to_text()).unwrap();
    assert_eq!(fs::read_to_string(out.path().join("Cargo.lock")).unwrap(), lock);
    let output = std::process::Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--quiet",
        ])
        .current_dir(out.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn what_is_not_understood_is_an_error() {
    let dir = place();
    assert!(matches!(reduce(dir.path(), "none"), Err(WorkspaceError::NoMember(name)) if name == "none"));
    let cases: [(&str, &str, &str, &str); 6] = [
        ("Cargo.toml", "\"app\"", "\"ap*\"", "a member is not a plain path"),
        (
            "Cargo.toml",
            "json =",
            "jsn =",
            "`app` takes `json` from the workspace, which does not name it",
        ),
        ("Cargo.toml", "[workspace]", "[workspace", "is not valid"),
        (
            "app/Cargo.toml",
            "\"data\"",
            "\"../data\"",
            "is not a plain path below the member",
        ),
        ("app/Cargo.toml", "\"data\"", "\"none\"", "cannot read"),
        ("app/Cargo.toml", "name = \"app\"\n", "", "it has no package name"),
    ];
    for (file, from, to, expected) in cases {
        let dir = place();
        let text = fs::read_to_string(dir.path().join(file)).unwrap();
        put(dir.path(), file, &text.replace(from, to));
        let error = reduce(dir.path(), "app").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

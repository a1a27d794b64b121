//! Vendors from a made-up cargo and its made-up cache: what is checked, and against what.

use std::io::Write as _;

use super::*;

/// A crate archive as cargo keeps it, from a maker who shares no file; scripts can be run.
fn archive(name: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(if *path == "configure.sh" { 0o700 } else { 0o600 });
        // Not `append_data`, which would refuse the paths that must be refused here.
        let path = format!("{name}/{path}");
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Written by another process: one that this process had open could not be started while a test beside it starts
/// something, because the new process holds our descriptors until it is a program of its own.
fn write_program(path: &Path, text: &str) {
    let mut install = Command::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success());
}

struct Place {
    dir: tempfile::TempDir,
    store: Store,
    cargo: HostCargo,
    reduced: Reduced,
    archive: Vec<u8>,
}

impl Place {
    /// A program that needs `leaf 1.0.0`, and a cargo that runs `script`.
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let archive = archive(
            "leaf-1.0.0",
            &[
                ("Cargo.toml", "[package]"),
                ("src/lib.rs", "// leaf"),
                ("configure.sh", "#!/bin/sh"),
            ],
        );
        let cache = dir.path().join("home/registry/cache/registry-1");
        fs::create_dir_all(&cache).unwrap();
        fs::create_dir_all(dir.path().join("home/registry/cache/registry-0")).unwrap();
        fs::write(cache.join("leaf-1.0.0.crate"), &archive).unwrap();
        let program = dir.path().join("cargo");
        write_program(&program, &format!("#!/bin/sh\n{script}\n"));
        let lock = CargoLock::parse(&lock(Sha256::of(&archive))).unwrap();
        Self {
            store: Store::open(&dir.path().join("store")).unwrap(),
            cargo: HostCargo {
                program,
                home: dir.path().join("home"),
            },
            reduced: Reduced {
                package: "app".to_owned(),
                bins: vec!["app".to_owned()],
                members: vec!["app".to_owned()],
                files: [("Cargo.toml".to_owned(), b"[workspace]".to_vec())].into(),
                lock,
            },
            archive,
            dir,
        }
    }

    fn provide(&self) -> Result<Vendored, VendorError> {
        provide(&self.store, &self.cargo, &self.reduced, &self.reduced.lock)
    }

    fn refused(&self) -> String {
        let error = self.provide().unwrap_err().to_string();
        assert_eq!(
            self.store.part(key(&self.reduced)),
            None,
            "nothing is left: {error}"
        );
        error
    }
}

fn lock(checksum: Sha256) -> String {
    format!(
        "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\n \"leaf\",\n]\n\n\
         [[package]]\nname = \"leaf\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\nchecksum = \"{checksum}\"\n"
    )
}

#[test]
fn checked_archives_are_unpacked_once() {
    let place = Place::new("test \"$1 $2\" = 'fetch --quiet' && test -f Cargo.toml && test -f Cargo.lock");
    let vendored = place.provide().unwrap();
    let leaf = vendored.crates.join("leaf-1.0.0");
    assert_eq!(fs::read_to_string(leaf.join("src/lib.rs")).unwrap(), "// leaf");
    let sums = fs::read_to_string(leaf.join(".cargo-checksum.json")).unwrap();
    assert_eq!(
        sums,
        format!(
            "{{\"files\":{{}},\"package\":\"{}\"}}",
            Sha256::of(&place.archive)
        )
    );
    let modes = [
        ("", 0o755),
        ("src", 0o755),
        ("src/lib.rs", 0o644),
        ("configure.sh", 0o755),
        (".cargo-checksum.json", 0o644),
    ];
    for (path, mode) in modes {
        let metadata = fs::metadata(leaf.join(path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o7777, mode, "{path}");
        let time = metadata.modified().unwrap();
        assert_eq!(time, UNIX_EPOCH + Duration::from_secs(FIXED_TIME), "{path}");
    }
    assert_eq!(vendored.lock, place.reduced.lock.to_text());
    fs::remove_file(&place.cargo.program).unwrap();
    assert_eq!(place.provide().unwrap(), vendored, "cargo is not asked again");
}

#[test]
fn what_cargo_brings_is_not_trusted() {
    let place = Place::new("exit 0");
    let cached = place
        .cargo
        .home
        .join("registry/cache/registry-1/leaf-1.0.0.crate");
    fs::write(&cached, archive("leaf-1.0.0", &[("src/lib.rs", "// evil")])).unwrap();
    assert!(place.refused().starts_with("leaf-1.0.0.crate with sha256"));
    fs::remove_file(&cached).unwrap();
    assert!(place.refused().contains("registry/cache"));
    // The good one in another registry's folder does.
    fs::write(
        place
            .cargo
            .home
            .join("registry/cache/registry-0/leaf-1.0.0.crate"),
        &place.archive,
    )
    .unwrap();
    place.provide().unwrap();
}

#[test]
fn an_archive_that_climbs_out_is_refused() {
    let mut place = Place::new("exit 0");
    let evil = archive("leaf-1.0.0/../..", &[("x", "")]);
    let cached = place
        .cargo
        .home
        .join("registry/cache/registry-1/leaf-1.0.0.crate");
    fs::write(cached, &evil).unwrap();
    place.reduced.lock = CargoLock::parse(&lock(Sha256::of(&evil))).unwrap();
    assert!(place.refused().contains("leaf-1.0.0.crate"));
    assert!(!place.dir.path().join("x").exists());
}

#[test]
fn what_cargo_decides_is_held_against_the_lock() {
    for (edit, expected) in [
        (
            "s/1.0.0/1.0.1/",
            "leaf 1.0.1 is needed, but Cargo.lock does not have it; run `cargo update --workspace`",
        ),
        (
            "s/checksum = \\\"../checksum = \\\"00/",
            "leaf 1.0.0 does not come from a registry with checksums",
        ),
        (
            "/checksum/d",
            "leaf 1.0.0 does not come from a registry with checksums",
        ),
        (
            "s/registry+x/git+y/",
            "leaf 1.0.0 is needed, but Cargo.lock does not have it; run `cargo update --workspace`",
        ),
    ] {
        assert_eq!(
            Place::new(&format!("sed -i \"{edit}\" Cargo.lock")).refused(),
            expected
        );
    }
    let error = Place::new("echo what is wrong >&2; exit 101").refused();
    assert_eq!(error, "`cargo fetch` failed:\nwhat is wrong");
    let mut place = Place::new("exit 0");
    place.cargo.program = "/nonexistent/cargo".into();
    assert_eq!(place.refused(), "cannot start /nonexistent/cargo");
}

//! The papers beside the built image: valid for others' tools, complete, and tied to the bytes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed step is a failed test"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use e2e::{eif_builder, place, said, top};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const PAPERS: [(&str, &str); 3] = [
    ("cyclonedx", "cdx.json"),
    ("spdx", "spdx.json"),
    ("provenance", "provenance.json"),
];

fn out(suffix: &str) -> PathBuf {
    place("NITRO_OUT_DIR").join(format!("native.{suffix}"))
}

fn json(suffix: &str) -> Value {
    serde_json::from_slice(&fs::read(out(suffix)).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn sha256(path: &Path) -> String {
    let digest = Sha256::digest(fs::read(path).unwrap());
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn property<'a>(component: &'a Value, name: &str) -> &'a str {
    let wanted = format!("nitro-web3signer:{name}");
    let properties = list(&component["properties"]);
    let found = properties.iter().find(|property| property["name"] == *wanted);
    found.map_or("", |property| text(&property["value"]))
}

fn validate(kind: &str, file: &Path) -> Output {
    let script = top().join("tests/e2e/tests/papers/validate.py");
    let mut command = Command::new(place("NITRO_PAPERS_PYTHON"));
    command.arg(script).args([kind]).arg(file).output().unwrap()
}

#[test]
fn the_ecosystems_validators_accept_them_and_refuse_damaged_ones() {
    let folder = tempfile::tempdir().unwrap();
    let damages = [
        ("cyclonedx", "\"specVersion\"", "\"specVersio\""),
        ("cyclonedx", "\"SHA-256\"", "\"SHA-257\""),
        ("cyclonedx", "\"pkg:deb/", "\"pkg;deb/"),
        ("cyclonedx", "?arch=", "?z=1&arch="),
        ("spdx", "\"SPDX-2.3\"", "\"SPDX-9\""),
        ("spdx", "\"Apache-2.0\"", "\"Apache-9\""),
        ("provenance", "\"predicateType\"", "\"predicateTypo\""),
        ("provenance", "\"buildDefinition\"", "\"buildDefinitio\""),
    ];
    for (kind, suffix) in PAPERS {
        let output = validate(kind, &out(suffix));
        assert!(output.status.success(), "{kind}: {}", said(&output));
        let whole = fs::read_to_string(out(suffix)).unwrap();
        for (_, from, to) in damages.iter().filter(|damage| damage.0 == kind) {
            let spoilt = whole.replace(from, to);
            assert_ne!(spoilt, whole, "{from}");
            let path = folder.path().join(suffix);
            fs::write(&path, spoilt).unwrap();
            assert_eq!(validate(kind, &path).status.code(), Some(1), "{kind} with {to}");
        }
    }
}

#[test]
fn every_measured_file_is_in_the_bill_of_materials_and_nothing_else() {
    let described = eif_builder(&["describe", "--json", out("eif").to_str().unwrap()]);
    let described: Value = serde_json::from_slice(&described.stdout).unwrap();
    let mut measured = BTreeSet::from(["cmdline".to_owned(), "kernel".to_owned()]);
    for (number, ramdisk) in list(&described["ramdisks"]).iter().enumerate() {
        for entry in list(&ramdisk["segments"])
            .iter()
            .flat_map(|segment| list(&segment["entries"]))
        {
            if entry["type"] == "file" {
                measured.insert(format!(
                    "ramdisk{number}:/{}",
                    text(&entry["path"]).trim_start_matches('/')
                ));
            }
        }
    }
    let document = json("cdx.json");
    let mut named = BTreeSet::new();
    for component in list(&document["components"]) {
        for place in list(&component["evidence"]["occurrences"]) {
            named.insert(text(&place["location"]).to_owned());
        }
    }
    assert_eq!(named, measured);
}

#[test]
fn digests_and_registers_are_those_of_the_image() {
    let pcrs = json("pcrs.json");
    let eif = sha256(&out("eif"));
    let document = json("cdx.json");
    let image = &document["metadata"]["component"];
    assert_eq!(image["hashes"][0]["content"], *eif);
    let statement = json("provenance.json");
    assert_eq!(statement["subject"][0]["digest"]["sha256"], *eif);
    assert_eq!(
        json("spdx.json")["packages"][0]["checksums"][0]["checksumValue"],
        *eif
    );
    for name in ["PCR0", "PCR1", "PCR2"] {
        let value = text(&pcrs["Measurements"][name]);
        let lower = name.to_lowercase();
        assert_eq!(property(image, &lower), value);
        assert_eq!(statement["subject"][1]["digest"][format!("nitro-{lower}")], value);
    }
    let kernel = list(&document["components"])
        .iter()
        .find(|one| property(one, "kind") == "kernel");
    assert_eq!(
        property(kernel.unwrap(), "config-sha256"),
        sha256(&out("kernel.config"))
    );
}

/// The names that Debian's security data is kept by. The control files in the store were not asked here: these are facts of Debian's.
#[test]
fn what_is_from_debian_names_its_source_package() {
    let (document, spdx) = (json("cdx.json"), json("spdx.json"));
    let mut sources = BTreeSet::new();
    for component in list(&document["components"]) {
        let (source, version) = (
            property(component, "source"),
            property(component, "source-version"),
        );
        let debian = component["purl"]
            .as_str()
            .is_some_and(|purl| purl.starts_with("pkg:deb/"));
        assert_eq!(
            (!source.is_empty(), !version.is_empty()),
            (debian, debian),
            "{component}"
        );
        if !debian {
            continue;
        }
        let name = text(&component["name"]);
        let purl = text(&component["purl"]);
        if !purl.contains(&format!("debian/{source}@")) {
            assert!(purl.contains(&format!("&upstream={source}")), "{purl}");
        }
        let said = format!("built package from: {source} {version}");
        let twin = |one: &&Value| one["name"] == name && one["sourceInfo"] == *said;
        assert!(
            list(&spdx["packages"]).iter().any(|one| twin(&one)),
            "{name}: {said}"
        );
        sources.insert((property(component, "kind"), source));
    }
    for known in [
        ("deb", "ca-certificates"),
        ("kernel", "linux"),
        ("linked", "glibc"),
        ("linked", "rustc-web"),
    ] {
        assert!(sources.contains(&known), "{known:?} is not in {sources:?}");
    }
}

/// Panics name the file they are in, so a program tells of crates in it. The bill of materials was not made from that.
#[test]
fn crates_that_show_in_a_program_are_in_its_bill() {
    let kernel = place("NITRO_KERNEL_DIR");
    let store = kernel.ancestors().find(|dir| dir.join("blobs").is_dir()).unwrap();
    let document = json("cdx.json");
    let steps = &json("provenance.json")["predicate"]["buildDefinition"]["internalParameters"]["steps"];
    for component in list(&document["components"])
        .iter()
        .filter(|one| property(one, "kind") == "program")
    {
        let package = property(component, "package");
        let key = text(&steps[format!("programs of {package}")]);
        let program = store
            .join("parts")
            .join(key)
            .join("out")
            .join(text(&component["name"]));
        assert_eq!(component["hashes"][0]["content"], *sha256(&program));
        let place = &component["evidence"]["occurrences"][0]["location"];
        let listed: BTreeSet<String> = list(&document["components"])
            .iter()
            .filter(|one| property(one, "kind") == "crate")
            .filter(|one| {
                list(&one["evidence"]["occurrences"])
                    .iter()
                    .any(|at| at["location"] == *place)
            })
            .map(|one| format!("{}-{}", text(&one["name"]), text(&one["version"])))
            .collect();
        let shown = vendored(&fs::read(&program).unwrap());
        assert!(shown.len() > 3, "{package} shows only {shown:?}");
        let missing: Vec<_> = shown.difference(&listed).collect();
        assert!(missing.is_empty(), "{package}: {missing:?}");
    }
}

/// `NAME-VERSION` of each `/vendor/NAME-VERSION/` in a program.
fn vendored(program: &[u8]) -> BTreeSet<String> {
    const PREFIX: &[u8] = b"/vendor/";
    let starts = program
        .windows(PREFIX.len())
        .enumerate()
        .filter(|(_, window)| *window == PREFIX);
    starts
        .filter_map(|(at, _)| {
            let name = program[at + PREFIX.len()..].split(|byte| *byte == b'/').next()?;
            String::from_utf8(name.to_vec()).ok()
        })
        .collect()
}

#[test]
fn the_provenance_names_every_input_with_its_digest() {
    let statement = json("provenance.json");
    let materials = list(&statement["predicate"]["buildDefinition"]["resolvedDependencies"]);
    let digests: BTreeSet<&str> = materials
        .iter()
        .map(|one| text(&one["digest"]["sha256"]))
        .collect();
    let locks = [
        "rootfs/native/image.lock",
        "reproducible/buildroot/root.lock",
        "reproducible/kernel/kernel.lock",
    ];
    for lock in locks {
        let content = fs::read_to_string(top().join(lock)).unwrap();
        let locked: Vec<&str> = content
            .lines()
            .filter_map(|line| line.strip_prefix("sha256 = \"")?.strip_suffix('"'))
            .collect();
        assert!(!locked.is_empty(), "{lock}");
        for digest in locked {
            assert!(digests.contains(digest), "{lock}: {digest}");
        }
    }
    for component in list(&json("cdx.json")["components"]) {
        if ["crate", "deb", "linked"].contains(&property(component, "kind")) {
            let digest = text(&component["hashes"][0]["content"]);
            assert!(digests.contains(digest), "{}", component["bom-ref"]);
        }
    }
    let mut sources = BTreeSet::new();
    for material in materials
        .iter()
        .filter(|one| one["annotations"]["use"] == "source")
    {
        let name = text(&material["name"]);
        assert_eq!(
            sha256(&top().join(name)),
            text(&material["digest"]["sha256"]),
            "{name}"
        );
        sources.insert(name);
    }
    for needed in [
        "Cargo.lock",
        "init/src/main.rs",
        "init/Cargo.toml",
        "rootfs/native/image.toml",
        "rootfs/seccomp/agent.json",
        "reproducible/kernel/config",
    ] {
        assert!(sources.contains(needed), "{needed}");
    }
}

#[test]
fn the_command_prints_what_the_build_wrote() {
    let manifest = top().join("rootfs/native/image.toml");
    for (kind, suffix) in PAPERS {
        let printed = eif_builder(&["sbom", manifest.to_str().unwrap(), "--format", kind]);
        assert!(printed.status.success(), "{}", said(&printed));
        assert!(printed.stdout == fs::read(out(suffix)).unwrap(), "{kind}");
    }
}

#[test]
fn the_page_of_the_image_is_whole_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    let made = eif_builder(&[
        "report",
        out("eif").to_str().unwrap(),
        "-o",
        page.to_str().unwrap(),
    ]);
    assert!(made.status.success(), "{}", said(&made));
    let script = top().join("eif-builder/tests/browser/look.py");
    let seen = Command::new("python3").arg(script).arg(&page).output().unwrap();
    assert!(seen.status.success(), "{}", said(&seen));
    let seen: Value = serde_json::from_slice(&seen.stdout).unwrap();
    assert_eq!(
        (&seen["asked"], &seen["said"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
    for (name, form) in seen["forms"].as_object().unwrap() {
        assert_eq!(form["broken"], Value::Array(vec![]), "{name}");
    }
    assert_eq!(
        seen["document"]["marked"], 0,
        "nothing in the native image is red"
    );
    // What is closed on a screen is open on paper: the last crate and the last file.
    let pages = list(&seen["paper"]);
    assert!((10..=20).contains(&pages.len()), "{} printed pages", pages.len());
    let printed: Vec<&str> = pages.iter().flat_map(list).map(text).collect();
    for expected in [
        "Identity",
        "zeroize",
        "/rootfs/usr/bin/web3signer",
        "What this page is",
    ] {
        assert!(printed.contains(&expected), "{expected} is not on paper");
    }
    let text = text(&seen["document"]["text"]);
    for expected in ["No trust switch is set", "52 of 52", "ca-certificates"] {
        assert!(text.contains(expected), "{expected}");
    }
}

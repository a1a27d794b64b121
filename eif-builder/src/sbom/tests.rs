//! What a bill of materials holds, and that both forms of it say the same.

use serde_json::Value;

use super::*;

fn inventory() -> Inventory {
    let mut program = Component::new(Kind::Program, "agent".to_owned(), "0.1.0".to_owned());
    program.places.insert(Place::app("/rootfs/usr/bin/agent"));
    program.contains.insert("crate:serde@1.0.0".to_owned());
    let mut part = Component::new(Kind::Crate, "serde".to_owned(), "1.0.0".to_owned());
    part.places = program.places.clone();
    part.purl = Some(purl::cargo("serde", "1.0.0"));
    part.sha256 = Some("a".repeat(64));
    part.archive = true;
    part.licence = Licence::of_crate("MIT OR Apache-2.0");
    let mut package = Component::new(Kind::Linked, "libc6-dev".to_owned(), "2.41-12".to_owned());
    package.source = Some(SourcePackage {
        name: "glibc".to_owned(),
        version: "2.41-12".to_owned(),
    });
    package.places = program.places.clone();
    let mut file = Component::new(Kind::File, "/etc/\u{202e}x\"<script>".to_owned(), String::new());
    file.places.insert(Place::app("/rootfs/etc/\u{202e}x\"<script>"));
    let zero = Measurements {
        pcr0: eif::Pcr::from_bytes([0; 48]),
        pcr1: eif::Pcr::from_bytes([1; 48]),
        pcr2: eif::Pcr::from_bytes([2; 48]),
        pcr8: None,
    };
    Inventory {
        image: Identity {
            name: "native".to_owned(),
            version: "0.1.0".to_owned(),
            eif_sha256: Sha256::of(b"an image"),
            eif_sha384: "b".repeat(96),
            eif_size: 8,
            measurements: zero,
        },
        components: vec![program, part, package, file],
    }
}

#[test]
fn the_uuid_is_of_the_image_and_well_formed() {
    let image = inventory().image;
    let uuid = image.uuid();
    let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12]);
    assert_eq!(uuid.as_bytes()[14], b'8', "the version");
    assert!(b"89ab".contains(&uuid.as_bytes()[19]), "the variant");
    assert_eq!(uuid[..8], image.eif_sha256.to_string()[..8]);
}

#[test]
fn cyclonedx_has_every_component_place_and_register() {
    let text = cyclonedx::document(&inventory());
    assert_eq!(text, cyclonedx::document(&inventory()), "same bytes");
    let document: Value = serde_json::from_str(&text).unwrap();
    let components = document["components"].as_array().unwrap();
    assert_eq!(components.len(), 4);
    let serde = &components[1];
    assert_eq!(serde["purl"], "pkg:cargo/serde@1.0.0");
    assert_eq!(serde["licenses"][0]["expression"], "MIT OR Apache-2.0");
    assert_eq!(serde["hashes"][0]["content"], "a".repeat(64));
    assert_eq!(
        serde["evidence"]["occurrences"][0]["location"],
        "ramdisk1:/rootfs/usr/bin/agent"
    );
    assert_eq!(components[0]["licenses"][0]["license"]["name"], "NOASSERTION");
    let properties = serde["properties"].as_array().unwrap();
    let registers: Vec<_> = properties
        .iter()
        .filter(|p| p["name"] == "nitro-web3signer:measured-in")
        .map(|p| p["value"].as_str().unwrap())
        .collect();
    assert_eq!(registers, ["PCR0", "PCR2"]);
    let outer = &document["dependencies"][0];
    assert_eq!(outer["ref"], "image:native@0.1.0");
    assert_eq!(
        outer["dependsOn"].as_array().unwrap().len(),
        3,
        "a crate is in its program only"
    );
    assert_eq!(document["dependencies"][1]["dependsOn"][0], "crate:serde@1.0.0");
}

#[test]
fn both_name_the_source_package() {
    let document: Value = serde_json::from_str(&cyclonedx::document(&inventory())).unwrap();
    let properties = document["components"][2]["properties"].as_array().unwrap();
    let of = |name: &str| {
        let name = format!("{PROPERTY}:{name}");
        let found = properties.iter().find(|p| p["name"] == *name);
        found.map(|p| p["value"].as_str().unwrap())
    };
    assert_eq!(
        (of("source"), of("source-version")),
        (Some("glibc"), Some("2.41-12"))
    );
    let document: Value = serde_json::from_str(&spdx::document(&inventory())).unwrap();
    let packages = document["packages"].as_array().unwrap();
    assert_eq!(packages[3]["sourceInfo"], "built package from: glibc 2.41-12");
    assert_eq!(packages[2]["sourceInfo"], Value::Null, "a crate has none");
}

#[test]
fn spdx_identifiers_are_plain_and_different() {
    let document: Value = serde_json::from_str(&spdx::document(&inventory())).unwrap();
    let packages = document["packages"].as_array().unwrap();
    let identifiers: BTreeSet<&str> = packages.iter().map(|p| p["SPDXID"].as_str().unwrap()).collect();
    assert_eq!(identifiers.len(), 5);
    for identifier in &identifiers {
        let tail = identifier.strip_prefix("SPDXRef-").unwrap();
        assert!(
            tail.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b)),
            "{identifier}"
        );
    }
    let relations = document["relationships"].as_array().unwrap();
    let kinds: Vec<_> = relations
        .iter()
        .map(|r| r["relationshipType"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "STATIC_LINK").count(), 1);
    assert_eq!(kinds.iter().filter(|kind| **kind == "CONTAINS").count(), 3);
    for relation in relations {
        let known = relation["relatedSpdxElement"].as_str().unwrap();
        assert!(identifiers.contains(known), "{known}");
    }
}

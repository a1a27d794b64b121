//! The image manifests held against each other: what ships weakens nothing, and a test image is the shipped one but for what its
//! head says. So a test of a test image is a test of what ships.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a manifest that cannot be read is a failed test"
)]

use repo::top;
use toml::{Table, Value};

/// Images that operators run.
const SHIPPED: [&str; 2] = ["native", "web3signer"];

/// A test image and what it is made of.
struct TestImage {
    name: &'static str,
    like: &'static str,
    /// `[trust]` keys that it has.
    trust: &'static [&'static str],
    /// Programs and services that it has besides.
    more: &'static [&'static str],
    /// What it has of its own, replaced by what the shipped one has.
    own: fn(&mut Table, &Table),
}

const TEST_IMAGES: [TestImage; 4] = [
    TestImage {
        name: "service",
        like: "native",
        trust: &["kms_ca", "memory_slashing"],
        more: &["/usr/bin/probe", "probe-signer", "probe-agent"],
        own: roots_of_its_own,
    },
    TestImage {
        name: "legacy",
        like: "native",
        trust: &[
            "allow_any_client",
            "kms_ca",
            "legacy_no_context",
            "memory_slashing",
        ],
        more: &[],
        own: config_of_its_own,
    },
    TestImage {
        name: "standin",
        like: "web3signer",
        trust: &["kms_ca"],
        more: &["/usr/bin/probe", "probe-signer"],
        own: release_of_its_own,
    },
    TestImage {
        name: "tunnel",
        like: "native",
        trust: &["kms_ca", "memory_slashing"],
        more: &[
            "/usr/bin/far-end",
            "/usr/bin/probe",
            "far-end",
            "socat",
            "probe-agent",
            "probe-tunnel",
        ],
        own: far_end_before_the_signer,
    },
];

/// The stand-in's tarball in place of upstream's, and less memory.
fn release_of_its_own(test: &mut Table, shipped: &Table) {
    let url = test["inputs"]["downloads"][0]["url"].as_str().unwrap();
    assert!(url.starts_with("https://standin.invalid/"), "{url}");
    for table in ["inputs", "tarball"] {
        assert_ne!(test[table], shipped[table], "{table}");
    }
    test["inputs"]["downloads"] = shipped["inputs"]["downloads"].clone();
    for key in ["download", "nar_sha256"] {
        test["tarball"][0][key] = shipped["tarball"][0][key].clone();
    }
    test["image"]["memory_mib"] = shipped["image"]["memory_mib"].clone();
}

/// The tests' authority where the shipped image has the roots of AWS's endpoints.
fn roots_of_its_own(test: &mut Table, shipped: &Table) {
    let roots = test.remove("file").unwrap();
    let bundle = &shipped["concatenation"][0];
    assert_eq!(roots.as_array().unwrap().len(), 1);
    assert_eq!(roots[0]["path"], bundle["path"]);
    test.insert("concatenation".to_owned(), shipped["concatenation"].clone());
}

/// A deployment config in the image: the published guidance's parent cannot send one.
fn config_of_its_own(test: &mut Table, _: &Table) {
    let config = test.remove("deployment").unwrap();
    assert_eq!(config["slashing_store"]["kind"].as_str(), Some("memory"));
}

/// socat from Debian's packages, a user for it, and the signer on another port.
fn far_end_before_the_signer(test: &mut Table, shipped: &Table) {
    for table in ["inputs", "packages"] {
        assert_ne!(test[table], shipped[table], "{table}");
        test[table] = shipped[table].clone();
    }
    let retain = |rows: &mut Value, key: &str, own: &[&str]| {
        let rows = rows.as_array_mut().unwrap();
        let before = rows.len();
        rows.retain(|row| !own.contains(&row[key].as_str().unwrap()));
        assert_eq!(before - rows.len(), own.len(), "{own:?}");
    };
    retain(&mut test["link"], "path", &["/lib", "/lib64"]);
    retain(&mut test["user"], "name", &["tunnel"]);
    let services = test["service"].as_array_mut().unwrap();
    let signer = services
        .iter_mut()
        .find(|row| row["name"].as_str() == Some("signer"))
        .unwrap();
    let words = signer["exec"].as_array_mut().unwrap();
    assert_eq!(words.remove(2).as_str(), Some("--http-listen-port=9001"));
}

fn manifest(name: &str) -> Table {
    let path = top().join(format!("rootfs/{name}/image.toml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse().unwrap()
}

#[test]
fn what_ships_weakens_nothing() {
    for name in SHIPPED {
        let manifest = manifest(name);
        assert!(!manifest.contains_key("trust"), "{name} has [trust]");
        assert_eq!(manifest["image"]["name"].as_str(), Some(name));
        let text = toml::to_string(&manifest).unwrap();
        for word in ["tests/", "probe", "standin", "e2e"] {
            assert!(!text.contains(word), "{name} names `{word}`");
        }
    }
}

#[test]
fn test_images_are_the_shipped_ones() {
    for image in TEST_IMAGES {
        let (shipped, mut test) = (manifest(image.like), manifest(image.name));
        let trust = test.remove("trust").unwrap();
        let keys: Vec<&str> = trust.as_table().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, image.trust, "{}", image.name);
        let own = test["image"].as_table_mut().unwrap();
        assert_eq!(
            own.insert("name".to_owned(), image.like.into()),
            Some(image.name.into())
        );
        test["ramdisk"] = shipped["ramdisk"].clone();
        (image.own)(&mut test, &shipped);
        let mut found = Vec::new();
        for (table, key) in [("program", "path"), ("service", "name")] {
            let rows = test[table].as_array_mut().unwrap();
            rows.retain(|row: &Value| {
                let name = row[key].as_str().unwrap();
                let more = image.more.contains(&name);
                if more {
                    found.push(name.to_owned());
                }
                !more
            });
        }
        assert_eq!(found, image.more, "{}", image.name);
        for (key, value) in &shipped {
            assert_eq!(test.get(key), Some(value), "{}: `{key}`", image.name);
        }
        assert_eq!(test.len(), shipped.len(), "{}", image.name);
    }
}

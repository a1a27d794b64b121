//! A sound image passes; each thing that can be wrong fails under its own name, and nothing else does.

use std::fs;
use std::path::Path;

use eif::{Architecture, EifFile};
use eif_builder::cpio_read::Budget;
use eif_builder::digest::Sha256;
use eif_builder::tree::{Node, Tree, TreePath};
use eif_builder::verify::{Outcome, Published, Report, verify};
use serde_json::{Value, json};

use crate::support::{AT, Parts, archive, archive_of, bzimage, parameters, run, said, zstd};

fn checked(path: &Path, published: Option<Published>) -> Report {
    verify(path, &parameters(published)).unwrap()
}

/// Names of the checks that failed.
fn failed(report: &Report) -> Vec<&'static str> {
    let failed = report
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Failed);
    failed.map(|check| check.name).collect()
}

/// The measurements as `build` publishes them.
fn published_json(path: &Path) -> Value {
    let mut image = EifFile::open(fs::File::open(path).unwrap()).unwrap();
    let measured = image.measure().unwrap();
    json!({
        "Measurements": measured.measurements.to_json(),
        "EifSha256": Sha256::of(&fs::read(path).unwrap()).to_string(),
    })
}

fn published(path: &Path) -> Published {
    Published::read("image", published_json(path).to_string().as_bytes()).unwrap()
}

#[test]
fn a_sound_image_passes_and_says_what_was_not_proven() {
    let dir = tempfile::tempdir().unwrap();
    let path = Parts::default().write(dir.path(), "a");
    let report = checked(&path, Some(published(&path)));
    assert!(report.verified, "{report}");
    for name in [
        "form",
        "crc",
        "architecture",
        "pcr0",
        "pcr1",
        "pcr2",
        "file",
        "memory",
        "init",
        "metadata",
    ] {
        assert_eq!(report.check(name).unwrap().outcome, Outcome::Ok, "{name}");
    }
    assert_eq!(report.check("signature").unwrap().outcome, Outcome::NotAsked);
    assert!(report.caveats.iter().any(|text| text.contains("metadata")));
    assert!(!report.caveats.iter().any(|text| text.contains("--pcrs")));

    let report = checked(&path, None);
    assert!(report.verified);
    assert!(report.caveats.iter().any(|text| text.contains("--pcrs")));
    assert_eq!(report.check("pcr0").unwrap().outcome, Outcome::NotAsked);
    let text = report.to_string();
    assert!(
        text.ends_with(&format!("VERIFIED at {}", AT.replace('Z', ".000Z"))),
        "{text}"
    );
}

#[test]
fn another_image_fails_where_it_differs() {
    let dir = tempfile::tempdir().unwrap();
    let ours = published(&Parts::default().write(dir.path(), "a"));
    let cases: [(Parts, &[&str]); 5] = [
        (
            Parts {
                kernel: bzimage(b"another kernel"),
                ..Parts::default()
            },
            &["pcr0", "pcr1", "file"],
        ),
        (
            Parts {
                cmdline: "console=ttyS0 debug".to_owned(),
                ..Parts::default()
            },
            &["pcr0", "pcr1", "file"],
        ),
        (
            Parts {
                ramdisks: vec![
                    Parts::default().ramdisks[0].clone(),
                    zstd(&archive(&[("/x", 0o644, b"x")])),
                ],
                ..Parts::default()
            },
            &["pcr0", "pcr2", "file"],
        ),
        (
            Parts {
                name: "another".to_owned(),
                ..Parts::default()
            },
            &["file"],
        ),
        (
            Parts {
                memory: 65 << 20,
                ..Parts::default()
            },
            &["file"],
        ),
    ];
    for (parts, expected) in cases {
        let report = checked(&parts.write(dir.path(), "b"), Some(ours.clone()));
        assert!(!report.verified);
        assert_eq!(failed(&report), expected, "{report}");
    }
}

#[test]
fn each_unsound_part_fails_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let init = |mode| vec![zstd(&archive(&[("/init", mode, b"#!init")]))];
    let cut = {
        let whole = zstd(&archive(&[("/init", 0o500, &[7; 5000])]));
        vec![whole[..whole.len() - 3].to_vec()]
    };
    let cases = [
        (
            Parts {
                kernel: b"no kernel at all".to_vec(),
                ..Parts::default()
            },
            "architecture",
        ),
        (
            Parts {
                architecture: Architecture::Aarch64,
                ..Parts::default()
            },
            "architecture",
        ),
        (
            Parts {
                memory: 100,
                ..Parts::default()
            },
            "memory",
        ),
        (
            Parts {
                ramdisks: init(0o644),
                ..Parts::default()
            },
            "init",
        ),
        (
            Parts {
                ramdisks: vec![zstd(&archive(&[("/rootfs/init", 0o755, b"x")]))],
                ..Parts::default()
            },
            "init",
        ),
        (
            Parts {
                cmdline: "console=ttyS0 rdinit=/sbin/init".to_owned(),
                ..Parts::default()
            },
            "init",
        ),
        (
            Parts {
                ramdisks: cut,
                ..Parts::default()
            },
            "init",
        ),
        (
            Parts {
                ramdisks: vec![b"no archive".to_vec()],
                ..Parts::default()
            },
            "init",
        ),
    ];
    for (parts, expected) in cases {
        let report = checked(&parts.write(dir.path(), "a"), None);
        assert_eq!(failed(&report), [expected], "{report}");
    }
}

#[test]
fn the_first_program_may_be_named_and_linked() {
    let dir = tempfile::tempdir().unwrap();
    let mut tree = Tree::new();
    let path = |text| TreePath::new(text).unwrap();
    tree.add(path("/init"), Node::link("bin/start"), "test").unwrap();
    tree.add(path("/bin/start"), Node::file(b"#!x".to_vec(), 0o555), "test")
        .unwrap();
    let linked = vec![archive_of(&tree)];
    for cmdline in ["", "rdinit=/none rdinit=/bin/start", "quiet -- rdinit=/none"] {
        let parts = Parts {
            cmdline: cmdline.to_owned(),
            ramdisks: linked.clone(),
            ..Parts::default()
        };
        let report = checked(&parts.write(dir.path(), "a"), None);
        assert!(report.verified, "{cmdline}: {report}");
    }
    // From a later ramdisk: it runs, and PCR1 does not cover it.
    let mut parts = Parts::default();
    parts
        .ramdisks
        .push(zstd(&archive(&[("/init", 0o755, b"#!other")])));
    let report = checked(&parts.write(dir.path(), "a"), None);
    assert!(report.verified, "{report}");
    assert!(
        report
            .caveats
            .iter()
            .any(|text| text.contains("PCR1 does not cover it")),
        "{report}"
    );
}

#[test]
fn damage_is_seen_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = Parts::default().write(dir.path(), "a");
    let expected = published(&path);
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x04;
        fs::write(&path, flipped).unwrap();
        let report = checked(&path, Some(expected.clone()));
        assert!(!report.verified, "byte {at}: {report}");
    }
    for end in (0..whole.len()).step_by(11) {
        fs::write(&path, &whole[..end]).unwrap();
        let report = checked(&path, Some(expected.clone()));
        assert_eq!(failed(&report), ["form"], "cut at {end}");
    }
}

#[test]
fn a_bomb_ends_at_the_budget() {
    let dir = tempfile::tempdir().unwrap();
    let bomb = zstd(&archive(&[("/init", 0o755, &vec![0; 8 << 20])]));
    let parts = Parts {
        ramdisks: vec![bomb],
        ..Parts::default()
    };
    let path = parts.write(dir.path(), "a");
    assert!(checked(&path, None).verified);
    let mut tight = parameters(None);
    tight.budget = Budget {
        bytes: 1 << 20,
        entries: 10,
    };
    let report = verify(&path, &tight).unwrap();
    assert_eq!(failed(&report), ["init"], "{report}");
    assert!(
        report.to_string().contains("more than the unpacked bytes"),
        "{report}"
    );
}

#[test]
fn what_weakens_trust_is_said_and_is_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    let safe = r#"{"schema":1,"signer":{"distribution":"native","start_within_s":120,"upcheck_every_s":5,"upcheck_within_s":3},"trust":{"allow_any_client":false,"legacy_no_context":false,"memory_slashing":false},"users":{"agent":101,"signer":102}}"#;
    let weak = safe
        .replace(r#""allow_any_client":false"#, r#""allow_any_client":true"#)
        .replace(r#""memory_slashing":false"#, r#""memory_slashing":true"#);
    let policy = "/rootfs/etc/nitro/policy.json";
    // Each in a ramdisk of its own.
    let report = |files: &[(&str, &str)]| {
        let mut parts = Parts::default();
        let ramdisks = files
            .iter()
            .map(|(path, content)| zstd(&archive(&[(path, 0o444, content.as_bytes())])));
        parts.ramdisks.extend(ramdisks);
        let path = parts.write(dir.path(), "a");
        let report = checked(&path, Some(published(&path)));
        assert!(report.verified, "{report}");
        report
    };
    let quiet = report(&[(policy, safe)]);
    assert_eq!(quiet.weakened, Some(vec![]));
    assert!(!quiet.to_string().contains("WEAKENED"), "{quiet}");

    // The last one counts.
    let loud = report(&[(policy, safe), (policy, &weak)]);
    assert_eq!(loud.weakened, Some(vec!["allow_any_client", "memory_slashing"]));
    let line = "note    TRUST IS WEAKENED by /etc/nitro/policy.json: allow_any_client, memory_slashing; not for production";
    assert!(loud.to_string().contains(line), "{loud}");

    let other = report(&[("/rootfs/etc/policy.json", &weak)]);
    assert_eq!(other.weakened, None, "no policy of ours");
    let wrong = report(&[(policy, "{}")]);
    assert_eq!(wrong.weakened, None);
    assert!(
        wrong.to_string().contains("policy.json cannot be read"),
        "{wrong}"
    );
}

#[test]
fn what_is_published_must_be_measurements() {
    let dir = tempfile::tempdir().unwrap();
    let path = Parts::default().write(dir.path(), "a");
    let good = published_json(&path);
    let with = |pointer: &str, value: Value| {
        let mut json = good.clone();
        *json.pointer_mut(pointer).unwrap() = value;
        Published::read("p", json.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    assert!(with("/EifSha256", json!("aa")).unwrap_err().contains("EifSha256"));
    assert!(with("/EifSha256", Value::Null).unwrap().eif_sha256.is_none());
    let zero = with("/Measurements/PCR2", json!("0".repeat(96))).unwrap_err();
    assert!(zero.contains("all-zero PCR2"), "{zero}");
    with("/Measurements/PCR0", json!("00")).unwrap_err();
    Published::read("p", b"{}").unwrap_err();
}

#[test]
fn the_program_tells_by_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let path = Parts::default().write(dir.path(), "a");
    let at = dir.path();
    fs::write(at.join("a.json"), published_json(&path).to_string()).unwrap();
    let (code, text) = said(&run(at, &["verify", "a.eif", "--pcrs", "a.json", "--at", AT]));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("VERIFIED at 2026-06-01"), "{text}");

    let output = run(at, &["verify", "a.eif", "--pcrs", "a.json", "--at", AT, "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["verified"], true);
    assert_eq!(
        json["Measurements"]["PCR0"],
        published_json(&path)["Measurements"]["PCR0"]
    );

    let other = Parts {
        cmdline: "debug".to_owned(),
        ..Parts::default()
    };
    other.write(at, "b");
    let (code, text) = said(&run(at, &["verify", "b.eif", "--pcrs", "a.json"]));
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("FAILED") && text.contains("REFUSED") && text.contains("eif-builder diff"),
        "{text}"
    );

    for (args, expected) in [
        (&["verify", "a.eif", "--at", "noon"][..], 2),
        (&["verify", "a.eif", "--pcrs", "a.eif"], 2),
        (&["verify", "a.eif", "--pcrs", "none.json"], 1),
        (&["verify", "none.eif"], 1),
        (&["verify", "."], 1),
        (&["verify", "a.json"], 3),
        (&["verify"], 2),
    ] {
        let (code, text) = said(&run(at, args));
        assert_eq!(code, expected, "{args:?}: {text}");
    }
}

//! `eif-builder report`: a hostile image's page as text, and as a browser shows it.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use control::policy::{ImagePolicy, SCHEMA, Signer, Trust, Users};
use eif::{Architecture, BuildInfo, EifFile, EifWriter, Metadata, Part, Parts};
use eif_builder::digest::Sha256;
use eif_builder::report::facts::{Beside, Facts};
use eif_builder::report::page;
use eif_builder::tree::{Node, Tree, TreePath};
use eif_builder::{cpio, report};
use serde_json::{Value, json};
use services::{
    Clock, Instruction, Kind, Limit, Resource, Seccomp, Service, Start, Stdio, Table, TmpfsMount,
};

/// Markup, quotes, a word without a break, and a change of direction.
const NASTY: &str = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>\u{202e}&amp;";

fn table() -> Table {
    let service = Service {
        name: "agent".to_owned(),
        argv: vec![
            b"/usr/bin/agent".to_vec(),
            NASTY.as_bytes().to_vec(),
            vec![b'x'; 900],
        ],
        env: BTreeMap::new(),
        cwd: b"/".to_vec(),
        uid: 101,
        gid: 101,
        groups: BTreeSet::from([200]),
        capabilities: 1 << 10,
        rlimits: BTreeMap::from([(
            Resource::Nofile,
            Limit {
                soft: 10,
                hard: u64::MAX,
            },
        )]),
        umask: 0o77,
        start: Start::Boot,
        kind: Kind::OneShot,
        grace_ms: 1000,
        oom_score_adj: 0,
        channel: true,
        stdio: Stdio::Console,
        seccomp: Seccomp::Filter(vec![Instruction {
            code: 6,
            jt: 0,
            jf: 0,
            k: 0x7fff_0000,
        }]),
    };
    let mount = TmpfsMount {
        size_bytes: 1 << 20,
        mode: 0o755,
        uid: 101,
        gid: 101,
        noexec: true,
    };
    Table {
        nsm_gid: 200,
        ip_unprivileged_port_start: 443,
        clock: Clock::None,
        mounts: BTreeMap::from([(b"/run/agent".to_vec(), mount)]),
        services: vec![service],
    }
}

fn policy(weak: bool) -> String {
    let policy = ImagePolicy {
        schema: SCHEMA,
        trust: Trust {
            memory_slashing: weak,
            ..Trust::default()
        },
        deployment: None,
        signer: Signer::default(),
        users: Users {
            agent: 101,
            signer: None,
        },
    };
    policy.canonical().unwrap()
}

fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tree = Tree::new();
    for (path, content) in files {
        tree.add(
            TreePath::new(path).unwrap(),
            Node::file(content.clone(), 0o4755),
            "test",
        )
        .unwrap();
    }
    let mut bytes = Vec::new();
    cpio::write(&tree, &mut bytes).unwrap();
    bytes
}

/// Writes an image whose names, arguments and metadata are as bad as a format allows, with papers beside it.
fn hostile(folder: &Path, weak: bool) -> PathBuf {
    let path = folder.join("hostile.eif");
    let mut files = vec![
        ("/rootfs/etc/nitro/services".to_owned(), table().encode().unwrap()),
        (
            "/rootfs/etc/nitro/policy.json".to_owned(),
            policy(weak).into_bytes(),
        ),
        (
            "/rootfs/etc/passwd".to_owned(),
            format!("{NASTY}:x:101:101::/:/x\n").into_bytes(),
        ),
        (format!("/rootfs/{}", NASTY.replace('/', "\\")), vec![1; 70_000]),
        (format!("/rootfs/{}", "w".repeat(250)), vec![2; 50_000]),
    ];
    files.extend((0..200).map(|n| (format!("/rootfs/lib/{n}.so"), vec![3; 400 * n])));
    let (boot, app) = (
        archive(&[("/init".to_owned(), vec![0x7f; 90_000])]),
        archive(&files),
    );
    let metadata = Metadata {
        image_name: format!("{NASTY}{}", "n".repeat(500)),
        image_version: "1".to_owned(),
        build: BuildInfo {
            build_time: String::new(),
            build_tool: NASTY.to_owned(),
            build_tool_version: String::new(),
            operating_system: String::new(),
            kernel_version: String::new(),
        },
        docker_info: Value::Null,
        custom: Value::Null,
    };
    let cmdline = format!("console=ttyS0 {NASTY} {}", "c".repeat(700));
    let writer = EifWriter {
        architecture: Architecture::X86_64,
        default_mem: 1 << 29,
        default_cpus: 2,
    };
    let kernel = vec![9; 120_000];
    let (mut kernel, mut boot, mut app) = (kernel.as_slice(), boot.as_slice(), app.as_slice());
    let (kernel_size, boot_size, app_size) = (kernel.len() as u64, boot.len() as u64, app.len() as u64);
    let parts = Parts {
        kernel: Part {
            source: &mut kernel,
            size: kernel_size,
        },
        cmdline: cmdline.as_bytes(),
        metadata: &metadata.to_bytes(),
        ramdisks: vec![
            Part {
                source: &mut boot,
                size: boot_size,
            },
            Part {
                source: &mut app,
                size: app_size,
            },
        ],
        signature: None,
    };
    writer.write(parts, &mut File::create(&path).unwrap()).unwrap();
    let config = format!("CONFIG_MODULES=y\nCONFIG_VMAP_STACK={NASTY}\n");
    fs::write(path.with_extension("kernel.config"), &config).unwrap();
    fs::write(path.with_extension("cdx.json"), papers(&path, &config)).unwrap();
    path
}

fn papers(image: &Path, config: &str) -> String {
    let property =
        |name: &str, value: &str| json!({"name": format!("nitro-web3signer:{name}"), "value": value});
    let long = "l".repeat(400);
    let component = |kind: &str| {
        json!({
            "name": format!("{NASTY}{long}"), "version": long,
            "licenses": [{"expression": format!("{NASTY} AND {long}")}],
            "evidence": {"occurrences": [{"location": format!("ramdisk1:/rootfs/{NASTY}/{long}")}]},
            "properties": [property("kind", kind), property("config-sha256", &Sha256::of(config.as_bytes()).to_string())],
        })
    };
    let kinds = ["kernel", "program", "deb", "linked", "jar", "crate", "crate"];
    let mut file = EifFile::open(File::open(image).unwrap()).unwrap();
    let measured = file.measure().unwrap().measurements.to_json();
    let registers = ["PCR0", "PCR1", "PCR2"];
    let registers = registers.map(|name| {
        property(
            &name.to_lowercase(),
            measured.get(name).and_then(Value::as_str).unwrap(),
        )
    });
    json!({
        "metadata": {"component": {"properties": registers}},
        "components": kinds.iter().map(|kind| component(kind)).collect::<Vec<_>>(),
    })
    .to_string()
}

fn run(arguments: &[&str]) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_eif-builder"))
        .arg("report")
        .args(arguments)
        .output();
    program.unwrap()
}

/// What a browser meets: the JSON of `browser/look.py`.
fn look(page: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/look.py");
    let output = Command::new("python3").arg(script).arg(page).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn nothing_of_an_image_becomes_markup() {
    let folder = tempfile::tempdir().unwrap();
    let path = hostile(folder.path(), true);
    let facts = Facts::read(&path, &Beside::default()).unwrap();
    let text = page(&facts, Some(&facts));
    assert_eq!(text, page(&facts, Some(&facts)), "same bytes");
    for bad in [
        "<img",
        "<script",
        "\u{202e}",
        "javascript:",
        "http:",
        "https:",
        "url(",
        "@import",
    ] {
        assert!(!text.contains(bad), "{bad}");
    }
    assert!(text.contains("&lt;img src=x onerror=alert(1)&gt;"));
    assert!(text.contains("default-src &#39;none&#39;") || text.contains("default-src 'none'"));
    assert!(text.contains("Trust is weakened: memory_slashing"));
    assert!(text.contains("None: both files have the same bytes."));
}

#[test]
fn a_browser_shows_a_hostile_image_whole_and_asks_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = hostile(folder.path(), true);
    let older = folder.path().join("older");
    fs::create_dir(&older).unwrap();
    let older = hostile(&older, false);
    let out = folder.path().join("report.html");
    let [image, out_text, older] = [&path, &out, &older].map(|path| path.to_str().unwrap());
    let made = run(&[image, "-o", out_text, "--against", older]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let seen = look(&out);
    assert_eq!(seen["loaded"], true);
    assert_eq!(seen["asked"], json!([]), "a request was made");
    assert_eq!(
        seen["said"],
        json!([]),
        "the content security policy or a script complained"
    );
    for (name, form) in seen["forms"].as_object().unwrap() {
        assert_eq!(form["broken"], json!([]), "{name}");
        assert_eq!(form["needs"], form["has"], "{name} scrolls sideways");
        assert!(form["colours"].as_u64().unwrap() > 50, "{name} is blank");
    }
    assert_eq!(seen["forms"]["phone"]["has"], 390);
    let background = |form: &str| seen["forms"][form]["background"].as_str().unwrap().to_owned();
    assert_ne!(background("desktop"), background("dark"));
    assert_eq!(background("desktop"), background("print"));
    document(&seen["document"]);
    printed(&seen);
}

fn document(document: &Value) {
    for (what, count) in [("scripts", 0), ("foreign", 0), ("ids", 0)] {
        assert_eq!(document[what], count, "{what}");
    }
    assert!(
        document["marked"].as_u64().unwrap() >= 5,
        "red marks: trust, capabilities, kernel"
    );
    let tables = document["tables"].as_array().unwrap();
    for table in tables {
        assert_eq!(
            (&table["scopes"], &table["even"]),
            (&json!(true), &json!(true)),
            "{table}"
        );
        assert!(table["rows"].as_u64().unwrap() > 0, "{table}");
    }
    let rows = |column: &str| {
        let with = tables
            .iter()
            .filter(|table| table["columns"].as_array().unwrap().contains(&json!(column)));
        with.map(|table| table["rows"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(rows("Switch"), 4);
    assert_eq!(rows("Licence"), 7);
    let options: usize = report::kernel::HARDENING
        .iter()
        .map(|(_, lines)| lines.len())
        .sum();
    assert_eq!(rows("Option"), options as u64);
    assert!(rows("SHA-256") > 205);
    let pictures = document["pictures"].as_array().unwrap();
    assert_eq!(pictures.len(), 3);
    for picture in pictures {
        assert_eq!(picture["labelled"], true, "{picture}");
        assert!(
            !picture["title"].as_str().unwrap().is_empty()
                && !picture["description"].as_str().unwrap().is_empty()
        );
        assert!(picture["shapes"].as_u64().unwrap() >= 8, "{picture}");
    }
    let shown = pictures.iter().filter(|picture| picture["shown"] == true).count();
    assert_eq!(shown, 2, "one of the two forms of the treemap");
    let text = document["text"].as_str().unwrap();
    for expected in [
        "Identity",
        "PCR0",
        "Changes since",
        "memory_slashing",
        "numbers 10",
        "smaller files",
    ] {
        assert!(text.contains(expected), "{expected}");
    }
}

/// Every section is on paper, what can be opened on a screen is open, and no heading stands alone at the end of a page.
fn printed(seen: &Value) {
    let pages: Vec<Vec<&str>> = seen["paper"].as_array().unwrap().iter().map(lines).collect();
    assert!((8..=30).contains(&pages.len()), "{} pages", pages.len());
    let headings = lines(seen.pointer("/document/headings").unwrap());
    let sections: Vec<&str> = headings
        .iter()
        .filter_map(|one| one.strip_prefix("H2 "))
        .collect();
    assert!(sections.len() >= 9, "{sections:?}");
    for section in &sections {
        // One names the other image, and is longer than a line.
        let found = |line: &&str| line == section || section.len() > 40 && line.starts_with("Changes since");
        assert!(pages.iter().flatten().any(found), "{section} is not on paper");
    }
    for (number, page) in pages.iter().enumerate() {
        let (count, text) = page.split_last().unwrap();
        assert_eq!(*count, format!("{} / {}", number + 1, pages.len()), "{page:?}");
        let last = text.last().unwrap();
        assert!(
            !sections.contains(last),
            "{last} is alone at the end of page {number}"
        );
    }
    let file = "/rootfs/lib/1.so";
    assert!(
        pages.iter().flatten().any(|line| *line == file),
        "files are not on paper"
    );
}

fn lines(value: &Value) -> Vec<&str> {
    let lines = value.as_array().unwrap().iter();
    lines.map(|line| line.as_str().unwrap()).collect()
}

#[test]
fn papers_of_another_image_are_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = hostile(folder.path(), false);
    let papers = path.with_extension("cdx.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&papers).unwrap()).unwrap();
    document["metadata"]["component"]["properties"][0]["value"] = json!("00");
    fs::write(&papers, document.to_string()).unwrap();
    let facts = Facts::read(&path, &Beside::default()).unwrap();
    assert_eq!((facts.materials.as_ref(), facts.kernel.as_ref()), (None, None));
    let text = page(&facts, None);
    assert!(text.contains("is of another image"));
    assert!(!text.contains("Changes since"));
    let out = folder.path().join("report.html");
    let [image, out, papers] = [&path, &out, &papers].map(|path| path.to_str().unwrap());
    let refused = run(&[image, "-o", out, "--sbom", papers]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is of another image"));
    assert!(!Path::new(out).exists());
}

#[test]
fn a_damaged_image_has_a_page_and_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = hostile(folder.path(), false);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    let out = folder.path().join("report.html");
    let [image, out_text] = [&path, &out].map(|path| path.to_str().unwrap());
    let refused = run(&[image, "-o", out_text]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(
        fs::read_to_string(&out)
            .unwrap()
            .contains("<li class=\"bad\">the CRC-32")
    );
    fs::write(&path, b"no image").unwrap();
    let refused = run(&[image, "-o", out_text]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not a valid image"));
}

//! Keys and records of parts; building for real is in `tests/part.rs`.

use std::collections::BTreeMap;

use super::*;

fn root() -> Root {
    Root {
        path: "/nonexistent".into(),
        key: Sha256::of(b"root"),
    }
}

fn part(root: &Root) -> Part<'_> {
    Part {
        name: "p",
        root,
        inputs: BTreeMap::from([
            ("/a".to_owned(), Source::Text("x".to_owned())),
            (
                "/b".to_owned(),
                Source::Dir {
                    host: "/h".into(),
                    digest: Sha256::of(b"b"),
                },
            ),
        ]),
        caches: BTreeMap::new(),
        script: "true",
        env: BTreeMap::from([("E".to_owned(), "1".to_owned())]),
        outputs: vec!["out".to_owned()],
    }
}

type Change = fn(&mut Part<'_>);

fn put<V>(map: &mut BTreeMap<String, V>, key: &str, value: V) {
    map.insert(key.to_owned(), value);
}

#[test]
fn everything_that_can_change_bytes_changes_the_key() {
    let root = root();
    let other = Root {
        key: Sha256::of(b"other"),
        ..root.clone()
    };
    let mut keys = vec![part(&root).recipe().key()];
    let mut differs = |what: &str, part: Part<'_>| {
        let key = part.recipe().key();
        assert!(!keys.contains(&key), "{what}");
        keys.push(key);
    };
    differs("root", part(&other));
    let changes: &[(&str, Change)] = &[
        ("name", |p| p.name = "q"),
        ("script", |p| p.script = "false"),
        ("value", |p| put(&mut p.env, "E", "2".to_owned())),
        ("variable", |p| put(&mut p.env, "F", "1".to_owned())),
        ("text", |p| put(&mut p.inputs, "/a", Source::Text("y".to_owned()))),
        ("input", |p| {
            put(&mut p.inputs, "/z", Source::Text("x".to_owned()));
        }),
        ("no input", |p| p.inputs.clear()),
        ("outputs", |p| p.outputs.push("more".to_owned())),
    ];
    for (what, change) in changes {
        let mut new = part(&root);
        change(&mut new);
        differs(what, new);
    }
}

#[test]
fn where_things_are_and_the_order_of_outputs_do_not() {
    let root = root();
    let moved = Root {
        path: "/elsewhere".into(),
        ..root.clone()
    };
    let mut same = part(&moved);
    let digest = Sha256::of(b"b");
    same.inputs.insert(
        "/b".to_owned(),
        Source::Dir {
            host: "/other".into(),
            digest,
        },
    );
    put(&mut same.caches, "/cache", "c".to_owned());
    assert_eq!(part(&root).recipe().key(), same.recipe().key());
    let text = Source::File {
        host: "/f".into(),
        sha256: Sha256::of(b"x"),
    };
    same.inputs.insert("/a".to_owned(), text);
    assert_eq!(
        part(&root).recipe().key(),
        same.recipe().key(),
        "a file counts by its bytes"
    );
}

#[test]
fn the_fixed_environment_cannot_be_replaced() {
    let root = root();
    let mut own = part(&root);
    own.env.insert("TZ".to_owned(), "Mars".to_owned());
    assert_eq!(own.fixed_env().get("TZ").map(String::as_str), Some("UTC"));
}

#[test]
fn outputs_are_exactly_the_declared() {
    let dir = tempfile::tempdir().unwrap();
    let root = root();
    let check = |outputs: &[&str]| {
        let mut part = part(&root);
        part.outputs = outputs.iter().map(|&o| o.to_owned()).collect();
        check_outputs(&part, &Listing::of_dir(dir.path()).unwrap()).map_err(|e| e.to_string())
    };
    fs::create_dir(dir.path().join("d")).unwrap();
    fs::write(dir.path().join("d/f"), "").unwrap();
    assert_eq!(check(&["d"]), Ok(()));
    assert_eq!(check(&["d/f"]), Ok(()));
    assert_eq!(
        check(&["d", "e"]).unwrap_err(),
        "building p made the wrong outputs: `e` is missing"
    );
    fs::write(dir.path().join("dd"), "").unwrap();
    assert_eq!(
        check(&["d"]).unwrap_err(),
        "building p made the wrong outputs: `dd` is not declared"
    );
}

#[test]
fn the_end_of_a_log_is_whole_lines() {
    let mut log = tempfile::tempfile().unwrap();
    assert_eq!(tail(&mut log).unwrap(), "");
    for n in 0..10_000 {
        io::Write::write_all(&mut log, format!("line {n}\n").as_bytes()).unwrap();
    }
    let end = tail(&mut log).unwrap();
    assert_eq!(end.lines().count(), TAIL_LINES);
    assert!(end.ends_with("line 9999"), "{end}");
}

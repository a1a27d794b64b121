//! Tests of the resolver on small hand-made suites.

use super::*;
use crate::debian::index;
use crate::digest::Sha256;
use crate::lock::Archive;

/// `name version; Field: value; ...` a line, to the text of a `Packages` file.
fn suite(lines: &str) -> String {
    let sha = Sha256::of(b"");
    let stanza = |line: &str| {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let fields: Vec<_> = parts.map(|field| format!("{field}\n")).collect();
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 1\nSHA256: {sha}\n{}\n",
            fields.concat()
        )
    };
    lines
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(stanza)
        .collect::<Vec<_>>()
        .concat()
}

fn resolve(lines: &str, roots: &[&str], exclude: &[&str]) -> Result<Vec<String>, ResolveError> {
    let text = suite(lines);
    let packages = index::packages(&text, Archive::Debian).unwrap();
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let chosen = Universe::new(&packages)?.closure(&names(roots), &names(exclude))?;
    Ok(chosen
        .iter()
        .map(|p| format!("{} {}", p.name, p.version))
        .collect())
}

fn names(lines: &str, roots: &[&str]) -> String {
    let chosen = resolve(lines, roots, &[]).unwrap();
    chosen
        .iter()
        .map(|c| c.split(' ').next().unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn dependencies_are_followed_and_nothing_weaker() {
    let suite = "
        aa 1; Depends: bb, cc (>= 2); Recommends: zz; Suggests: yy
        bb 1; Pre-Depends: dd
        cc 2; Depends: aa
        dd 1
        zz 1";
    assert_eq!(names(suite, &["aa"]), "aa bb cc dd");
    assert_eq!(names(suite, &["dd"]), "dd");
}

#[test]
fn the_highest_version_of_several_suites_counts() {
    let suite = "
        aa 1; Depends: bb (>= 1.5)
        bb 1
        bb 1.10
        bb 1.9";
    assert_eq!(resolve(suite, &["aa"], &[]).unwrap(), ["aa 1", "bb 1.10"]);
}

#[test]
fn of_alternatives_the_chosen_one_wins_else_the_first_that_exists() {
    let suite = "
        aa 1; Depends: gone | bb | cc
        ab 1; Depends: bb (>= 9) | cc
        bb 1
        cc 1";
    assert_eq!(names(suite, &["aa"]), "aa bb");
    assert_eq!(names(suite, &["aa", "cc"]), "aa cc");
    assert_eq!(names(suite, &["ab"]), "ab cc");
}

#[test]
fn virtual_packages_go_to_the_chosen_provider_else_by_priority_and_name() {
    let suite = "
        aa 1; Depends: awk
        gawk 1; Provides: awk; Priority: optional
        mawk 1; Provides: awk; Priority: required
        zawk 1; Provides: awk; Priority: required";
    assert_eq!(names(suite, &["aa"]), "aa mawk");
    assert_eq!(names(suite, &["aa", "gawk"]), "aa gawk");
}

#[test]
fn a_versioned_relation_needs_a_versioned_provision() {
    let suite = "
        aa 1; Depends: vv (>= 2)
        bare 1; Provides: vv
        old 1; Provides: vv (= 1)
        new 1; Provides: vv (= 2)";
    assert_eq!(names(suite, &["aa"]), "aa new");
    resolve(&suite.replace("(= 2)", "(= 1.9)"), &["aa"], &[]).unwrap_err();
}

#[test]
fn qualifiers() {
    assert_eq!(
        names("aa 1; Depends: bb:any, cc:amd64\nbb 1\ncc 1", &["aa"]),
        "aa bb cc"
    );
    resolve("aa 1; Depends: bb:i386\nbb 1", &["aa"], &[]).unwrap_err();
}

#[test]
fn errors_name_the_chain() {
    assert_eq!(
        resolve("aa 1", &["ab"], &[]),
        Err(ResolveError::Missing("ab".into()))
    );
    let suite = "
        aa 1; Depends: bb
        bb 1; Depends: cc
        cc 1; Depends: dd (>= 2) | ee
        dd 1.5";
    let text = resolve(suite, &["aa"], &[]).unwrap_err().to_string();
    for part in ["`dd (>= 2) | ee`", "aa -> bb -> cc", "dd 1.5"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn conflicts_and_breaks_among_the_chosen_are_errors() {
    let base = "
        aa 1; Depends: bb, cc
        cc 1; Provides: vv (= 3)";
    for (line, conflict) in [
        ("bb 1; Conflicts: cc", true),
        ("bb 1; Breaks: cc (<< 2)", true),
        ("bb 1; Breaks: cc (<< 1)", false),
        ("bb 1; Conflicts: vv", true),
        ("bb 1; Conflicts: vv (<< 3)", false),
        ("bb 1; Breaks: vv (<= 3)", true),
        ("bb 1; Conflicts: gone, cc:i386", false),
        // Its own provision does not count: the idiom for "only one of these".
        ("bb 1; Provides: uu; Conflicts: uu", false),
    ] {
        let result = resolve(&format!("{base}\n{line}"), &["aa"], &[]);
        assert_eq!(result.is_err(), conflict, "{line}: {result:?}");
    }
    let text = resolve(&format!("{base}\nbb 1; Breaks: cc"), &["aa"], &[])
        .unwrap_err()
        .to_string();
    assert_eq!(text, "aa -> bb breaks `cc`, but aa -> cc is chosen too");
}

#[test]
fn what_is_excluded_goes_with_what_only_it_needs() {
    let suite = "
        aa 1; Depends: bb, cc
        bb 1; Depends: dd
        cc 1
        dd 1";
    assert_eq!(resolve(suite, &["aa"], &["bb"]).unwrap(), ["aa 1", "cc 1"]);
    assert_eq!(resolve(suite, &["aa"], &["cc", "dd"]).unwrap(), ["aa 1", "bb 1"]);
    let idle = Err(ResolveError::IdleExclude("ee".into()));
    assert_eq!(resolve(suite, &["aa"], &["ee"]), idle);
}

#[test]
fn an_exclusion_acts_only_where_the_name_would_have_been_chosen() {
    let suite = "
        aa 1; Depends: bb | cc
        ab 1; Depends: awk
        bb 1
        cc 1
        mawk 1; Provides: awk; Priority: required
        gawk 1; Provides: awk";
    assert_eq!(
        resolve(suite, &["aa"], &["cc"]),
        Err(ResolveError::IdleExclude("cc".into()))
    );
    assert_eq!(resolve(suite, &["ab"], &["mawk"]).unwrap(), ["ab 1"]);
    assert_eq!(resolve(suite, &["ab"], &["awk"]).unwrap(), ["ab 1"]);
    assert_eq!(
        resolve(suite, &["ab"], &["gawk"]),
        Err(ResolveError::IdleExclude("gawk".into()))
    );
}

#[test]
fn the_order_of_index_and_request_does_not_matter() {
    let lines = [
        "aa 1; Depends: vv, bb | cc",
        "bb 1",
        "cc 1; Provides: vv",
        "dd 1; Provides: vv",
        "ee 1; Depends: dd",
    ];
    let forward = resolve(&lines.join("\n"), &["aa", "ee"], &[]).unwrap();
    let mut reversed = lines;
    reversed.reverse();
    assert_eq!(
        forward,
        resolve(&reversed.join("\n"), &["aa", "ee"], &[]).unwrap()
    );
}

#[test]
fn malformed_relations_of_the_chosen_are_errors_and_of_others_not() {
    let suite = "aa 1; Depends: B B\nbb 1; Depends: B B";
    assert!(matches!(
        resolve(suite, &["aa"], &[]),
        Err(ResolveError::Relation { .. })
    ));
    assert_eq!(names(&format!("{suite}\ncc 1"), &["cc"]), "cc");
}

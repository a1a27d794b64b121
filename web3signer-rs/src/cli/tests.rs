//! Rules of the tables, and the corners of the grammar. The published cases are in `tests/cli.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::option::{Effect, Kind, Opt};
use super::values::{Source, Values};
use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn with(line: &str, environment: &[(&str, &str)], file: Option<&str>) -> Result<Request, UsageError> {
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let read_file = |_: &Path| match file {
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => Err(std::io::ErrorKind::NotFound.into()),
    };
    read(&words(line), &environment, &read_file)
}

fn values(line: &str, environment: &[(&str, &str)], file: Option<&str>) -> Values {
    match with(line, environment, file).unwrap() {
        Request::Run(_, values) => *values,
        Request::Print(text) => panic!("{line}: prints {text}"),
    }
}

fn reason(line: &str) -> String {
    with(line, &[], None).unwrap_err().reason
}

#[test]
fn the_tables_are_well_formed() {
    let mut keys = BTreeSet::new();
    let mut variables = BTreeSet::new();
    for opt in table::all() {
        for name in opt.names {
            assert!(
                name.starts_with('-') && keys.insert(*name),
                "{name} is there twice or has no dash"
            );
            assert!(!["-h", "--help", "-V", "--version"].contains(name));
        }
        assert!(opt.key().starts_with("--"), "{:?}", opt.names);
        assert!(opt.help.ends_with('.'), "{:?}", opt.names);
        for variable in opt.variables() {
            assert!(variables.insert(variable.clone()), "{variable}");
        }
    }
    assert!(keys.len() > 90);
}

#[test]
fn every_default_is_a_value_of_its_kind() {
    let all = values("eth2 import --from=x", &[], None);
    for opt in table::all().filter(|opt| opt.default.is_some()) {
        let known = ["eth2", "import", "web3signer"].contains(&opt.level.name());
        assert_eq!(all.source(opt.key()), Source::Default);
        let is_set = all.text(opt.key()).is_some()
            || !all.list(opt.key()).is_empty()
            || all.number(opt.key()) != 0
            || matches!(opt.kind, Kind::Boolean | Kind::Switch);
        assert!(is_set || !known, "{}", opt.key());
    }
    assert!(all.flag("--slashing-protection-enabled"));
    assert!(all.idle.is_empty() && all.refused.is_empty());
}

#[test]
fn sources_have_their_order() {
    let file = "http-listen-port: 3\nmetrics-port: 3\nreload-timeout: 3\n";
    let environment = [
        ("WEB3SIGNER_HTTP_LISTEN_PORT", "2"),
        ("WEB3SIGNER_METRICS_PORT", "2"),
    ];
    let all = values(
        "--config-file=f --http-listen-port=1 eth2",
        &environment,
        Some(file),
    );
    let of = |key| (all.number(key), all.source(key));
    assert_eq!(of("--http-listen-port"), (1, Source::CommandLine));
    assert_eq!(of("--metrics-port"), (2, Source::Environment));
    assert_eq!(of("--reload-timeout"), (3, Source::File));
    assert_eq!(of("--idle-connection-timeout-seconds"), (30, Source::Default));
}

#[test]
fn every_name_works_in_every_source() {
    for name in ["--key-config-path", "--key-store-path"] {
        let bare = name.trim_start_matches('-');
        let variable = format!("WEB3SIGNER_{}", bare.replace('-', "_").to_uppercase());
        let file = format!("{bare}: /k\n");
        for all in [
            values(&format!("{name} /k eth2"), &[], None),
            values(&format!("{name}=/k eth2"), &[], None),
            values("eth2", &[(&variable, "/k")], None),
            values("--config-file=f eth2", &[], Some(&file)),
        ] {
            assert_eq!(all.text("--key-config-path"), Some("/k"));
        }
    }
    for line in [
        "-l debug eth2",
        "-ldebug eth2",
        "-l=debug eth2",
        "--logging=DEBUG eth2",
    ] {
        assert_eq!(values(line, &[], None).text("--logging"), Some("DEBUG"), "{line}");
    }
    let all = values(
        "eth2 watermark-repair",
        &[("WEB3SIGNER_ETH2_WATERMARK_REPAIR_EPOCH", "7")],
        None,
    );
    assert_eq!(all.unsigned("--epoch"), Some(7));
    let all = values("--config-file=f eth2 import", &[], Some("eth2.import.from: /i\n"));
    assert_eq!(all.text("--from"), Some("/i"));
}

#[test]
fn the_file_is_named_on_the_command_line_only() {
    let all = values("eth2", &[("WEB3SIGNER_CONFIG_FILE", "/etc/x")], None);
    assert_eq!(all.text("--config-file"), None);
    let missing = with("--config-file=/nowhere eth2", &[], None).unwrap_err();
    assert_eq!(
        missing.reason,
        "Unable to read yaml configuration. File not found: /nowhere"
    );
    let unknown = with("--config-file=f eth2", &[], Some("nonsense: 1\nb: 2\n")).unwrap_err();
    assert_eq!(
        unknown.reason,
        "Unknown options in yaml configuration file: b, nonsense"
    );
    let global = with(
        "--config-file=f eth2",
        &[],
        Some("slashing-protection-enabled: false\n"),
    )
    .unwrap_err();
    assert_eq!(
        global.reason,
        "Unknown option in yaml configuration file: slashing-protection-enabled"
    );
}

#[test]
fn a_switch_takes_no_word_and_a_boolean_must_have_one() {
    assert!(values("--metrics-enabled eth2", &[], None).flag("--metrics-enabled"));
    assert!(values("--metrics-enabled=TRUE eth2", &[], None).flag("--metrics-enabled"));
    assert!(!values("--metrics-enabled=false eth2", &[], None).flag("--metrics-enabled"));
    assert_eq!(
        reason("--metrics-enabled false eth2"),
        "Unmatched argument at index 1: 'false'"
    );
    assert_eq!(
        reason("eth2 --slashing-protection-enabled=maybe"),
        "Invalid value for option '--slashing-protection-enabled' (<BOOL>): 'maybe' is not a boolean"
    );
    assert!(
        !values("eth2 --slashing-protection-enabled false", &[], None).flag("--slashing-protection-enabled")
    );
}

#[test]
fn slips_of_the_pen_are_refused() {
    assert_eq!(
        reason("--http-listen-port eth2"),
        "Expected parameter for option '--http-listen-port' but found 'eth2'"
    );
    assert_eq!(
        reason("--metrics-port=1 --metrics-port=2 eth2"),
        "option '--metrics-port' (<PORT>) should be specified only once"
    );
    assert_eq!(
        reason("eth2 --http-listen-port=1"),
        "Unknown option: '--http-listen-port' (a global option: it stands before 'eth2')"
    );
    assert_eq!(reason("--a --b eth2"), "Unknown options: '--a', '--b'");
    assert!(reason("--http-listen-port=70000000000 eth2").ends_with("is not an int"));
    assert!(reason("--http-listen-port=-1 eth2").ends_with("-1 is less than 0"));
    assert!(reason("--signer-load-batch-size=99 eth2").ends_with("99 is less than 100"));
    assert!(reason("--logging-format=xml eth2").contains("expected one of [PLAIN, ECS"));
    assert_eq!(
        reason("--http-host-allowlist=a,,b eth2").rsplit(": ").next(),
        Some("an entry is empty")
    );
    assert_eq!(
        reason("eth2 import import"),
        "Unmatched argument at index 2: 'import'"
    );
}

#[test]
fn an_unknown_option_does_not_show_its_value() {
    let error = with("--slashing-protection-db-pasword=hunter2 eth2", &[], None).unwrap_err();
    let (stderr, stdout) = report(&error);
    assert!(
        !stderr.contains("hunter2") && !stdout.contains("hunter2"),
        "{stderr}{stdout}"
    );
    assert!(
        !format!(
            "{:?}",
            values("eth2 --slashing-protection-db-password=hunter2", &[], None)
        )
        .contains("hunter2")
    );
}

#[test]
fn lists_may_be_given_twice() {
    let all = values(
        "--http-host-allowlist=a,b --http-host-allowlist c eth2",
        &[],
        None,
    );
    assert_eq!(all.list("--http-host-allowlist"), ["a", "b", "c"]);
}

#[test]
fn help_and_version_are_there_at_every_level() {
    for (line, start) in [
        ("-V", "web3signer/v"),
        ("--version", "web3signer/v"),
        ("eth2 -V", "web3signer/v"),
        ("-h", "Usage:\n\nweb3signer [OPTIONS] [COMMAND]"),
        ("help", "Usage:\n\nweb3signer [OPTIONS]"),
        ("help eth2", "Usage:\n\nweb3signer eth2 [OPTIONS]"),
        ("eth2 --help", "Usage:\n\nweb3signer eth2 [OPTIONS]"),
        ("eth2 help import", "Usage:\n\nweb3signer eth2 import [OPTIONS]"),
        (
            "eth2 watermark-repair --help",
            "Usage:\n\nweb3signer eth2 watermark-repair",
        ),
    ] {
        let Request::Print(text) = with(line, &[], None).unwrap() else {
            panic!("{line} runs");
        };
        assert!(text.starts_with(start), "{line}: {text}");
    }
    assert_eq!(reason("help nonsense"), "Unknown subcommand 'nonsense'.");
}

#[test]
fn help_names_every_option_that_is_not_hidden() {
    for opt in table::all() {
        let listed = help::usage(opt.level).contains(&format!("  {}", opt.names.join(", ")));
        assert_eq!(listed, !opt.hidden, "{}", opt.key());
    }
    for line in Level::ALL
        .iter()
        .flat_map(|level| help::usage(*level).lines().map(str::to_owned).collect::<Vec<_>>())
    {
        assert!(line.len() <= 120, "{line}");
    }
}

#[test]
fn what_does_nothing_is_reported_and_what_is_refused_is_named() {
    let all = values(
        "--vertx-worker-pool-size=5 eth2 --azure-vault-enabled=true",
        &[],
        None,
    );
    assert_eq!(
        all.idle.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["--vertx-worker-pool-size"]
    );
    assert_eq!(
        all.refused.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["--azure-vault-enabled"]
    );
    assert!(
        values("eth2 --azure-vault-enabled=false", &[], None)
            .refused
            .is_empty()
    );
    let own = |opt: &&Opt| opt.effect == Effect::Own;
    assert!(table::all().filter(own).count() >= 8);
}

#[test]
fn no_command_line_panics() {
    let bits = [
        "",
        "-",
        "--",
        "-l",
        "=",
        "--=",
        "eth2",
        "import",
        "help",
        "-h",
        "--network",
        "--network=",
        "\u{e9}",
        "-\u{e9}x",
        "--x=y",
    ];
    let none = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    for a in bits {
        for b in bits {
            for c in bits {
                let line = [a, b, c].map(str::to_owned);
                if let Err(error) = read(&line, &BTreeMap::new(), &none) {
                    let (stderr, _) = report(&error);
                    assert!(stderr.starts_with("Error parsing parameters: "));
                }
            }
        }
    }
}

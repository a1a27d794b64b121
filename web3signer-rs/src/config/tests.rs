//! The rules between options.

use std::collections::BTreeMap;

use super::*;
use crate::cli::{Request, read};

fn config(line: &str) -> Result<Config, String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let none = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
    match read(&words, &BTreeMap::new(), &none).map_err(|e| e.reason)? {
        Request::Run(level, values) => Config::new(level, &values).map_err(|e| e.reason),
        Request::Print(text) => panic!("{line}: prints {text}"),
    }
}

fn off(global: &str, eth2: &str) -> Result<Config, String> {
    config(&format!(
        "{global} eth2 --slashing-protection-enabled=false {eth2}"
    ))
}

#[test]
fn the_defaults_are_upstreams() {
    let config = off("", "").unwrap();
    assert_eq!((config.http.host.as_str(), config.http.port), ("127.0.0.1", 9000));
    assert_eq!(config.http.idle, Duration::from_secs(30));
    assert_eq!(
        config.http.hosts,
        HostList::Names(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
    );
    assert_eq!(config.http.origins, Origins::List(Vec::new()));
    assert_eq!(config.keys.max_file_size, 104_857_600);
    assert_eq!(config.keys.config_path, PathBuf::from("./"));
    assert_eq!(config.reload_timeout, Duration::from_mins(30));
    assert_eq!(config.network.name, "mainnet");
    assert!(config.metrics.is_none() && config.tls.is_none() && config.slashing.is_none());
    assert!(config.key_manager.is_none() && !config.signing_extension && config.notes.is_empty());
}

#[test]
fn tls_has_a_rule_for_clients() {
    let keystore = "--tls-keystore-file=a --tls-keystore-password-file=b";
    let of = |rest: &str| off(&format!("{keystore} {rest}"), "");
    assert!(
        of("")
            .unwrap_err()
            .starts_with("--tls-known-clients-file must be specified if both")
    );
    assert_eq!(
        of("--tls-allow-any-client=true").unwrap().tls.unwrap().clients,
        Clients::Any
    );
    for rest in [
        "--tls-known-clients-file=k",
        "--tls-allow-ca-clients=true --tls-client-ca-file=c",
    ] {
        assert!(of(rest).unwrap().tls.unwrap().clients.are_known());
        let both = of(&format!("--tls-allow-any-client=true {rest}")).unwrap_err();
        assert!(
            both.starts_with("--tls-allow-any-client cannot be set to true"),
            "{both}"
        );
    }
    assert!(
        of("--tls-allow-ca-clients=true")
            .unwrap_err()
            .contains("--tls-client-ca-file")
    );
    for half in ["--tls-keystore-file=a", "--tls-keystore-password-file=a"] {
        assert!(
            off(half, "")
                .unwrap_err()
                .starts_with("--tls-keystore-file must be specified together")
        );
    }
    assert!(
        off("--tls-known-clients-file=k", "")
            .unwrap_err()
            .contains("no effect without")
    );
    assert!(
        off("", "--client-keys-file=m")
            .unwrap_err()
            .starts_with("--client-keys-file needs")
    );
    let both = format!("{keystore} --tls-known-clients-file=k");
    assert!(off(&both, "--client-keys-file=m").unwrap().client_keys.is_some());
}

#[test]
fn slashing_protection_has_exactly_one_store() {
    assert!(
        config("eth2")
            .unwrap_err()
            .starts_with("Missing slashing protection database url")
    );
    let store = |line: &str| config(&format!("eth2 {line}")).map(|c| c.slashing.unwrap().store.name());
    let dynamo = "--dynamodb-slashing-table-arn=arn --dynamodb-slashing-table-id=i --dynamodb-slashing-credential-file=f";
    assert_eq!(store("--slashing-protection-db-url=jdbc:x"), Ok("PostgreSQL"));
    assert_eq!(store(dynamo), Ok("DynamoDB"));
    assert_eq!(store("--memory-slashing-journal=/run/j"), Ok("memory"));
    assert!(
        store(&format!("{dynamo} --memory-slashing-journal=j"))
            .unwrap_err()
            .contains("DynamoDB and memory")
    );
    assert!(
        store("--dynamodb-slashing-table-arn=arn")
            .unwrap_err()
            .contains("together with")
    );
    assert!(
        store("--memory-slashing-journal=j --dynamodb-slashing-endpoint=e")
            .unwrap_err()
            .contains("no effect")
    );
    assert!(
        off("", "--slashing-protection-db-url=jdbc:x")
            .unwrap()
            .slashing
            .is_none()
    );
    assert!(
        off("", "--slashing-protection-pruning-interval=0")
            .unwrap_err()
            .starts_with("Pruning interval must be 1 or more. Value was 0.")
    );
}

#[test]
fn sub_commands_need_their_options_and_a_store() {
    let db = "eth2 --slashing-protection-db-url=jdbc:x";
    assert_eq!(
        config(&format!("{db} import")).unwrap_err(),
        "--from has not been specified"
    );
    assert_eq!(
        config(&format!("{db} export")).unwrap_err(),
        "--to has not been specified"
    );
    assert_eq!(
        config(&format!("{db} watermark-repair --epoch=1")).unwrap_err(),
        "--slot has not been specified"
    );
    config(&format!("{db} watermark-repair --remove-high-watermark=true")).unwrap();
    assert!(
        config(&format!(
            "{db} --slashing-protection-enabled=false import --from=f"
        ))
        .unwrap()
        .slashing
        .is_some()
    );
    assert_eq!(
        config("eth2 import --from=f").unwrap_err(),
        "--slashing-protection-db-url has not been specified"
    );
}

#[test]
fn what_is_not_implemented_is_refused_by_name() {
    for (line, name) in [
        ("--azure-vault-enabled=true", "--azure-vault-enabled"),
        ("--aws-secrets-enabled=true", "--aws-secrets-enabled"),
        ("--gcp-project-id=x", "--gcp-project-id"),
        (
            "--commit-boost-api-enabled=true --proxy-keystores-path=a --proxy-keystores-password-file=b",
            "--commit-boost-api-enabled",
        ),
    ] {
        let error = off("", line).unwrap_err();
        assert!(
            error.starts_with(&format!("Option '{name}' is not implemented: ")),
            "{error}"
        );
    }
    assert_eq!(
        off("", "--commit-boost-api-enabled=true --proxy-keystores-path=a").unwrap_err(),
        "Commit boost API is enabled, but --proxy-keystores-password-file not set"
    );
    assert!(
        off("--metrics-push-enabled=true", "")
            .unwrap_err()
            .contains("'--metrics-push-enabled' is not implemented")
    );
    assert!(
        off("--metrics-push-enabled=true --metrics-enabled=true", "")
            .unwrap_err()
            .contains("at the same time")
    );
    off("--metrics-push-enabled=false", "").unwrap();
}

#[test]
fn other_rules() {
    assert!(
        off("--http-listen-port=65536", "")
            .unwrap_err()
            .contains("is not a port")
    );
    assert!(
        off("--key-store-config-file-max-size=0", "")
            .unwrap_err()
            .contains("Expecting positive value")
    );
    assert!(
        off("--metrics-categories=HTTP,NONSENSE", "")
            .unwrap_err()
            .contains("'NONSENSE' not found")
    );
    assert!(
        off("", "--keystores-passwords-path=a --keystores-password-file=b")
            .unwrap_err()
            .starts_with("Only one of")
    );
    let config = off(
        "--vertx-worker-pool-size=9",
        "--Xnetwork-deneb-fork-epoch=5 --key-manager-api-enabled=true --Xkey-manager-skip-keystore-storage",
    )
    .unwrap();
    assert_eq!(config.network.epochs, [("deneb", 5)]);
    assert!(!config.key_manager.unwrap().store);
    assert_eq!(config.notes.len(), 1);
    assert!(
        config.notes[0].starts_with("--vertx-worker-pool-size has no effect: "),
        "{:?}",
        config.notes
    );
}

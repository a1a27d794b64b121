//! Golden text of a config, and what is no config.

use serde_json::{Value, json};

use super::*;

/// A config as an operator writes it: fields and lists in any order, digits in any case.
fn written() -> Value {
    json!({
        "stacks": ["FFFFFFFF-0000-4000-8000-00000000000A", "00000000-0000-4000-8000-000000000001"],
        "schema": 1,
        "region": "eu-central-1",
        "network": "mainnet",
        "kms_key_arn": "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "client_authentication": "known-clients",
        "slashing_store": { "table_arn": "arn:aws:dynamodb:eu-west-1:111122223333:table/slashing", "table_id": "12345678-0000-4000-8000-00000000000B", "kind": "dynamodb" },
        "outbound": [
            { "vsock_port": 8002, "port": 443, "name": "sts.eu-west-1.amazonaws.com" },
            { "vsock_port": 8001, "port": 443, "name": "dynamodb.eu-west-1.amazonaws.com" },
        ],
        "artefact_versions": { "tls_key": 1, "clients": 2, "slashing_credential": 0 },
    })
}

/// Also made with Python: `json.dumps(x, sort_keys=True, separators=(",", ":"))` of the sorted, lower-cased value.
const GOLDEN: &str = concat!(
    r#"{"artefact_versions":{"clients":2,"slashing_credential":0,"tls_key":1},"client_authentication":"known-clients","#,
    r#""kms_key_arn":"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab","network":"mainnet","#,
    r#""outbound":[{"name":"dynamodb.eu-west-1.amazonaws.com","port":443,"vsock_port":8001},"#,
    r#"{"name":"sts.eu-west-1.amazonaws.com","port":443,"vsock_port":8002}],"region":"eu-central-1","schema":1,"#,
    r#""slashing_store":{"kind":"dynamodb","table_arn":"arn:aws:dynamodb:eu-west-1:111122223333:table/slashing","table_id":"12345678-0000-4000-8000-00000000000b"},"#,
    r#""stacks":["00000000-0000-4000-8000-000000000001","ffffffff-0000-4000-8000-00000000000a"]}"#
);

fn read(value: &Value) -> Result<DeploymentConfig, String> {
    serde_json::from_value(value.clone()).map_err(|e| e.to_string())
}

fn with(path: &str, value: Value) -> Value {
    let mut config = written();
    *config.pointer_mut(path).unwrap() = value;
    config
}

#[test]
fn the_text_is_fixed_and_reads_back() {
    let config = read(&written()).unwrap();
    assert_eq!(config.canonical().unwrap(), GOLDEN);
    let again: DeploymentConfig = serde_json::from_str(GOLDEN).unwrap();
    assert_eq!(again, config);
    let sent = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<DeploymentConfig>(&sent).unwrap(), config);
}

#[test]
fn every_field_changes_the_text() {
    let uuid = json!(["00000000-0000-4000-8000-000000000002"]);
    let tunnel = json!([{ "name": "dynamodb.eu-west-1.amazonaws.com", "port": 443, "vsock_port": 8003 }]);
    for (path, value) in [
        ("/stacks", uuid),
        ("/network", json!("holesky")),
        (
            "/kms_key_arn",
            json!("arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ac"),
        ),
        ("/client_authentication", json!("client-ca")),
        ("/slashing_store", json!({ "kind": "memory" })),
        (
            "/slashing_store/table_arn",
            json!("arn:aws:dynamodb:eu-west-1:111122223333:table/slashing2"),
        ),
        ("/outbound", tunnel),
        ("/artefact_versions/tls_key", json!(2)),
        ("/artefact_versions/clients", json!(3)),
        ("/artefact_versions/slashing_credential", json!(1)),
    ] {
        let other = read(&with(path, value)).unwrap();
        assert_ne!(other.canonical().unwrap(), GOLDEN, "{path}");
    }
}

#[test]
fn a_field_more_or_less_is_refused() {
    for name in written().as_object().unwrap().keys() {
        let mut config = written();
        config.as_object_mut().unwrap().remove(name);
        assert_eq!(read(&config).unwrap_err(), format!("missing field `{name}`"));
    }
    for path in ["", "/slashing_store", "/outbound/0", "/artefact_versions"] {
        let mut config = written();
        config
            .pointer_mut(path)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .insert("x".to_owned(), json!(1));
        assert!(
            read(&config).unwrap_err().starts_with("unknown field `x`"),
            "{path}"
        );
    }
    let twice = GOLDEN.replacen('{', r#"{"schema":1,"#, 1);
    let error = serde_json::from_str::<DeploymentConfig>(&twice).unwrap_err();
    assert!(
        error.to_string().starts_with("duplicate field `schema`"),
        "{error}"
    );
    let twice = GOLDEN.replacen(r#"{"kind""#, r#"{"kind":"memory","kind""#, 1);
    let error = serde_json::from_str::<DeploymentConfig>(&twice).unwrap_err();
    assert!(error.to_string().starts_with("duplicate field `kind`"), "{error}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_wrong_value_is_named() {
    let uuid = "00000000-0000-4000-8000-000000000001";
    let tunnel = |name: &str, port: u32, vsock_port: u32| json!({ "name": name, "port": port, "vsock_port": vsock_port });
    let dynamodb = || tunnel("dynamodb.eu-west-1.amazonaws.com", 443, 8001);
    let many: Vec<Value> = (0..17).map(|n| tunnel("a.b", 1 + n, 20_000 + n)).collect();
    let postgres =
        |port: u16| json!({ "kind": "postgresql", "host": "db.example.com", "port": port, "database": "w" });
    for (path, value, expected) in [
        ("/schema", json!(2), "schema is 2, this version reads 1"),
        ("/stacks", json!([]), "stacks has 0 entries, expected 1 to 16"),
        (
            "/stacks",
            json!([uuid, uuid]),
            "stacks has 00000000-0000-4000-8000-000000000001 twice",
        ),
        (
            "/region",
            json!("eu-west-1"),
            "kms_key_arn is in region eu-central-1, region is eu-west-1",
        ),
        (
            "/outbound",
            json!(many),
            "outbound has 17 entries, expected 0 to 16",
        ),
        (
            "/outbound",
            json!([]),
            "slashing_store: no tunnel of outbound leads to dynamodb.eu-west-1.amazonaws.com:443",
        ),
        (
            "/outbound",
            json!([dynamodb(), tunnel("dynamodb.eu-west-1.amazonaws.com", 443, 8002)]),
            "outbound has dynamodb.eu-west-1.amazonaws.com:443 twice",
        ),
        (
            "/outbound",
            json!([dynamodb(), tunnel("a.b", 443, 8001)]),
            "outbound has vsock_port 8001 twice",
        ),
        (
            "/outbound",
            json!([tunnel("a.b", 0, 8001)]),
            "outbound: port is 0, expected 1 to 65535",
        ),
        (
            "/outbound",
            json!([tunnel("a.b", 1, 1023)]),
            "outbound: vsock_port 1023 is below 1024",
        ),
        (
            "/outbound",
            json!([tunnel("a.b", 1, 8000)]),
            "outbound: vsock_port 8000 is below 1024",
        ),
        (
            "/outbound",
            json!([tunnel("a.b", 1, 9002)]),
            "outbound: vsock_port 9002 is below 1024",
        ),
        (
            "/outbound",
            json!([tunnel("a.b", 1, u32::MAX)]),
            "outbound: vsock_port 4294967295 is below 1024",
        ),
        (
            "/slashing_store",
            postgres(5432),
            "slashing_store: no tunnel of outbound leads to db.example.com:5432",
        ),
        (
            "/slashing_store",
            postgres(0),
            "slashing_store: port is 0, expected 1 to 65535",
        ),
        (
            "/artefact_versions/clients",
            json!(MAX_NUMBER + 1),
            "artefact_versions: clients is above 9007199254740991",
        ),
        ("/network", json!("/etc/x"), "network: expected 1 to 32 of a-z"),
        ("/client_authentication", json!("any"), "unknown variant `any`"),
        ("/outbound/0/port", json!(65536), "invalid value: integer `65536`"),
    ] {
        let error = read(&with(path, value)).unwrap_err();
        assert!(error.starts_with(expected), "{path}: {error}");
    }
}

#[test]
fn endpoints_follow_the_partition() {
    let host = |arn: &str| dynamodb_host(&arn.parse().unwrap());
    assert_eq!(
        host("arn:aws:dynamodb:eu-west-1:111122223333:table/abc"),
        "dynamodb.eu-west-1.amazonaws.com"
    );
    assert_eq!(
        host("arn:aws-cn:dynamodb:cn-north-1:111122223333:table/abc"),
        "dynamodb.cn-north-1.amazonaws.com.cn"
    );
}

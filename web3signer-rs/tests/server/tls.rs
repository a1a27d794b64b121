//! The shared TLS cases, reloads of the list of clients, and the map of clients to keys.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::secure::{Identity, Secure, ask, client, identity};
use crate::support::{PUBLIC, SECRET, Server, data, key_folder, raw, raw_key, run};

const OFF: &[&str] = &["--slashing-protection-enabled=false"];

fn flags(keystore: &str, clients: &str) -> Vec<String> {
    vec![
        format!(
            "--tls-keystore-file={}",
            data(&format!("tls/{keystore}")).display()
        ),
        format!(
            "--tls-keystore-password-file={}",
            data("tls/server.password").display()
        ),
        clients.to_owned(),
    ]
}

fn start(keystore: &str, clients: &str, eth2: &[&str]) -> (Server, TempDir) {
    let keys = key_folder(&[raw_key(SECRET)]);
    let flags = flags(keystore, clients);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    (Server::start(keys.path(), &flags, eth2), keys)
}

fn known(path: &Path) -> String {
    format!("--tls-known-clients-file={}", path.display())
}

fn gets_in(server: &Server, config: &Arc<ClientConfig>) -> bool {
    ask(server.port, config, "GET", "/upcheck", b"").is_some_and(|answer| answer.status == 200)
}

const FORMS: [(&str, &str); 5] = [
    ("server_openssl3_default.p12", "server"),
    ("server_keytool.p12", "server_keytool"),
    ("server_3des_sha1.p12", "server"),
    ("server_openssl_legacy_rc2_3des.p12", "server"),
    ("server_ec_openssl3.p12", "server_ec"),
];

#[test]
fn every_form_of_key_store_serves_both_versions() {
    for (keystore, certificate) in FORMS {
        let (server, _keys) = start(keystore, "--tls-allow-any-client=true", OFF);
        for version in [&TLS12, &TLS13] {
            assert!(
                gets_in(&server, &client(certificate, None, &[version])),
                "{keystore}"
            );
        }
        let other = if certificate == "server" {
            "server_ec"
        } else {
            "server"
        };
        assert!(
            !gets_in(&server, &client(other, None, &[&TLS13])),
            "{keystore}: the client checks nothing"
        );
    }
}

#[test]
fn a_wrong_password_ends_with_one() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("password");
    fs::write(&wrong, "not it\n").unwrap();
    for (keystore, _) in FORMS {
        let mut flags = flags(keystore, "--tls-allow-any-client=true");
        flags[1] = format!("--tls-keystore-password-file={}", wrong.display());
        let words: Vec<&str> = flags
            .iter()
            .map(String::as_str)
            .chain(["--http-listen-port=0", "eth2"])
            .chain(OFF.iter().copied())
            .collect();
        let output = run(&words);
        assert_eq!(output.status.code(), Some(1), "{keystore}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("wrong password"),
            "{keystore}"
        );
    }
}

#[test]
fn the_shared_lists_of_clients() {
    let names = ["client1", "client2", "client1_other", "nocn"];
    for (file, accepted) in [
        ("known_clients.txt", &["client1"][..]),
        ("known_clients_mixed_form.txt", &["client1", "client2"]),
        ("known_clients_last_wins.txt", &["client1"]),
        ("known_clients_wrong_name.txt", &[]),
        ("known_clients_empty.txt", &[]),
    ] {
        let (server, _keys) = start(
            "server_openssl3_default.p12",
            &known(&data(&format!("tls/{file}"))),
            OFF,
        );
        for version in [&TLS12, &TLS13] {
            for name in names {
                let config = client("server", Some(&identity(name)), &[version]);
                assert_eq!(
                    gets_in(&server, &config),
                    accepted.contains(&name),
                    "{file}: {name}"
                );
            }
            assert!(
                !gets_in(&server, &client("server", None, &[version])),
                "{file}: no certificate"
            );
        }
    }
    for file in ["known_clients_bad_one_word.txt", "known_clients_bad_hex.txt"] {
        let flags = flags(
            "server_openssl3_default.p12",
            &known(&data(&format!("tls/{file}"))),
        );
        let words: Vec<&str> = flags
            .iter()
            .map(String::as_str)
            .chain(["--http-listen-port=0", "eth2"])
            .chain(OFF.iter().copied())
            .collect();
        let output = run(&words);
        assert_eq!(output.status.code(), Some(1), "{file}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("line"), "{file}");
    }
}

#[test]
fn a_list_that_is_not_there_is_made_and_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("clients");
    let (server, _keys) = start("server_openssl3_default.p12", &known(&list), OFF);
    assert_eq!(fs::read(&list).unwrap(), b"");
    assert!(!gets_in(
        &server,
        &client("server", Some(&identity("client1")), &[&TLS13])
    ));
}

#[test]
fn a_stolen_certificate_without_its_key_is_no_client() {
    let (server, _keys) = start(
        "server_openssl3_default.p12",
        &known(&data("tls/known_clients.txt")),
        OFF,
    );
    let (certificate, _) = identity("client1");
    let (_, other_key) = identity("client1_other");
    let config = client_with_any_key(&certificate, &other_key);
    assert!(!gets_in(&server, &config));
}

/// rustls itself refuses a key that does not fit its certificate, so a resolver hands both out unchecked.
fn client_with_any_key(
    certificate: &rustls::pki_types::CertificateDer<'static>,
    key: &rustls::pki_types::PrivateKeyDer<'static>,
) -> Arc<ClientConfig> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = provider.key_provider.load_private_key(key.clone_key()).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![certificate.clone()], key);
    let mut config = ClientConfig::clone(&client("server", None, &[&TLS13]));
    config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
    Arc::new(config)
}

#[test]
fn plain_http_is_refused_on_a_tls_port() {
    let (server, _keys) = start("server_openssl3_default.p12", "--tls-allow-any-client=true", OFF);
    assert!(raw(server.port, b"GET /upcheck HTTP/1.1\r\nHost: localhost\r\n\r\n").is_none());
    server.wait_for("TLS handshake with");
}

#[test]
fn an_old_certificate_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let openssl = |words: &[&str]| {
        let output = std::process::Command::new("openssl")
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    openssl(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=old",
        "-keyout",
        &path("old.key"),
        "-out",
        &path("old.csr"),
    ]);
    openssl(&[
        "x509",
        "-req",
        "-in",
        &path("old.csr"),
        "-signkey",
        &path("old.key"),
        "-days",
        "2",
        "-out",
        &path("old.crt"),
    ]);
    let old: Identity = (
        rustls::pki_types::CertificateDer::from_pem_file(path("old.crt")).unwrap(),
        rustls::pki_types::PrivateKeyDer::from_pem_file(path("old.key")).unwrap(),
    );
    let (server, _keys) = start(
        "server_openssl3_default.p12",
        &known(&data("tls/known_clients.txt")),
        OFF,
    );
    assert!(!gets_in(&server, &client_with_any_key(&old.0, &old.1)));
    server.wait_for("X.509 version 1");
}

#[test]
fn clients_of_a_ca_get_in_when_it_is_asked_for() {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let folder = tempfile::tempdir().unwrap();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "test CA");
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, ca_certificate.pem()).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name.push(DnType::CommonName, "vouched");
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let vouched: Identity = (leaf.der().clone(), key.into());

    let ca_flags = format!("--tls-client-ca-file={}", file.display());
    let keys = key_folder(&[raw_key(SECRET)]);
    let mut words = flags(
        "server_openssl3_default.p12",
        &known(&data("tls/known_clients.txt")),
    );
    words.extend(["--tls-allow-ca-clients=true".to_owned(), ca_flags]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let server = Server::start(keys.path(), &words, OFF);
    for version in [&TLS12, &TLS13] {
        assert!(gets_in(&server, &client("server", Some(&vouched), &[version])));
        assert!(gets_in(
            &server,
            &client("server", Some(&identity("client1")), &[version])
        ));
        assert!(!gets_in(
            &server,
            &client("server", Some(&identity("client2")), &[version])
        ));
    }
    let (without, _keys) = start(
        "server_openssl3_default.p12",
        &known(&data("tls/known_clients.txt")),
        OFF,
    );
    assert!(!gets_in(&without, &client("server", Some(&vouched), &[&TLS13])));
}

#[test]
fn a_reload_ends_connections_and_sessions_of_a_client_that_was_taken_off() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("clients");
    fs::copy(data("tls/known_clients_mixed_form.txt"), &list).unwrap();
    let (server, _keys) = start("server_openssl3_default.p12", &known(&list), OFF);
    for version in [&TLS12, &TLS13] {
        let one = client("server", Some(&identity("client1")), &[version]);
        let two = client("server", Some(&identity("client2")), &[version]);
        let mut first = Secure::connect(server.port, &one);
        let mut second = Secure::connect(server.port, &two);
        assert!(first.get("/upcheck").is_some() && second.get("/upcheck").is_some());
        let reloads = server.log().matches("reload is complete").count();
        fs::copy(data("tls/known_clients.txt"), &list).unwrap();
        server.signal("HUP");
        server.wait_for_count("reload is complete", reloads + 1);
        server.wait_for("the client is not welcome any more");
        assert!(
            first.get("/upcheck").is_some(),
            "a client that stayed lost its connection"
        );
        assert!(
            second.get("/upcheck").is_none(),
            "a client that was taken off kept its connection"
        );
        assert!(
            !gets_in(&server, &two),
            "a client that was taken off resumed its session"
        );
        assert!(gets_in(&server, &one));
        fs::copy(data("tls/known_clients_mixed_form.txt"), &list).unwrap();
        server.signal("HUP");
        server.wait_for_count("reload is complete", reloads + 2);
        assert!(gets_in(&server, &two));
    }
}

#[test]
fn a_reload_with_a_bad_list_keeps_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("clients");
    fs::copy(data("tls/known_clients.txt"), &list).unwrap();
    let (server, _keys) = start("server_openssl3_default.p12", &known(&list), OFF);
    fs::write(&list, "broken\n").unwrap();
    server.signal("HUP");
    server.wait_for("reload failed: known clients file");
    let one = client("server", Some(&identity("client1")), &[&TLS13]);
    assert!(gets_in(&server, &one));
    let status = ask(server.port, &one, "GET", "/reload", b"").unwrap().json();
    assert_eq!(status["status"], "failed");
}

#[test]
fn a_client_sees_and_uses_only_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.yaml");
    let one =
        "04:16:92:BF:B7:60:1F:B9:64:87:58:BB:D9:25:9A:93:CF:EC:82:B5:BF:67:D1:C6:02:6C:12:4E:09:EB:3C:09";
    let two = "4abd8d337f0f2f46da49dcc09555c68007e15051700b6e2d73238266b8a410d3";
    let write = |keys_of_two: &str| {
        let text = format!(
            "clients:\n- common_name: client1\n  fingerprint: {one}\n  keys: all\n- common_name: client2\n  fingerprint: {two}\n  keys: {keys_of_two}\n"
        );
        fs::write(&map, text).unwrap();
    };
    write("[]");
    let map_flag = format!("--client-keys-file={}", map.display());
    let (server, _keys) = start(
        "server_openssl3_default.p12",
        &known(&data("tls/known_clients_mixed_form.txt")),
        &[
            "--slashing-protection-enabled=false",
            &map_flag,
            "--key-manager-api-enabled=true",
        ],
    );
    let [first, second] =
        ["client1", "client2"].map(|name| client("server", Some(&identity(name)), &[&TLS13]));
    let list = |config| {
        ask(server.port, config, "GET", "/api/v1/eth2/publicKeys", b"")
            .unwrap()
            .json()
    };
    let body = br#"{"type":"VALIDATOR_REGISTRATION","validator_registration":{"fee_recipient":"0x6fdfab408c56b6105a76eff5c0435d09fc6ed7a9","gas_limit":"1","timestamp":"1","pubkey":"0x8f82597c919c056571a05dfe83e6a7d32acf9ad8931be04d11384e95468cd68b40129864ae12745f774654bbac09b057"}}"#;
    let sign = |config| {
        ask(
            server.port,
            config,
            "POST",
            &format!("/api/v1/eth2/sign/{PUBLIC}"),
            body,
        )
        .unwrap()
        .status
    };
    assert_eq!((list(&first), sign(&first)), (serde_json::json!([PUBLIC]), 200));
    assert_eq!((list(&second), sign(&second)), (serde_json::json!([]), 404));
    let listed = ask(server.port, &second, "GET", "/eth/v1/keystores", b"")
        .unwrap()
        .json();
    assert_eq!(listed, serde_json::json!({"data": []}));
    write(&format!("[{PUBLIC}]"));
    server.signal("HUP");
    server.wait_for("reload is complete");
    assert_eq!((list(&second), sign(&second)), (serde_json::json!([PUBLIC]), 200));
}

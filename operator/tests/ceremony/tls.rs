//! `tls` and `clients`: what is encrypted, what stands beside it in the open, and how versions go.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::artefact::{Kind, context};
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::support::{Deployment, PLANTED, STACK, items, put, stderr};

const HOST: &str = "ip-10-0-0-1.eu-central-1.compute.internal";

pub(crate) fn create<'a>(deployment: &'a Deployment, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["tls", "create", "--table", &deployment.tls, "--host", HOST];
    arguments.extend(more);
    arguments
}

pub(crate) fn item(deployment: &Deployment) -> Value {
    let mut all = items(&deployment.tls);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

pub(crate) fn plaintext(deployment: &Deployment, kind: Kind, column: &str) -> Value {
    let item = item(deployment);
    let stack = STACK.parse().unwrap();
    let ciphertext = item[column]["S"].as_str().unwrap();
    for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
        assert_eq!(deployment.decrypt(ciphertext, &context(&stack, other)), None);
    }
    deployment.decrypt(ciphertext, &context(&stack, kind)).unwrap()
}

/// The key and certificates of the PKCS#12 file inside.
fn unpacked(plain: &Value) -> (Vec<u8>, Vec<Vec<u8>>) {
    let part = |name: &str| STANDARD.decode(plain[name].as_str().unwrap()).unwrap();
    let password = String::from_utf8(part("tls_password_b64")).unwrap();
    assert_eq!(password.len(), 64);
    let store =
        KeyStore::from_pkcs12(&part("tls_keystore_b64"), &password, Pkcs12ImportPolicy::Strict).unwrap();
    let (_, chain) = store.private_key_chain().unwrap();
    (
        chain.key().as_der().to_vec(),
        chain.certs().iter().map(|c| c.as_der().to_vec()).collect(),
    )
}

pub(crate) fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn file(deployment: &Deployment, name: &str, content: impl AsRef<[u8]>) -> String {
    std::fs::write(deployment.path(name), content).unwrap();
    deployment.path(name).to_str().unwrap().to_owned()
}

#[test]
fn a_key_is_made_packed_and_written_with_its_certificate() {
    for kind in ["N", "S"] {
        let deployment = Deployment::with_key_id_type(kind);
        let out = deployment.path("cert.pem").to_str().unwrap().to_owned();
        let dry = deployment.ok(&create(&deployment, &["--dry-run", "--cert-out", &out]));
        assert_eq!(
            (&dry["dry_run"], &dry["version"]),
            (&json!(true), &json!(2)),
            "one above the config's least"
        );
        assert!(items(&deployment.tls).is_empty() && !deployment.path("cert.pem").exists());

        let written = deployment.ok(&create(
            &deployment,
            &[
                "--san",
                "10.0.0.1",
                "--san",
                "signer.example.org",
                "--cert-out",
                &out,
            ],
        ));
        let item = item(&deployment);
        let columns: Vec<&String> = item.as_object().unwrap().keys().collect();
        assert_eq!(
            columns,
            [
                "cert_pem",
                "encrypted_tls_key_b64",
                "key_id",
                "tls_key_version",
                "web3signer_uuid"
            ]
        );
        assert_eq!(item["key_id"], json!({ kind: "1" }));
        let pem = STANDARD.decode(item["cert_pem"]["S"].as_str().unwrap()).unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), pem);

        // An independent reader of both.
        let text = openssl(&[
            "x509",
            "-in",
            &out,
            "-noout",
            "-subject",
            "-ext",
            "subjectAltName,basicConstraints,extendedKeyUsage",
        ]);
        for expected in [
            &format!("CN = {HOST}"),
            &format!("DNS:{HOST}, IP Address:10.0.0.1, DNS:signer.example.org"),
            "TLS Web Server Authentication",
        ] {
            assert!(text.contains(expected), "{text}");
        }
        assert!(!text.contains("CA:TRUE"));
        openssl(&["x509", "-in", &out, "-noout", "-checkend", "34000000"]);
        let plain = plaintext(&deployment, Kind::TlsKey, "encrypted_tls_key_b64");
        let (key, chain) = unpacked(&plain);
        assert_eq!((&plain["version"], chain.len()), (&json!(2), 1));
        let key = KeyPair::try_from(key).unwrap();
        let p12 = deployment.path("x.p12").to_str().unwrap().to_owned();
        std::fs::write(
            &p12,
            STANDARD
                .decode(plain["tls_keystore_b64"].as_str().unwrap())
                .unwrap(),
        )
        .unwrap();
        let password = STANDARD
            .decode(plain["tls_password_b64"].as_str().unwrap())
            .unwrap();
        std::fs::write(deployment.path("x.pass"), password).unwrap();
        let pass = format!("file:{}", deployment.path("x.pass").display());
        let opened = openssl(&["pkcs12", "-in", &p12, "-passin", &pass, "-nodes"]);
        assert!(opened.contains("BEGIN PRIVATE KEY") && opened.contains(HOST));
        let public = openssl(&["x509", "-in", &out, "-noout", "-pubkey"]);
        assert_eq!(
            public.replace(['\r', '\n'], ""),
            key.public_key_pem().replace(['\r', '\n'], "")
        );
        assert_eq!(written["sha256"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn versions_only_rise_and_others_are_noticed() {
    let deployment = Deployment::new();
    deployment.ok(&create(&deployment, &[]));
    assert_eq!(deployment.ok(&create(&deployment, &[]))["version"], 3);
    assert_eq!(
        deployment.ok(&create(&deployment, &["--artefact-version", "9"]))["version"],
        9
    );
    for old in ["9", "3", "0"] {
        let words = deployment.refused(&create(&deployment, &["--artefact-version", old]));
        assert!(words.contains("is not above 9"), "{words}");
    }
    // What an enclave has seen counts, too.
    let seen = json!({"id": {"S": "artefact#tls-key"}, "layout": {"N": "1"}, "version": {"N": "20"}});
    put(&deployment.slashing, &seen);
    assert_eq!(deployment.ok(&create(&deployment, &[]))["version"], 21);
    assert_eq!(item(&deployment)["tls_key_version"]["N"], "21");
}

/// A chain for a request: openssl is the authority.
fn signed(deployment: &Deployment, csr: &str) -> String {
    let path = |name: &str| deployment.path(name).to_str().unwrap().to_owned();
    let (ca, ca_key, cert, ext) = (path("ca.pem"), path("ca.key"), path("cert.pem"), path("ext"));
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=ca",
        "-keyout",
        &ca_key,
        "-out",
        &ca,
    ]);
    std::fs::write(&ext, format!("subjectAltName=DNS:{HOST}\n")).unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        csr,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-CAcreateserial",
        "-days",
        "30",
        "-extfile",
        &ext,
        "-out",
        &cert,
    ]);
    let chain = format!(
        "{}{}",
        std::fs::read_to_string(&cert).unwrap(),
        std::fs::read_to_string(&ca).unwrap()
    );
    file(deployment, "chain.pem", chain)
}

#[test]
fn an_authority_signs_a_request_and_the_chain_is_imported() {
    let deployment = Deployment::new();
    let path = |name: &str| deployment.path(name).to_str().unwrap().to_owned();
    let (key, csr) = (path("key.pem"), path("csr.pem"));
    deployment.ok(&[
        "tls",
        "request",
        "--host",
        HOST,
        "--san",
        "10.0.0.1",
        "--key-out",
        &key,
        "--csr-out",
        &csr,
    ]);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let words = deployment.refused(&[
        "tls",
        "request",
        "--host",
        HOST,
        "--key-out",
        &key,
        "--csr-out",
        &csr,
    ]);
    assert!(words.contains("cannot make"), "nothing is overwritten: {words}");

    let chain = signed(&deployment, &csr);
    deployment.ok(&[
        "tls",
        "import",
        "--table",
        &deployment.tls,
        "--host",
        HOST,
        "--key",
        &key,
        "--cert",
        &chain,
    ]);
    let (_, certificates) = unpacked(&plaintext(&deployment, Kind::TlsKey, "encrypted_tls_key_b64"));
    assert_eq!(certificates.len(), 2);

    // Another key with the certificate.
    let other = file(
        &deployment,
        "other.pem",
        KeyPair::generate().unwrap().serialize_pem(),
    );
    let words = deployment.refused(&[
        "tls",
        "import",
        "--table",
        &deployment.tls,
        "--host",
        HOST,
        "--key",
        &other,
        "--cert",
        &chain,
    ]);
    assert!(words.contains("not that of the first certificate"), "{words}");
    assert_eq!(item(&deployment)["tls_key_version"]["N"], "2");
    from_pkcs12(&deployment, &key, &chain);
}

/// The same key as PKCS#12, by openssl.
fn from_pkcs12(deployment: &Deployment, key: &str, chain: &str) {
    let p12 = deployment.path("all.p12").to_str().unwrap().to_owned();
    let password = file(deployment, "password", format!("{PLANTED}\n"));
    let out = format!("file:{password}");
    openssl(&[
        "pkcs12", "-export", "-inkey", key, "-in", chain, "-passout", &out, "-out", &p12,
    ]);
    let import = |host: &str, password: &str| {
        let table = ["tls", "import", "--table", &deployment.tls];
        let source = ["--host", host, "--pkcs12", &p12, "--password-file", password];
        deployment.run(&[&table[..], &source].concat())
    };
    assert_eq!(import(HOST, &password).status.code(), Some(0));
    let wrong = file(deployment, "wrong", "wrong");
    for (host, password, expected) in [
        ("other.example.org", password.as_str(), "is for"),
        (HOST, wrong.as_str(), "wrong password"),
    ] {
        let output = import(host, password);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    assert_eq!(item(deployment)["tls_key_version"]["N"], "3");
}

#[test]
fn names_that_no_certificate_has_are_refused() {
    let deployment = Deployment::new();
    let long = "a".repeat(64);
    let long = format!("{long}.org");
    for (host, san) in [
        ("a b", "x"),
        ("", "x"),
        ("h", "-_-"),
        (&*long, "x"),
        ("h", "a..b"),
    ] {
        let (host, san) = (format!("--host={host}"), format!("--san={san}"));
        deployment.refused(&["tls", "create", "--table", &deployment.tls, &host, &san]);
    }
    assert!(items(&deployment.tls).is_empty());
}

//! `tls` and `clients`: what is encrypted, what stands beside it in the open, and how versions go.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::artefact::{Kind, context};
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData as _,
};
use serde_json::{Value, json};

use crate::support::{Deployment, PLANTED, STACK, items, put, stderr};

const HOST: &str = "ip-10-0-0-1.eu-central-1.compute.internal";

fn create<'a>(deployment: &'a Deployment, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["tls", "create", "--table", &deployment.tls, "--host", HOST];
    arguments.extend(more);
    arguments
}

fn item(deployment: &Deployment) -> Value {
    let mut all = items(&deployment.tls);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn plaintext(deployment: &Deployment, kind: Kind, column: &str) -> Value {
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

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn file(deployment: &Deployment, name: &str, content: impl AsRef<[u8]>) -> String {
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

fn client(deployment: &Deployment, name: &str) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let path: PathBuf = deployment.path(&format!("client-{}.pem", name.len()));
    std::fs::write(&path, certificate.pem()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let printed = openssl(&["x509", "-in", &path, "-noout", "-fingerprint", "-sha256"]);
    let sha256 = printed
        .trim()
        .rsplit('=')
        .next()
        .unwrap()
        .replace(':', "")
        .to_lowercase();
    (path, sha256)
}

#[test]
fn clients_are_a_whole_list_with_a_version() {
    let deployment = Deployment::new();
    let (one, first) = client(&deployment, "lighthouse");
    let (two, second) = client(&deployment, "teku");
    let set = [
        "clients",
        "set",
        "--table",
        &deployment.tls,
        "--client",
        &one,
        "--client",
        &two,
    ];
    assert!(deployment.refused(&set).contains("no TLS key yet"));
    deployment.ok(&create(&deployment, &[]));
    deployment.ok(&set);
    assert_eq!(
        plaintext(&deployment, Kind::Clients, "encrypted_clients_b64"),
        json!({"version": 1, "known_clients": [
            {"name": "lighthouse", "sha256": first}, {"name": "teku", "sha256": second}]})
    );
    let list = deployment.ok(&["clients", "set", "--table", &deployment.tls, "--client", &two]);
    assert_eq!(
        (
            &list["clients"]["version"],
            list["clients"]["known_clients"].as_array().unwrap().len()
        ),
        (&json!(2), 1)
    );
    assert!(
        item(&deployment).get("encrypted_tls_key_b64").is_some(),
        "the rest of the item stays"
    );

    let (again, _) = client(&deployment, "lighthouse");
    let copy = file(&deployment, "copy.pem", std::fs::read(&one).unwrap());
    client(&deployment, "lighthouse");
    assert!(
        deployment
            .refused(&[
                "clients",
                "set",
                "--table",
                &deployment.tls,
                "--client",
                &again,
                "--client",
                &copy
            ])
            .contains("lighthouse")
    );
    for (name, expected) in [
        ("two words", "spaces"),
        ("#comment", "spaces"),
        ("nitro-web3signer-health", "kept for"),
    ] {
        let (bad, _) = client(&deployment, name);
        let words = deployment.refused(&["clients", "set", "--table", &deployment.tls, "--client", &bad]);
        assert!(words.contains(expected), "{words}");
    }
    let words = deployment.refused(&["clients", "set", "--table", &deployment.tls, "--ca", &one]);
    assert!(words.contains("not the certificate of an authority"), "{words}");
}

#[test]
fn an_authority_of_clients_must_be_one_and_wanted() {
    let deployment = Deployment::new();
    deployment.ok(&create(&deployment, &[]));
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let path = file(&deployment, "clients-ca.pem", ca.pem());
    let set = ["clients", "set", "--table", &deployment.tls, "--ca", &path];
    assert!(deployment.refused(&set).contains("--client and no --ca"));
    let mut config = deployment.config.clone();
    config["client_authentication"] = json!("client-ca");
    deployment.write_config(&config);
    deployment.ok(&set);
    let plain = plaintext(&deployment, Kind::Clients, "encrypted_clients_b64");
    let pem = plain["ca_pem"].as_str().unwrap();
    let stored = rustls_pki_types::pem::PemObject::from_pem_slice(pem.as_bytes());
    let stored: rustls_pki_types::CertificateDer<'_> = stored.unwrap();
    assert_eq!(&*stored, &**ca.der());
    assert_eq!(plain.as_object().unwrap().len(), 2);
    assert!(!ca.key().der_bytes().is_empty());
}

#[test]
fn too_many_clients_for_kms_are_refused_with_advice() {
    let deployment = Deployment::new();
    deployment.ok(&create(&deployment, &[]));
    let mut pem = String::new();
    for number in 0..60 {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("client-{number}"));
        pem.push_str(&params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem());
    }
    let path = file(&deployment, "many.pem", pem);
    let words = deployment.refused(&["clients", "set", "--table", &deployment.tls, "--client", &path]);
    assert!(words.contains("4096") && words.contains("--ca"), "{words}");
}

#[test]
fn a_credential_is_taken_in_both_forms_and_not_shown() {
    let deployment = Deployment::new();
    deployment.ok(&create(&deployment, &[]));
    let created = json!({"AccessKey": {"UserName": "store", "AccessKeyId": "AKIASTORE", "Status": "Active",
        "SecretAccessKey": format!("{PLANTED}/+"), "CreateDate": "2026-01-01T00:00:00Z"}});
    let path = file(&deployment, "created.json", created.to_string());
    let written = deployment.ok(&[
        "slashing",
        "credential",
        "set",
        "--table",
        &deployment.tls,
        "--file",
        &path,
    ]);
    assert_eq!(
        (&written["version"], &written["name"]),
        (&json!(1), &json!("AKIASTORE"))
    );
    let column = "encrypted_slashing_credential_b64";
    let secret = format!("{PLANTED}/+");
    let expected = json!({"version": 1, "access_key_id": "AKIASTORE", "secret_access_key": secret});
    assert_eq!(plaintext(&deployment, Kind::SlashingCredential, column), expected);

    let plain = json!({"access_key_id": "A2", "secret_access_key": secret, "session_token": "t", "expiration": "2030-01-01T00:00:00Z"});
    let path = file(&deployment, "plain.json", plain.to_string());
    deployment.ok(&[
        "slashing",
        "credential",
        "set",
        "--table",
        &deployment.tls,
        "--file",
        &path,
    ]);
    assert_eq!(
        plaintext(&deployment, Kind::SlashingCredential, column)["session_token"],
        "t"
    );
    for bad in [
        json!({}),
        json!({"access_key_id": "A", "secret_access_key": format!("{PLANTED} ")}),
        json!([PLANTED]),
    ] {
        let path = file(&deployment, "bad.json", bad.to_string());
        deployment.refused(&[
            "slashing",
            "credential",
            "set",
            "--table",
            &deployment.tls,
            "--file",
            &path,
        ]);
    }
    assert_eq!(item(&deployment)["slashing_credential_version"]["N"], "2");
}

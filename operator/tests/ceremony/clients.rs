//! `clients` and `slashing credential`: whole lists, with versions, beside the TLS key.

use std::path::PathBuf;

use control::artefact::Kind;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData as _,
};
use serde_json::json;

use crate::support::{Deployment, PLANTED};
use crate::tls::{create, file, item, openssl, plaintext};

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

#[test]
fn a_database_has_a_credential_of_its_own_form() {
    let deployment = Deployment::new();
    deployment.ok(&create(&deployment, &[]));
    let mut config = deployment.config.clone();
    let store =
        json!({"kind": "postgresql", "host": "db.example.org", "port": 5432, "database": "web3signer"});
    config["slashing_store"] = store.clone();
    config["outbound"] = json!([{"name": "db.example.org", "port": 5432, "vsock_port": 8001}]);
    deployment.write_config(&config);
    let params = CertificateParams::new(Vec::new()).unwrap();
    let ca_pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let login = json!({"username": "signer", "password": format!("{PLANTED} \"quoted\""), "ca_pem": ca_pem});
    let path = file(&deployment, "login.json", login.to_string());
    let set = [
        "slashing",
        "credential",
        "set",
        "--table",
        &deployment.tls,
        "--file",
        &path,
    ];
    assert_eq!(deployment.ok(&set)["name"], "signer");
    let plain = plaintext(
        &deployment,
        Kind::SlashingCredential,
        "encrypted_slashing_credential_b64",
    );
    assert_eq!(plain, json!({"version": 1, "postgresql": login}));
    let store = serde_json::from_value(store).unwrap();
    let read = provision::payload::store::store(plain.to_string().as_bytes(), &store).unwrap();
    assert_eq!(read.version, 1);
    // The form of the other store, and a login without authority.
    let mut bare = login;
    bare["ca_pem"] = json!("");
    for bad in [json!({"access_key_id": "A", "secret_access_key": PLANTED}), bare] {
        file(&deployment, "login.json", bad.to_string());
        let words = deployment.refused(&set);
        assert!(words.contains("username, password and ca_pem"), "{words}");
    }
}

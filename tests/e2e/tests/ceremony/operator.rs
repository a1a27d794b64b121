//! The operator at a trusted machine: `nitro-operator`, with a profile of AWS that may encrypt and write, and no more.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e::service::artefacts::{Certificate, SERVER, Validator};
use e2e::service::dynamodb::DynamoDb;
use e2e::service::kms::{Kms, LOADER};
use e2e::service::moto::Moto;
use e2e::{place, said, top};
use keystore::Kdf;
use serde_json::{Value, json};

/// In every password and credential here.
pub(crate) const PLANTED: &str = "planted-by-the-operator";

/// The operator, with a folder of files.
pub(crate) struct Operator<'a> {
    dir: tempfile::TempDir,
    kms_endpoint: String,
    dynamodb_endpoint: String,
    moto: &'a Moto,
}

impl<'a> Operator<'a> {
    pub(crate) fn new(config: &Value, kms: &Kms, dynamodb: &DynamoDb, moto: &'a Moto) -> Self {
        let operator = Self {
            dir: tempfile::tempdir().unwrap(),
            kms_endpoint: format!("https://localhost:{}", kms.address().port()),
            dynamodb_endpoint: dynamodb.endpoint(),
            moto,
        };
        operator.write("config.json", &config.to_string());
        let [id, secret, token] = LOADER;
        operator.write(
            ".aws/credentials",
            &format!(
                "[loader]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\naws_session_token = {token}\n"
            ),
        );
        operator
    }

    /// A file of the operator.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Runs the program, demands success and reads its result.
    pub(crate) fn run(&self, words: &[&str]) -> Value {
        let output = Command::new(place("NITRO_OPERATOR"))
            .args(["--json", "--profile", "loader", "--config"])
            .arg(self.path("config.json"))
            .args(["--kms-endpoint", &self.kms_endpoint])
            .args(["--dynamodb-endpoint", &self.dynamodb_endpoint])
            .args(words)
            .env_clear()
            .env("HOME", self.dir.path())
            // Both services show certificates of this authority.
            .env("SSL_CERT_FILE", top().join("tests/e2e/data/kms-ca/ca.pem"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = said(&output);
        assert!(!text.contains(PLANTED), "{words:?} says a secret");
        assert!(output.status.success(), "{words:?}: {text}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{words:?}: {e}: {text}"))
    }

    /// The signer's TLS key, for whom it is, and how it reaches its slashing store. The certificate goes to `signer_pem`.
    pub(crate) fn prepares_the_signer(&self, client: &Certificate, signer_pem: &Path) {
        let table = ["--table", &self.moto.tls];
        let out = signer_pem.to_str().unwrap();
        self.run(
            &[
                &["tls", "create", "--host", SERVER, "--cert-out", out],
                &table[..],
            ]
            .concat(),
        );
        let client = self.write("client.pem", &client.pem);
        self.run(&[&["clients", "set", "--client", &client], &table[..]].concat());
        let key = json!({ "AccessKey": { "UserName": "store", "AccessKeyId": "AKIASTORE",
            "SecretAccessKey": format!("{PLANTED}/store"), "Status": "Active", "CreateDate": "2026-01-01T00:00:00Z" } });
        let key = self.write("store.json", &key.to_string());
        self.run(&[&["slashing", "credential", "set", "--file", &key], &table[..]].concat());
    }

    /// Records: the first key has a history, the others have none.
    pub(crate) fn makes_records(&self, history: &Value, never_signed: &[&Validator]) {
        let history = self.write("history.json", &history.to_string());
        let mut words = vec!["slashing", "init", &history];
        for validator in never_signed {
            words.extend(["--never-signed", &validator.public]);
        }
        self.run(&words);
    }

    /// Keystores with their passwords beside them.
    pub(crate) fn loads(&self, validators: &[&Validator], more: &[&str]) {
        let folder = self.path(&format!("keys-{}", validators[0].public));
        for (number, validator) in validators.iter().enumerate() {
            let password = format!("{PLANTED} {number}");
            let name = folder.join(format!("keystore-m_12381_3600_{number}_0_0.json"));
            let keystore = validator.keystore(&password, Kdf::Pbkdf2 { c: 1024 });
            self.write(name.to_str().unwrap(), &keystore);
            self.write(name.with_extension("txt").to_str().unwrap(), &password);
        }
        let words = [
            "keys",
            "load",
            "--table",
            &self.moto.validators,
            folder.to_str().unwrap(),
        ];
        self.run(&[&words[..], more].concat());
    }

    pub(crate) fn deactivates(&self, validator: &Validator) {
        self.run(&[
            "keys",
            "deactivate",
            "--table",
            &self.moto.validators,
            &validator.public,
        ]);
    }

    /// What is on record.
    pub(crate) fn exports(&self) -> Value {
        let out = self.path("export.json");
        self.run(&["slashing", "export", "--out", out.to_str().unwrap()]);
        serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap()
    }
}

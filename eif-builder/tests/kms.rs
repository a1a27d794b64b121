//! `sign` with a key in a KMS that nobody here wrote: moto, started by `scripts/with-stores.sh`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test; where the server is comes from the script"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::types::{KeySpec, KeyUsageType};
use aws_sdk_kms::{Client, Config};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use eif::{Architecture, BuildInfo, Metadata};
use eif_builder::assemble::{Assembly, assemble};
use eif_builder::cpio_read::Budget;
use eif_builder::verify::{Outcome, Parameters, verify};
use rcgen::{CertificateParams, Issuer, KeyPair, PKCS_ECDSA_P384_SHA384, PublicKeyData, SignatureAlgorithm};

fn endpoint() -> String {
    std::env::var("NITRO_TEST_DYNAMODB").unwrap_or_else(|_| {
        panic!("NITRO_TEST_DYNAMODB is not set: run scripts/with-stores.sh cargo test --package eif-builder")
    })
}

/// Makes a key of this kind; its ARN and public key (DER).
fn make_key(spec: KeySpec) -> (String, Vec<u8>) {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let config = Config::builder()
        .http_client(http)
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint())
        .credentials_provider(Credentials::new(
            "AKIDEXAMPLE",
            "not-a-secret",
            None,
            None,
            "test",
        ))
        .build();
    let client = Client::from_conf(config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let request = client
            .create_key()
            .key_spec(spec)
            .key_usage(KeyUsageType::SignVerify);
        let key = request.send().await.unwrap().key_metadata.unwrap();
        let public = client.get_public_key().key_id(&key.key_id).send().await.unwrap();
        (key.arn.unwrap(), public.public_key.unwrap().into_inner())
    })
}

/// The point of a P-384 key: the last 97 bytes of its `SubjectPublicKeyInfo`.
struct Point(Vec<u8>);

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P384_SHA384
    }
}

/// A certificate for a key that only KMS has, issued by a key that is thrown away.
fn certificate(public_key: &[u8]) -> String {
    let issuer_key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2090, 1, 1);
    let issuer = Issuer::new(params.clone(), issuer_key);
    let subject = Point(public_key.last_chunk::<97>().unwrap().to_vec());
    params.signed_by(&subject, &issuer).unwrap().pem()
}

fn image(dir: &Path) {
    let file = |name: &str| {
        let path = dir.join(name);
        fs::write(&path, name).unwrap();
        path
    };
    let text = |text: &str| text.to_owned();
    let assembly = Assembly {
        kernel: file("kernel"),
        cmdline: text("quiet"),
        ramdisks: vec![file("ramdisk")],
        output: dir.join("a.eif"),
        architecture: Architecture::X86_64,
        default_mem: 1 << 30,
        default_cpus: 2,
        metadata: Metadata {
            image_name: text("image"),
            image_version: text("1"),
            build: BuildInfo {
                build_time: text("1970-01-01T00:00:00Z"),
                build_tool: text("test"),
                build_tool_version: text("0"),
                operating_system: text("Linux"),
                kernel_version: text("6.12"),
            },
            docker_info: serde_json::Value::Null,
            custom: serde_json::Value::Null,
        },
        signature: None,
    };
    assemble(&assembly).unwrap();
}

fn sign(dir: &Path, arn: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eif-builder"))
        .args([
            "sign",
            "a.eif",
            "--signing-certificate",
            "c.pem",
            "--signing-key",
            arn,
            "--kms-endpoint",
        ])
        .arg(endpoint())
        .current_dir(dir)
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap()
}

#[test]
fn an_image_signed_in_kms_verifies() {
    let dir = tempfile::tempdir().unwrap();
    image(dir.path());
    let (arn, public_key) = make_key(KeySpec::EccNistP384);
    fs::write(dir.path().join("c.pem"), certificate(&public_key)).unwrap();
    let output = sign(dir.path(), &arn);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let parameters = Parameters {
        published: None,
        at: "2026-06-01T00:00:00Z".parse().unwrap(),
        budget: Budget::default(),
    };
    let report = verify(&dir.path().join("a.eif"), &parameters).unwrap();
    for name in ["signature", "certificate", "crc"] {
        let check = report.check(name).unwrap();
        assert_eq!(check.outcome, Outcome::Ok, "{report}");
    }
}

#[test]
fn another_kind_of_key_or_none_leaves_the_image_unsigned() {
    let dir = tempfile::tempdir().unwrap();
    image(dir.path());
    let unsigned = fs::read(dir.path().join("a.eif")).unwrap();
    let (right, public_key) = make_key(KeySpec::EccNistP384);
    fs::write(dir.path().join("c.pem"), certificate(&public_key)).unwrap();
    let (small, _) = make_key(KeySpec::EccNistP256);
    let (other, _) = make_key(KeySpec::EccNistP384);
    let gone = right.rsplit_once('/').unwrap().0.to_owned() + "/00000000-0000-0000-0000-000000000000";
    for (arn, word) in [
        // moto tells no kind of key; AWS does, and then that is the reason.
        (small, "is not that of the certificate"),
        (other, "is not that of the certificate"),
        (gone, "KMS GetPublicKey failed: NotFoundException"),
    ] {
        let output = sign(dir.path(), &arn);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(word), "{word}: {text}");
        assert!(fs::read(dir.path().join("a.eif")).unwrap() == unsigned);
    }
}

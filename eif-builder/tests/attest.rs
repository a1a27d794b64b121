//! The `attest` command on the samples of `crates/attest`: verdicts, the text that explains them, usage errors.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use std::path::PathBuf;

use attest::UnixMs;
use eif_builder::attest::{EXIT_REFUSED, Report, UsageError, VerifyParameters, show, verify};
use eif_builder::verdict::Outcome;
use serde_json::{Value, json};

const PRODUCTION: &str = "nitro/valid/anjuna_prod_2021_rsa2048_pubkey.cbor";
const PRODUCTION_MS: UnixMs = UnixMs::new(1_616_602_241_734);
const DEBUG: &str = "nitro/valid/anjuna_debug_2024_all_optionals.cbor";
const DEBUG_MS: UnixMs = UnixMs::new(1_706_120_065_635);

fn sample(file: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../crates/attest/tests/data");
    std::fs::read(folder.join(file)).unwrap()
}

fn judge(file: &str, parameters: &VerifyParameters, now: UnixMs) -> Report {
    verify(&sample(file), parameters, now).unwrap()
}

/// The measurements of the production sample, as `nitro-cli` would print them.
fn measurements() -> Value {
    let claims = serde_json::to_value(show(&sample(PRODUCTION)).unwrap()).unwrap();
    let pcr = |name: &str| claims["pcrs"][name].clone();
    json!({ "Measurements": {
        "HashAlgorithm": "Sha384 { ... }", "PCR0": pcr("PCR0"), "PCR1": pcr("PCR1"), "PCR2": pcr("PCR2")
    }})
}

fn outcomes(report: &Report) -> Vec<Outcome> {
    report.checks.iter().map(|check| check.outcome).collect()
}

#[test]
fn a_production_document_with_everything_demanded() {
    let parameters = VerifyParameters {
        pcrs: Some(measurements().to_string().into_bytes()),
        max_age: Some("5m".into()),
        ..VerifyParameters::default()
    };
    let now = UnixMs::new(PRODUCTION_MS.as_millis() + 60_000);
    let report = judge(PRODUCTION, &parameters, now);
    assert!(report.verified, "{report}");
    assert_eq!(report.exit_code(), 0);
    assert_eq!(outcomes(&report), [Outcome::Ok; 5]);
    assert_eq!(report.caveats, [""; 0]);
    let text = report.to_string();
    for line in [
        "VERIFIED",
        "  at    2021-03-24T16:11:41.734Z",
        "  root  SHA-256 641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b",
        "  signature  ok           the payload is signed by the key of the last certificate",
        "  policy     ok           not in debug mode; PCR0 as expected; PCR1 as expected; PCR2 as expected; at most 5m old",
        "claims (proven by the signature)",
        "  module id    i-0a6d65e7122308898-enc017846bcd2f820da",
        "  mode         production",
        "  nonce        absent",
        "  PCR5         zero",
        "  cabundle[0]  CN=aws.nitro-enclaves,OU=AWS,O=Amazon,C=US, 2019-10-28T13:28:05.000Z to 2049-10-28T14:28:05.000Z",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no line {line:?} in\n{text}"
        );
    }
}

#[test]
fn what_was_not_demanded_is_said() {
    let report = judge(PRODUCTION, &VerifyParameters::default(), PRODUCTION_MS);
    assert!(report.verified);
    assert_eq!(report.caveats.len(), 2, "{report}");
    let text = report.to_string();
    assert!(
        text.contains("any image passes") && text.contains("may be a replay"),
        "{text}"
    );

    let parameters = VerifyParameters {
        at: Some("document".into()),
        ..VerifyParameters::default()
    };
    // The clock plays no part then, else the certificates would have expired.
    let report = judge(PRODUCTION, &parameters, UnixMs::new(2_000_000_000_000));
    assert!(report.verified);
    assert!(
        report
            .to_string()
            .contains("genuine then, nothing said about now"),
        "{report}"
    );
}

#[test]
fn an_expired_document_is_refused_and_the_chain_named() {
    let now = UnixMs::new(2_000_000_000_000);
    let report = judge(PRODUCTION, &VerifyParameters::default(), now);
    assert_eq!((report.verified, report.exit_code()), (false, EXIT_REFUSED));
    let expected = [
        Outcome::Ok,
        Outcome::Ok,
        Outcome::Failed,
        Outcome::NotReached,
        Outcome::NotReached,
    ];
    assert_eq!(outcomes(&report), expected);
    let text = report.to_string();
    assert!(text.starts_with("REFUSED\n"), "{text}");
    assert!(
        text.contains(
            "chain      FAILED       the certificate chain does not hold: cabundle[1] is valid from"
        ),
        "{text}"
    );
    assert!(
        text.contains("claims (NOT VERIFIED, anyone can write these)"),
        "{text}"
    );

    let parameters = VerifyParameters {
        at: Some("2021-03-24T16:10:41Z".into()),
        ..VerifyParameters::default()
    };
    assert!(judge(PRODUCTION, &parameters, now).verified);
}

#[test]
fn debug_mode_is_refused_unless_admitted_and_then_shouted() {
    let report = judge(DEBUG, &VerifyParameters::default(), DEBUG_MS);
    let last = report.checks.last().unwrap();
    assert_eq!((report.verified, last.outcome), (false, Outcome::Failed));
    assert!(last.detail.contains("debug mode"), "{report}");

    let parameters = VerifyParameters {
        danger_admit_debug: true,
        ..VerifyParameters::default()
    };
    let report = judge(DEBUG, &parameters, DEBUG_MS);
    assert!(report.verified, "{report}");
    assert!(report.to_string().contains("  DEBUG MODE: "), "{report}");
    // A production document that was admitted in the same way is none.
    assert!(
        !judge(PRODUCTION, &parameters, PRODUCTION_MS)
            .to_string()
            .contains("DEBUG")
    );
}

#[test]
fn nonce_and_measurements_are_compared() {
    let with_nonce = |nonce: &str| VerifyParameters {
        nonce: Some(nonce.into()),
        danger_admit_debug: true,
        ..VerifyParameters::default()
    };
    assert!(judge(DEBUG, &with_nonce(&hex::encode("Nonce\n")), DEBUG_MS).verified);
    let report = judge(DEBUG, &with_nonce("00"), DEBUG_MS);
    assert!(
        report
            .to_string()
            .contains("the nonce is 4e6f6e63650a, expected 00"),
        "{report}"
    );

    let mut other = measurements();
    other["Measurements"]["PCR1"] = json!("ab".repeat(48));
    let parameters = VerifyParameters {
        pcrs: Some(other.to_string().into_bytes()),
        ..VerifyParameters::default()
    };
    let report = judge(PRODUCTION, &parameters, PRODUCTION_MS);
    assert_eq!(report.exit_code(), EXIT_REFUSED);
    assert!(
        report
            .to_string()
            .contains(&format!("expected {}", "ab".repeat(48))),
        "{report}"
    );
}

#[test]
fn another_root_is_a_file_and_is_said() {
    let parameters = VerifyParameters {
        root: Some(sample("synthetic/root.der")),
        ..VerifyParameters::default()
    };
    let now = UnixMs::new(1_772_366_400_000);
    let report = judge("synthetic/valid/all_optionals.cbor", &parameters, now);
    assert!(report.verified, "{report}");
    assert!(report.to_string().contains("not the AWS Nitro root"), "{report}");
    assert!(!judge(PRODUCTION, &parameters, PRODUCTION_MS).verified);
}

#[test]
fn json_has_the_same_verdict() {
    let report =
        serde_json::to_value(judge(PRODUCTION, &VerifyParameters::default(), PRODUCTION_MS)).unwrap();
    assert_eq!(report["verified"], json!(true));
    assert_eq!(report["checks"][2]["step"], json!("chain"));
    assert_eq!(report["checks"][2]["outcome"], json!("ok"));
    assert_eq!(report["claims"]["timestamp_ms"], json!(1_616_602_241_734_u64));
    assert_eq!(report["claims"]["certificates"].as_array().map(Vec::len), Some(5));
    assert!(report["claims"]["pcrs"]["PCR15"].is_string());
    assert!(report.get("unverified_claims").is_none());

    let refused = serde_json::to_value(judge(PRODUCTION, &VerifyParameters::default(), DEBUG_MS)).unwrap();
    assert_eq!(
        (&refused["verified"], refused.get("claims")),
        (&json!(false), None)
    );
    assert_eq!(refused["checks"][4]["outcome"], json!("not-reached"));
    assert!(refused["unverified_claims"]["module_id"].is_string());
}

/// Every sample that must be refused is, with exit code 3 and the failing step; nothing is usage.
#[test]
fn every_invalid_sample_is_refused_with_a_reason() {
    for folder in ["nitro", "synthetic"] {
        let rows: Vec<Value> = serde_json::from_slice(&sample(&format!("{folder}/manifest.json"))).unwrap();
        for row in rows.iter().filter(|row| row["expect"] == "reject") {
            let parameters = VerifyParameters {
                root: Some(sample(row["root"].as_str().unwrap())),
                danger_admit_debug: true,
                ..VerifyParameters::default()
            };
            let now = UnixMs::new(row["at_ms"].as_u64().unwrap());
            let report = judge(row["file"].as_str().unwrap(), &parameters, now);
            assert_eq!(report.exit_code(), EXIT_REFUSED, "{row}");
            let failed: Vec<_> = report
                .checks
                .iter()
                .filter(|check| check.outcome == Outcome::Failed)
                .collect();
            assert_eq!(failed.len(), 1, "{row}");
            assert!(failed.iter().all(|check| check.detail.len() > 10), "{row}");
        }
    }
}

/// An auditor may look at QEMU's unsigned document, but never gets it verified.
#[test]
fn unsigned_documents_are_shown_not_verified() {
    let file = "nitro/invalid/z_qemu_unsigned.cbor";
    let shown = show(&sample(file)).unwrap().to_string();
    assert!(shown.contains("module id    i-234-enc5678"), "{shown}");
    assert!(
        shown.contains("unreadable   cabundle[0] is not a certificate"),
        "{shown}"
    );
    let report = judge(file, &VerifyParameters::default(), UnixMs::new(1_700_000_000_000));
    assert!(report.to_string().contains("envelope   FAILED"), "{report}");
    show(&sample("nitro/invalid/z_one_byte.cbor")).unwrap_err();
}

/// The terminal is not the document's to write to.
#[test]
fn control_characters_are_escaped() {
    let mut document = sample("nitro/invalid/z_qemu_unsigned.cbor");
    let at = document.windows(5).position(|window| window == b"i-234").unwrap();
    document[at] = 0x1b;
    let text = show(&document).unwrap().to_string();
    assert!(
        text.contains("\\u{1b}-234-enc5678") && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[test]
fn senseless_questions_are_usage_errors() {
    let document = sample(PRODUCTION);
    let ask = |parameters: VerifyParameters| verify(&document, &parameters, PRODUCTION_MS).unwrap_err();
    let none = VerifyParameters::default;
    let text = |text: &str| Some(text.to_owned());
    let usage = ask(VerifyParameters {
        root: Some(b"no".to_vec()),
        ..none()
    });
    assert!(matches!(usage, UsageError::Root(_)), "{usage:?}");
    let usage = ask(VerifyParameters {
        pcrs: Some(b"{}".to_vec()),
        ..none()
    });
    assert!(matches!(usage, UsageError::Pcrs(_)), "{usage:?}");
    let usage = ask(VerifyParameters {
        nonce: text("abc"),
        ..none()
    });
    assert!(matches!(usage, UsageError::Nonce { .. }), "{usage:?}");
    let usage = ask(VerifyParameters {
        at: text("yesterday"),
        ..none()
    });
    assert!(matches!(usage, UsageError::At { .. }), "{usage:?}");
    let usage = ask(VerifyParameters {
        max_age: text("5"),
        ..none()
    });
    assert!(matches!(usage, UsageError::MaxAge { .. }), "{usage:?}");
    let usage = ask(VerifyParameters {
        max_age: text("5m"),
        at: text("document"),
        ..none()
    });
    assert!(matches!(usage, UsageError::AgeWithoutClock), "{usage:?}");
    let mut zero = measurements();
    zero["Measurements"]["PCR0"] = json!("00".repeat(48));
    let usage = ask(VerifyParameters {
        pcrs: Some(zero.to_string().into_bytes()),
        ..none()
    });
    assert!(matches!(usage, UsageError::ZeroPcr { index: 0 }), "{usage:?}");
}

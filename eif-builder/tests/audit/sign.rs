//! What is signed verifies; what cannot be signed leaves everything as it was.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use eif::{Digest, EifFile, Pcr, PcrSignature, Signature, SignedPcr};
use eif_builder::file::OpenError;
use eif_builder::sign::pem::PemKey;
use eif_builder::sign::{SignError, Signer, sign_image};
use eif_builder::verify::{Outcome, Report, verify};
use rcgen::PKCS_ECDSA_P384_SHA384;

use crate::keys::{Fault, Pair, kms, p256, pair, pair_of};
use crate::support::{AT, Parts, instant, parameters, run, said};

const ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn failed(report: &Report) -> Vec<&'static str> {
    let failed = report
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Failed);
    failed.map(|check| check.name).collect()
}

fn report(path: &Path) -> Report {
    verify(path, &parameters(None)).unwrap()
}

/// Names in a folder, sorted.
fn names(dir: &Path) -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "sorted below")]
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_signed_image_verifies_and_pcr8_is_the_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let path = Parts::default().write(dir.path(), "a");
    let before = fs::read(&path).unwrap();
    let pair = pair();
    let signed = sign_image(&path, &path, &pair.signer()).unwrap();
    let pcr8 = Pcr::extended_with(&Digest::of(&pair.certificate_der));
    assert_eq!(signed.measurements.pcr8, Some(pcr8));
    let report = report(&path);
    assert!(report.verified, "{report}");
    for name in ["signature", "certificate", "form", "crc"] {
        assert_eq!(report.check(name).unwrap().outcome, Outcome::Ok, "{name}");
    }
    assert_eq!(report.check("pcr8").unwrap().actual, Some(pcr8.to_string()));
    let after = fs::read(&path).unwrap();
    assert_eq!(
        after[548..before.len()],
        before[548..],
        "only the header and the end change"
    );
    assert_eq!(after.len() as u64, signed.size);

    // Again, under another certificate: the old signature is gone, the rest is untouched.
    let other = pair_of(&PKCS_ECDSA_P384_SHA384, (2026, 2030));
    let output = dir.path().join("again.eif");
    let again = sign_image(&path, &output, &other.signer()).unwrap();
    assert_ne!(again.measurements.pcr8, Some(pcr8));
    assert_eq!(again.measurements.pcr0, signed.measurements.pcr0);
    assert_eq!(fs::read(&path).unwrap(), after, "the input stays");
    assert_eq!(fs::read(&output).unwrap()[548..before.len()], before[548..]);
    assert_eq!(
        names(dir.path())
            .iter()
            .filter(|name| name.contains("partial"))
            .count(),
        0
    );
}

#[test]
fn keys_in_either_form() {
    let dir = tempfile::tempdir().unwrap();
    let path = Parts::default().write(dir.path(), "a");
    let pair = pair();
    for pem in [pair.sec1(), pair.key.clone(), format!("a comment\n{}", pair.key)] {
        let key = PemKey::from_pem("key", pem.as_bytes()).unwrap();
        assert!(!format!("{key:?}").contains("pair"), "a key shows only its name");
        let signer = Signer::new(pair.certificate.as_bytes(), Box::new(key), instant(AT)).unwrap();
        sign_image(&path, &path, &signer).unwrap();
        assert!(report(&path).verified);
    }
}

#[test]
fn no_signer_without_a_key_that_fits() {
    let (ours, other, small) = (pair(), pair(), p256());
    let new = |pair: &Pair, certificate: &str, at: &str| {
        let key = PemKey::from_pem("the key", pair.key.as_bytes())?;
        Ok::<_, eif_builder::sign::key::KeyError>(Signer::new(
            certificate.as_bytes(),
            Box::new(key),
            instant(at),
        ))
    };
    let refused = |pair: &Pair, certificate: &str, at: &str| {
        let error = new(pair, certificate, at).unwrap().unwrap_err();
        format!("{:#}", anyhow::Error::from(error))
    };
    new(&ours, &ours.certificate, AT).unwrap().unwrap();
    let text = refused(&ours, &other.certificate, AT);
    assert!(
        text.contains("is not that of the certificate CN=image signer"),
        "{text}"
    );
    let text = refused(&ours, &ours.certificate, "2025-12-31T23:59:59Z");
    assert!(text.contains("valid from 2026-01-01"), "{text}");
    let text = refused(&ours, &ours.certificate, "2036-01-01T00:00:01Z");
    assert!(text.contains("expired at 2036-01-01"), "{text}");
    // The last second counts as a whole.
    new(&ours, &ours.certificate, "2036-01-01T00:00:00.999Z")
        .unwrap()
        .unwrap();
    let text = refused(&ours, &small.certificate, AT);
    assert!(text.contains("ES256, expected ES384"), "{text}");
    assert!(
        new(&small, &small.certificate, AT)
            .unwrap_err()
            .to_string()
            .contains("not a P-384 key")
    );
    let text = refused(&ours, &ours.key, AT);
    assert!(text.contains("not a certificate in PEM form"), "{text}");
}

#[test]
fn a_damaged_or_foreign_file_is_not_signed() {
    let dir = tempfile::tempdir().unwrap();
    let path = Parts::default().write(dir.path(), "a");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let before = names(dir.path());
    let signer = pair().signer();
    let error = sign_image(&path, &path, &signer).unwrap_err();
    assert!(matches!(error, SignError::Crc { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let kernel = dir.path().join("a.kernel");
    assert!(matches!(
        sign_image(&kernel, &path, &signer),
        Err(SignError::Image(_))
    ));
    assert!(matches!(
        sign_image(dir.path(), &path, &signer),
        Err(SignError::Open(OpenError::NotAFile(_)))
    ));
    assert_eq!(names(dir.path()), before, "nothing is left");
}

/// Puts `signature` into the image at `path`, without asking whether it fits.
fn force(path: &Path, signature: &Signature) {
    let bytes = fs::read(path).unwrap();
    let mut image = EifFile::open(std::io::Cursor::new(bytes)).unwrap();
    let mut out = std::io::Cursor::new(Vec::new());
    image.write_signed(signature, &mut out).unwrap();
    fs::write(path, out.into_inner()).unwrap();
}

#[test]
fn verify_refuses_what_the_key_did_not_sign() {
    let dir = tempfile::tempdir().unwrap();
    let path = Parts::default().write(dir.path(), "a");
    let (ours, other) = (pair(), pair());
    let mut image = EifFile::open(fs::File::open(&path).unwrap()).unwrap();
    let pcr0 = image.measure().unwrap().measurements.pcr0;
    let good = ours.signer().sign(&pcr0).unwrap();
    let cose = good.signatures()[0].cose.clone();
    let with = |certificate: &str, cose: Vec<u8>| {
        let certificate_pem = certificate.as_bytes().to_vec();
        Signature::new(vec![PcrSignature {
            certificate_pem,
            cose,
        }])
        .unwrap()
    };
    let changed = |change: &dyn Fn(&mut SignedPcr)| {
        let mut signed = SignedPcr::parse(&cose).unwrap();
        change(&mut signed);
        signed.encode()
    };
    force(&path, &good);
    assert!(report(&path).verified);
    let foreign = ours.signer().sign(&Pcr::from_bytes([7; 48])).unwrap();
    let cases = [
        ("of another image", foreign),
        (
            "under another certificate",
            with(&other.certificate, cose.clone()),
        ),
        (
            "bit of the signature",
            with(&ours.certificate, changed(&|s| s.signature[50] ^= 1)),
        ),
        (
            "all zero",
            with(&ours.certificate, changed(&|s| s.signature.fill(0))),
        ),
        (
            "another register",
            with(&ours.certificate, changed(&|s| s.index = 1)),
        ),
        (
            "another algorithm",
            with(
                &ours.certificate,
                changed(&|s| {
                    s.algorithm = eif::SignatureAlgorithm::Es256;
                    s.signature.truncate(64);
                }),
            ),
        ),
        ("cut", with(&ours.certificate, cose[..cose.len() - 1].to_vec())),
        ("empty", with(&ours.certificate, Vec::new())),
    ];
    for (what, signature) in cases {
        force(&path, &signature);
        let report = report(&path);
        assert_eq!(failed(&report), ["signature"], "{what}: {report}");
    }
    let base64 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    force(&path, &with(base64, cose.clone()));
    assert_eq!(failed(&report(&path)), ["certificate"]);
    // A second one behind a good one is no less wrong.
    let both = [
        good.signatures()[0].clone(),
        PcrSignature {
            certificate_pem: other.certificate.into(),
            cose,
        },
    ];
    force(&path, &Signature::new(both.to_vec()).unwrap());
    assert_eq!(failed(&report(&path)), ["signature"]);
    // A good signature under an expired certificate.
    force(&path, &good);
    let mut later = parameters(None);
    later.at = instant("2036-01-02T00:00:00Z");
    assert_eq!(failed(&verify(&path, &later).unwrap()), ["certificate"]);
}

/// Runs the program with credentials for the KMS on the loopback interface and no other way to any.
fn run_with_kms(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eif-builder"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap()
}

/// A folder with an image and the PEM files of a good and an expired key.
fn place() -> (tempfile::TempDir, Pair) {
    let dir = tempfile::tempdir().unwrap();
    Parts::default().write(dir.path(), "a");
    let pair = pair();
    let expired = pair_of(&PKCS_ECDSA_P384_SHA384, (2020, 2021));
    for (name, text) in [
        ("k.pem", &pair.key),
        ("c.pem", &pair.certificate),
        ("old-k.pem", &expired.key),
        ("old-c.pem", &expired.certificate),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    (dir, pair)
}

#[test]
fn the_program_signs_by_file_or_leaves_no_image() {
    let (dir, _) = place();
    let at = dir.path();
    let assemble = [
        "assemble",
        "--kernel",
        "a.kernel",
        "--cmdline",
        "console=ttyS0",
        "--ramdisk",
        "a.ramdisk0",
        "--ramdisk",
        "a.ramdisk1",
        "--default-mem",
        "67108864",
        "--output",
        "new.eif",
        "--signing-certificate",
    ];
    let (code, text) = said(&run(
        at,
        &[&assemble[..], &["c.pem", "--signing-key", "k.pem"]].concat(),
    ));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("PCR8 ") && text.contains("signed"), "{text}");
    assert!(report(&at.join("new.eif")).verified);
    fs::remove_file(at.join("new.eif")).unwrap();

    let before = names(at);
    for (certificate, key, word) in [
        ("old-c.pem", "old-k.pem", "expired"),
        ("c.pem", "old-k.pem", "is not that of the certificate"),
        ("c.pem", "c.pem", "no private key"),
        ("c.pem", "none.pem", "none.pem"),
        ("none.pem", "k.pem", "none.pem"),
        ("c.pem", "arn:aws:kms:no-key", "not an ARN"),
    ] {
        let (code, text) = said(&run(
            at,
            &[&assemble[..], &[certificate, "--signing-key", key]].concat(),
        ));
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(word), "{word}: {text}");
        let args = [
            "sign",
            "a.eif",
            "--signing-certificate",
            certificate,
            "--signing-key",
            key,
        ];
        let (code, text) = said(&run(at, &args));
        assert_eq!(code, 1, "{text}");
        assert_eq!(names(at), before, "nothing is left: {text}");
    }
    let (code, _) = said(&run(at, &[&assemble[..], &["c.pem"]].concat()));
    assert_eq!(code, 2, "one of the two options is not enough");
}

#[test]
fn the_program_signs_by_kms_or_leaves_the_image_as_it_was() {
    let (dir, pair) = place();
    let at = dir.path();
    let path = at.join("a.eif");
    let unsigned = fs::read(&path).unwrap();
    let before = names(at);
    let by_kms = |fault| {
        let endpoint = kms(&pair, fault);
        let args = [
            "sign",
            "a.eif",
            "--signing-certificate",
            "c.pem",
            "--signing-key",
            ARN,
            "--kms-endpoint",
            &endpoint,
        ];
        said(&run_with_kms(at, &args))
    };
    for (fault, word) in [
        (Fault::OtherKey, "does not verify"),
        (Fault::Usage, "expected a SIGN_VERIFY key"),
        (Fault::Denied, "AccessDeniedException: not [2J for you"),
        (Fault::Garbage, "without a usable signature"),
        (Fault::Silent, "GetPublicKey failed"),
    ] {
        let (code, text) = by_kms(fault);
        assert_eq!(code, 1, "{fault:?}: {text}");
        assert!(text.contains(word), "{fault:?}: {text}");
        assert!(!text.contains("not-a-secret"), "{text}");
        assert!(fs::read(&path).unwrap() == unsigned, "{fault:?}");
    }
    let (code, text) = by_kms(Fault::None);
    assert_eq!(code, 0, "{text}");
    assert!(report(&path).verified);
    assert_eq!(names(at), before);
}

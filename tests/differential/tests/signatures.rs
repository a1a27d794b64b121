//! What we sign AWS's reader accepts, what AWS's signer signs we verify, and what one refuses so does the other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use attest::UnixMs;
use aws_nitro_enclaves_image_format::utils::SignKeyData;
use aws_nitro_enclaves_image_format::utils::eif_signer::EifSigner;
use differential::{assemble_with_aws, assembly, put, ramdisk, read_with_aws, registers};
use eif::{Architecture, EifFile, PcrSignature, Signature};
use eif_builder::assemble::{Assembly, assemble, assemble_signed};
use eif_builder::cpio_read::Budget;
use eif_builder::sign::pem::PemKey;
use eif_builder::sign::{Signer, sign_image};
use eif_builder::verify::{Outcome, Parameters, Report, verify};
use openssl::nid::Nid;
use openssl::{asn1::Asn1Time, ec, hash::MessageDigest, pkey::PKey, x509};

/// A key with its self-signed certificate in `NAME-key.pem` and `NAME-certificate.pem`; SEC1 form, as AWS's guide makes it.
fn make_key(dir: &Path, name: &str, curve: Nid) -> (PathBuf, PathBuf) {
    let group = ec::EcGroup::from_curve_name(curve).unwrap();
    let ec_key = ec::EcKey::generate(&group).unwrap();
    let key = PKey::from_ec_key(ec_key.clone()).unwrap();
    let mut subject = x509::X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", "differential test").unwrap();
    let subject = subject.build();
    let mut certificate = x509::X509::builder().unwrap();
    certificate.set_subject_name(&subject).unwrap();
    certificate.set_issuer_name(&subject).unwrap();
    certificate.set_pubkey(&key).unwrap();
    let day = |text| Asn1Time::from_str_x509(text).unwrap();
    certificate.set_not_before(&day("20260101000000Z")).unwrap();
    certificate.set_not_after(&day("20360101000000Z")).unwrap();
    // Version 1, which `openssl x509 -req` writes, as in AWS's guide.
    certificate.sign(&key, MessageDigest::sha384()).unwrap();
    let paths = ["key", "certificate"].map(|what| dir.join(format!("{name}-{what}.pem")));
    fs::write(&paths[0], ec_key.private_key_to_pem().unwrap()).unwrap();
    fs::write(&paths[1], certificate.build().to_pem().unwrap()).unwrap();
    let [key, certificate] = paths;
    (key, certificate)
}

fn aws_key((key, certificate): &(PathBuf, PathBuf)) -> SignKeyData {
    SignKeyData::new(key.to_str().unwrap(), certificate).unwrap()
}

fn our_signer((key, certificate): &(PathBuf, PathBuf)) -> Signer {
    let pem = fs::read(certificate).unwrap();
    Signer::new(&pem, Box::new(PemKey::open(key).unwrap()), at()).unwrap()
}

fn at() -> UnixMs {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn parts(dir: &Path) -> Assembly {
    let assembly = assembly(dir, "quiet", 2, Architecture::X86_64);
    put(&assembly.kernel, &[9; 7000]).unwrap();
    put(&ramdisk(dir, 0), &[1; 1001]).unwrap();
    put(&ramdisk(dir, 1), &[2; 9003]).unwrap();
    assembly
}

fn report(path: &Path) -> Report {
    let parameters = Parameters {
        published: None,
        at: at(),
        budget: Budget::default(),
    };
    verify(path, &parameters).unwrap()
}

/// Whether we find the signature and its certificate good. The parts are none that boot.
fn we_accept(path: &Path) -> bool {
    let report = report(path);
    let ok = |name| {
        report
            .check(name)
            .is_some_and(|check| check.outcome == Outcome::Ok)
    };
    ok("signature") && ok("certificate") && ok("crc")
}

fn aws_accepts(path: &Path) -> bool {
    read_with_aws(path).is_ok_and(|reading| reading.crc_ok && reading.signature_ok == Some(true))
}

#[test]
fn what_we_sign_aws_accepts() {
    let dir = tempfile::tempdir().unwrap();
    let assembly = parts(dir.path());
    let key = make_key(dir.path(), "p384", Nid::SECP384R1);
    let signer = our_signer(&key);
    let made = assemble_signed(&assembly, &signer).unwrap();
    assert!(aws_accepts(&assembly.output) && we_accept(&assembly.output));
    let mut reading = read_with_aws(&assembly.output).unwrap();
    reading.registers.remove("HashAlgorithm");
    assert_eq!(
        reading.registers,
        registers(&made.measurements),
        "PCR8 among them"
    );
    // The same by AWS's builder: but for the random signature all is the same.
    let theirs = dir.path().join("theirs.eif");
    assemble_with_aws(&assembly, &theirs, Some(aws_key(&key))).unwrap();
    let theirs = read_with_aws(&theirs).unwrap();
    assert_eq!(theirs.registers["PCR8"], reading.registers["PCR8"]);
    // Signed again, under another certificate.
    let other = our_signer(&make_key(dir.path(), "other", Nid::SECP384R1));
    sign_image(&assembly.output, &assembly.output, &other).unwrap();
    assert!(aws_accepts(&assembly.output) && we_accept(&assembly.output));
}

#[test]
fn what_aws_signs_we_accept() {
    let dir = tempfile::tempdir().unwrap();
    for (name, curve) in [
        ("p256", Nid::X9_62_PRIME256V1),
        ("p384", Nid::SECP384R1),
        ("p521", Nid::SECP521R1),
    ] {
        let assembly = parts(dir.path());
        let key = make_key(dir.path(), name, curve);
        let built = dir.path().join(format!("{name}.eif"));
        assemble_with_aws(&assembly, &built, Some(aws_key(&key))).unwrap();
        assert!(we_accept(&built), "{name}: {}", report(&built));
        // Their signer on an image of ours that has no signature yet.
        assemble(&assembly).unwrap();
        let signer = EifSigner::new(Some(aws_key(&key))).unwrap();
        signer.sign_image(assembly.output.to_str().unwrap()).unwrap();
        assert!(
            we_accept(&assembly.output),
            "{name}: {}",
            report(&assembly.output)
        );
    }
}

#[test]
fn what_one_refuses_so_does_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let assembly = parts(dir.path());
    let (ours, other) = (
        make_key(dir.path(), "ours", Nid::SECP384R1),
        make_key(dir.path(), "other", Nid::SECP384R1),
    );
    assemble_signed(&assembly, &our_signer(&ours)).unwrap();
    let whole = fs::read(&assembly.output).unwrap();
    let good = EifFile::open(std::io::Cursor::new(&whole))
        .unwrap()
        .signature()
        .cloned()
        .unwrap();
    let first = &good.signatures()[0];
    let force = |certificate_pem: Vec<u8>, cose: Vec<u8>| {
        let signature = Signature::new(vec![PcrSignature {
            certificate_pem,
            cose,
        }])
        .unwrap();
        let mut image = EifFile::open(std::io::Cursor::new(&whole)).unwrap();
        let mut out = File::create(&assembly.output).unwrap();
        image.write_signed(&signature, &mut out).unwrap();
    };
    force(first.certificate_pem.clone(), first.cose.clone());
    assert!(aws_accepts(&assembly.output) && we_accept(&assembly.output));
    force(fs::read(&other.1).unwrap(), first.cose.clone());
    assert!(
        !aws_accepts(&assembly.output) && !we_accept(&assembly.output),
        "another certificate"
    );
    for at in (0..first.cose.len()).step_by(5) {
        let mut cose = first.cose.clone();
        cose[at] ^= 0x02;
        force(first.certificate_pem.clone(), cose);
        assert!(!we_accept(&assembly.output), "byte {at}");
        assert!(!aws_accepts(&assembly.output), "byte {at}");
    }
    let foreign = our_signer(&ours).sign(&eif::Pcr::from_bytes([7; 48])).unwrap();
    let foreign = &foreign.signatures()[0];
    force(foreign.certificate_pem.clone(), foreign.cose.clone());
    assert!(
        !aws_accepts(&assembly.output) && !we_accept(&assembly.output),
        "another image's"
    );
}

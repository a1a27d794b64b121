//! Certificates and keys that an image is signed with, in PEM form.
#![no_main]

use attest::UnixMs;
use eif_builder::sign::Signer;
use eif_builder::sign::certificate::SigningCertificate;
use eif_builder::sign::pem::PemKey;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(certificate) = SigningCertificate::from_pem(bytes) {
        let shown = certificate.subject.clone() + &certificate.issuer;
        assert!(
            !shown.chars().any(char::is_control),
            "a name can reach a terminal"
        );
        assert!(certificate.check_dates(UnixMs::new(0)).is_err() || certificate.not_before == UnixMs::new(0));
    }
    match PemKey::from_pem("key", bytes) {
        // A signer exists only where the certificate is that of the key.
        Ok(key) => drop(Signer::new(bytes, Box::new(key), UnixMs::new(1_790_000_000_000))),
        Err(error) => assert!(error.to_string().len() < 300),
    }
});

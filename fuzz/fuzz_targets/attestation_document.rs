//! Attestation documents: the reader of foreign CBOR and DER, and the promise that nothing unsigned is believed.
#![no_main]

use attest::chain::unverified_certs;
use attest::danger::UnsignedSimulator;
use attest::{MAX_DOCUMENT_LEN, Moment, Policy, TrustRoot, UnverifiedDoc, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    let root = TrustRoot::aws();
    let verified = verify(document, &root, Moment::OfDocument, &Policy::new().allow_debug());
    let parsed = UnverifiedDoc::parse(document);
    let Ok(parsed) = parsed else {
        assert!(verified.is_err(), "verified but cannot be read");
        return;
    };
    assert!(document.len() <= MAX_DOCUMENT_LEN);
    let claims = parsed.unverified_claims();
    assert!(!claims.module_id.is_empty() && !claims.pcrs.is_empty() && !claims.cabundle.is_empty());
    // Every certificate is read as if its signature had been right.
    let certificates = unverified_certs(claims).filter(Result::is_ok).count();
    let simulator = UnsignedSimulator::danger_believe_documents_that_nobody_signed();
    let policy = Policy::new().allow_debug();
    let unsigned = simulator.danger_accept(document, Moment::OfDocument, &policy);
    if let Ok(verified) = verified {
        assert_eq!(verified.claims(), claims, "one document, two readings");
        assert_eq!(certificates, claims.cabundle.len() + 1);
        assert!(unsigned.is_err(), "signed and unsigned at once");
    }
});

//! QEMU's unsigned documents: refused by verification, read only by who says so.

mod support;

use attest::danger::{UnsignedError, UnsignedSimulator};
use attest::{
    CoseError, Moment, Pcr, Policy, PolicyError, TrustRoot, UnixMs, UnverifiedDoc, VerifyError, verify,
};
use support::data;

const QEMU: &str = "nitro/invalid/z_qemu_unsigned.cbor";
const MADE: UnixMs = UnixMs::new(1_700_000_000_000);

#[test]
fn verification_refuses_them_under_any_root() {
    let document = data(QEMU);
    for root in [TrustRoot::aws(), support::synthetic_root()] {
        let error = verify(&document, &root, Moment::Now(MADE), &Policy::new().allow_debug()).unwrap_err();
        assert_eq!(
            error,
            VerifyError::Envelope(CoseError::Algorithm { found: Some(-1) })
        );
    }
}

#[test]
fn their_claims_can_be_read_as_unverified() {
    let document = data(QEMU);
    let doc = UnverifiedDoc::parse(&document).unwrap();
    assert_eq!(doc.unverified_claims().module_id, "i-234-enc5678");
    assert_eq!(
        doc.unverified_claims().pcrs.get(0),
        Some(&Pcr::from_bytes([1; 48]))
    );
    assert_eq!(doc.unverified_envelope().algorithm(), Some(-1));
}

#[test]
fn the_simulator_applies_the_same_policy() {
    let document = data(QEMU);
    let simulator = UnsignedSimulator::danger_believe_documents_that_nobody_signed();
    let accept = |policy: &Policy, now| {
        simulator
            .danger_accept(&document, Moment::Now(now), policy)
            .map(|doc| doc.danger_claims().clone())
    };
    let expected = Pcr::from_bytes([1; 48]);
    let policy = Policy::new().expect_pcr(0, expected).unwrap();
    assert_eq!(accept(&policy, MADE).unwrap().pcrs.get(0), Some(&expected));
    let other = Pcr::from_bytes([9; 48]);
    let policy = Policy::new().expect_pcr(0, other).unwrap();
    let mismatch = PolicyError::PcrMismatch {
        index: 0,
        expected: other,
        found: expected,
    };
    assert_eq!(accept(&policy, MADE), Err(UnsignedError::Policy(mismatch)));
}

/// No way around verification: a signed document is refused here, also one with a broken signature.
#[test]
fn the_simulator_refuses_everything_that_claims_a_signature() {
    let simulator = UnsignedSimulator::danger_believe_documents_that_nobody_signed();
    let policy = Policy::new().allow_debug();
    for row in support::manifest("nitro")
        .iter()
        .chain(&support::manifest("synthetic"))
    {
        if row.file != QEMU {
            let document = data(&row.file);
            let moment = Moment::Now(UnixMs::new(row.at_ms));
            let refused = simulator.danger_accept(&document, moment, &policy).unwrap_err();
            assert!(
                matches!(refused, UnsignedError::NotUnsigned | UnsignedError::Form(_)),
                "{}: {refused:?}",
                row.file
            );
        }
    }
}

/// Each part that stands for "unsigned" must be exactly so.
#[test]
fn the_simulator_demands_the_exact_shape() {
    let simulator = UnsignedSimulator::danger_believe_documents_that_nobody_signed();
    let document = data(QEMU);
    let doc = UnverifiedDoc::parse(&document).unwrap();
    let start = document.as_ptr().addr();
    let claims = doc.unverified_claims();
    let parts = [
        claims.certificate,
        claims.cabundle.first().unwrap(),
        doc.unverified_envelope().signature(),
    ];
    for part in parts {
        let mut changed = document.clone();
        *changed.get_mut(part.as_ptr().addr() - start).unwrap() = 1;
        let refused = simulator
            .danger_accept(&changed, Moment::OfDocument, &Policy::new())
            .unwrap_err();
        assert_eq!(refused, UnsignedError::NotUnsigned);
    }
}

//! Rules that no published sample touches, each broken alone in a document signed on the spot.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use attest::chain::{ChainError, Position};
use attest::{
    CborError, Claims, CoseError, DocError, Field, MAX_DOCUMENT_LEN, Moment, Policy, TrustRoot, UnixMs,
    VerifyError, verify,
};
use support::{Payload, SYNTHETIC_MS, cbor, data, sign, synthetic_root};

fn check<T>(document: &[u8], then: impl FnOnce(&Claims<'_>) -> T) -> Result<T, VerifyError> {
    let doc = verify(
        document,
        &synthetic_root(),
        Moment::Now(SYNTHETIC_MS),
        &Policy::new(),
    )?;
    Ok(then(doc.claims()))
}

fn refused(payload: &Payload) -> VerifyError {
    check(&payload.sign(), |_| ()).unwrap_err()
}

fn refused_payload(payload: &Payload) -> DocError {
    match refused(payload) {
        VerifyError::Payload(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_unbroken_document_verifies() {
    let nulls = ["public_key", "user_data", "nonce"]
        .iter()
        .fold(Payload::valid(), |payload, key| {
            payload.with(key, vec![cbor::NULL])
        });
    for payload in [Payload::valid(), nulls] {
        let optionals = check(&payload.sign(), |c| {
            (c.public_key, c.user_data, c.nonce) == (None, None, None)
        });
        assert_eq!(optionals, Ok(true));
    }
}

#[test]
fn optional_fields_hold_0_or_1_to_1024_bytes() {
    for (key, field, min) in [
        ("public_key", Field::PublicKey, 1),
        ("user_data", Field::UserData, 0),
        ("nonce", Field::Nonce, 0),
    ] {
        for len in [0, 1, 512, 1023, 1024, 1025, 4096] {
            let payload = Payload::valid().with(key, cbor::bytes(&vec![7; len]));
            let result = check(&payload.sign(), |_| ());
            if (min..=1024).contains(&len) {
                assert_eq!(result, Ok(()), "{key} {len}");
            } else {
                let error = DocError::Length {
                    field,
                    len,
                    min,
                    max: 1024,
                };
                assert_eq!(result, Err(VerifyError::Payload(error)), "{key} {len}");
            }
        }
        let text = Payload::valid().with(key, cbor::text("a"));
        assert!(matches!(refused_payload(&text), DocError::WrongType { field: f, .. } if f == field));
    }
}

#[test]
fn unknown_keys_are_refused_by_name() {
    for value in [vec![cbor::NULL], cbor::uint(1), cbor::array(&[cbor::map(&[])])] {
        let payload = Payload::valid().with("module_serial", value);
        assert_eq!(
            refused_payload(&payload),
            DocError::UnknownKey {
                key: "module_serial".into()
            }
        );
    }
    let long = "k".repeat(1000);
    let DocError::UnknownKey { key } = refused_payload(&Payload::valid().with(&long, vec![cbor::NULL]))
    else {
        panic!("another error");
    };
    assert_eq!(key.len(), 40);
    let mut number = Payload::valid();
    number.0.push((cbor::uint(1), cbor::uint(1)));
    assert_eq!(
        refused_payload(&number),
        DocError::KeyType {
            found: "an unsigned integer"
        }
    );
}

#[test]
fn the_same_key_twice_is_refused_even_when_one_is_null() {
    for (key, _) in Payload::valid().0 {
        let mut payload = Payload::valid();
        payload.0.insert(0, (key.clone(), vec![cbor::NULL]));
        let error = refused_payload(&payload);
        assert!(
            matches!(error, DocError::Cbor(CborError::DuplicateKey { .. })),
            "{key:?}: {error:?}"
        );
    }
}

#[test]
fn each_mandatory_field_is_missed_by_name() {
    for field in [
        Field::ModuleId,
        Field::Digest,
        Field::Timestamp,
        Field::Pcrs,
        Field::Certificate,
        Field::Cabundle,
    ] {
        let null = Payload::valid().with(field.name(), vec![cbor::NULL]);
        let mut absent = Payload::valid();
        absent.0.retain(|(key, _)| *key != cbor::text(field.name()));
        for payload in [null, absent] {
            assert_eq!(refused_payload(&payload), DocError::Missing { field });
        }
    }
    let empty = Payload::valid().with("module_id", cbor::text(""));
    assert!(matches!(
        refused_payload(&empty),
        DocError::Length {
            field: Field::ModuleId,
            len: 0,
            ..
        }
    ));
}

#[test]
fn a_bundle_has_1_to_16_certificates() {
    for (count, expected) in [(16, None), (17, Some(17)), (200, Some(17))] {
        let payload = Payload::valid().with("cabundle", cbor::array(&vec![cbor::bytes(&[0]); count]));
        let error = refused(&payload);
        match expected {
            Some(count) => assert_eq!(error, VerifyError::Payload(DocError::BundleCount { count })),
            None => assert!(
                matches!(error, VerifyError::Chain(ChainError::RootMismatch { .. })),
                "{error:?}"
            ),
        }
    }
}

#[test]
fn pcr_values_have_48_bytes_and_indices_fit() {
    let pcrs = |index: Vec<u8>, len| cbor::map(&[(index, cbor::bytes(&vec![1; len]))]);
    for len in [0, 32, 47, 49, 64] {
        let error = refused_payload(&Payload::valid().with("pcrs", pcrs(cbor::uint(0), len)));
        assert_eq!(
            error,
            DocError::Length {
                field: Field::Pcrs,
                len,
                min: 48,
                max: 48
            }
        );
    }
    for index in [32, 255, 256, 1 << 40] {
        let error = refused_payload(&Payload::valid().with("pcrs", pcrs(cbor::uint(index), 48)));
        assert_eq!(
            error,
            DocError::PcrIndex {
                index: i128::try_from(index).unwrap()
            }
        );
    }
    let error = refused_payload(&Payload::valid().with("pcrs", pcrs(cbor::text("0"), 48)));
    assert!(matches!(
        error,
        DocError::WrongType {
            field: Field::Pcrs,
            ..
        }
    ));
    let empty = Payload::valid().with("pcrs", cbor::map(&[]));
    assert_eq!(refused_payload(&empty), DocError::PcrCount { count: 0 });
    let one = Payload::valid().with("pcrs", pcrs(cbor::uint(0), 48));
    assert_eq!(check(&one.sign(), |claims| claims.pcrs.len()), Ok(1));
}

/// The certificates must be valid when the document was made, not only now: the NSM makes the leaf with it.
#[test]
fn dates_hold_at_the_timestamp_and_now() {
    let early = UnixMs::new(1_500_000_000_000);
    let payload = Payload::valid().with("timestamp", cbor::uint(1_500_000_000_000));
    for moment in [Moment::Now(SYNTHETIC_MS), Moment::OfDocument] {
        let document = payload.sign();
        let error = verify(&document, &synthetic_root(), moment, &Policy::new()).unwrap_err();
        let VerifyError::Chain(ChainError::Time { position, at, .. }) = error else {
            panic!("{error:?}")
        };
        assert_eq!((position, at), (Position::Bundle(0), early));
    }
    let document = Payload::valid().sign();
    let late = Moment::Now(UnixMs::new(SYNTHETIC_MS.as_millis() + 86_400_000 * 365));
    let error = verify(&document, &synthetic_root(), late, &Policy::new()).unwrap_err();
    assert!(
        matches!(error, VerifyError::Chain(ChainError::Time { .. })),
        "{error:?}"
    );
    verify(&document, &synthetic_root(), Moment::OfDocument, &Policy::new()).unwrap();
}

/// A root is a value: what verifies under one is refused under every other.
#[test]
fn another_root_is_refused() {
    let document = Payload::valid().sign();
    let error = verify(&document, &TrustRoot::aws(), Moment::OfDocument, &Policy::new()).unwrap_err();
    let expected = attest::AWS_ROOT_SHA256;
    assert!(
        matches!(&error, VerifyError::Chain(ChainError::RootMismatch { expected: e, .. }) if *e == expected)
    );
    let genuine = data(support::GENUINE.0);
    let error = verify(&genuine, &synthetic_root(), Moment::OfDocument, &Policy::new()).unwrap_err();
    assert!(matches!(
        error,
        VerifyError::Chain(ChainError::RootMismatch { .. })
    ));
}

#[test]
fn a_bundle_without_its_intermediates_is_refused() {
    let document = Payload::valid().sign();
    let doc = attest::UnverifiedDoc::parse(&document).unwrap();
    let bundle: Vec<_> = doc
        .unverified_claims()
        .cabundle
        .iter()
        .map(|der| cbor::bytes(der))
        .collect();
    for left_out in 1..bundle.len() {
        let mut shorter = bundle.clone();
        shorter.remove(left_out);
        let error = refused(&Payload::valid().with("cabundle", cbor::array(&shorter)));
        let position = if left_out == 3 {
            Position::Leaf
        } else {
            Position::Bundle(left_out)
        };
        assert_eq!(error, VerifyError::Chain(ChainError::Issuer { position }));
    }
    let error = refused(&Payload::valid().with("cabundle", cbor::array(&bundle[..1])));
    assert_eq!(
        error,
        VerifyError::Chain(ChainError::Issuer {
            position: Position::Leaf
        })
    );
}

#[test]
fn bytes_after_the_payload_map_are_refused() {
    let payload = [Payload::valid().encode(), vec![0]].concat();
    let error = check(&sign(&payload), |_| ()).unwrap_err();
    assert!(matches!(
        error,
        VerifyError::Payload(DocError::Cbor(CborError::Trailing { left: 1, .. }))
    ));
}

#[test]
fn documents_beyond_16_kib_are_refused_unread() {
    let padded = |len| {
        Payload::valid()
            .with("module_id", cbor::text(&"m".repeat(len)))
            .sign()
    };
    let overhead = padded(8000).len() - 8000;
    let longest = padded(MAX_DOCUMENT_LEN - overhead);
    assert_eq!(longest.len(), 16384);
    assert_eq!(check(&longest, |_| ()), Ok(()));
    let error = check(&padded(MAX_DOCUMENT_LEN - overhead + 1), |_| ()).unwrap_err();
    assert_eq!(error, VerifyError::Envelope(CoseError::TooLong { len: 16385 }));
}

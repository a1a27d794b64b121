//! Well-formed sections, each broken rule, truncation and bit flips.

use super::*;

const PEM: &str = "-----BEGIN CERTIFICATE-----\nZm9vYmFy\n-----END CERTIFICATE-----\n";

fn sample(count: usize) -> Signature {
    let signature = PcrSignature {
        certificate_pem: PEM.into(),
        cose: (0..=255).collect(),
    };
    Signature::new(vec![signature; count]).unwrap()
}

fn refused(bytes: &[u8]) -> SignatureError {
    Signature::parse(bytes).unwrap_err()
}

#[test]
fn reads_back_what_it_writes() {
    for count in [1, 2, 24] {
        let section = sample(count);
        assert_eq!(Signature::parse(&section.encode()), Ok(section.clone()));
        assert_eq!(section.certificate_der(), b"foobar");
        assert_eq!(section.pcr8(), Pcr::extended_with(&Digest::of(b"foobar")));
    }
}

#[test]
fn either_order_of_keys() {
    let mut bytes = vec![0x81, 0xa2, 0x69];
    bytes.extend(b"signature");
    bytes.extend([0x81, 7, 0x73]);
    bytes.extend(b"signing_certificate");
    put_head(&mut bytes, ARRAY, PEM.len());
    bytes.extend(PEM.bytes().flat_map(|byte| [0x18, byte]));
    let section = Signature::parse(&bytes).unwrap();
    assert_eq!(section.signatures()[0].cose, [7]);
    assert_eq!(section.certificate_der(), b"foobar");
}

#[test]
fn each_rule_has_its_error() {
    use SignatureError::{Certificate, Empty, Keys, NotByte, TooLong, Trailing, Type};
    let good = sample(1).encode();
    let edited = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        refused(&bytes)
    };
    assert_eq!(refused(&[0x80]), Empty);
    assert!(matches!(
        refused(&[0x9f, 0xff]),
        Type {
            at: 0,
            actual: 0x9f,
            ..
        }
    ));
    assert!(matches!(edited(0, 0xa1), Type { at: 0, .. }));
    assert_eq!(edited(1, 0xa1), Keys { index: 0 });
    assert_eq!(edited(3, b'x'), Keys { index: 0 });
    assert!(matches!(edited(22, 0x58), Type { at: 22, .. }), "a byte string");
    assert!(matches!(edited(24, 0x19), NotByte { at: 24, .. }));
    let longer = [&good[..], &[0]].concat();
    assert_eq!(refused(&longer), Trailing { left: 1 });
    assert_eq!(refused(&vec![0; 32_769]), TooLong { actual: 32_769 });
    let unreadable = PcrSignature {
        certificate_pem: vec![],
        cose: vec![],
    };
    let source = PemError::NoCertificate;
    assert_eq!(
        Signature::new(vec![unreadable]),
        Err(Certificate { index: 0, source })
    );
    assert_eq!(Signature::new(vec![]), Err(Empty));
    let big = PcrSignature {
        certificate_pem: PEM.into(),
        cose: vec![255; 20_000],
    };
    assert!(matches!(Signature::new(vec![big]), Err(TooLong { .. })));
    let twice = [
        &[0x81, 0xa2, 0x69][..],
        b"signature",
        &[0x80, 0x69],
        b"signature",
        &[0x80],
    ]
    .concat();
    assert_eq!(refused(&twice), Keys { index: 0 });
}

#[test]
fn absurd_lengths_are_refused_at_once() {
    for major in [ARRAY, MAP, TEXT] {
        let mut bytes = vec![0x81, major << 5 | 0x1b];
        bytes.extend([0xff; 8]);
        Signature::parse(&bytes).unwrap_err();
        bytes.remove(0);
        Signature::parse(&bytes).unwrap_err();
    }
}

#[test]
fn truncated_anywhere_or_one_bit_wrong_never_panics() {
    let good = sample(2).encode();
    for length in 0..good.len() {
        Signature::parse(&good[..length]).unwrap_err();
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            if let Ok(section) = Signature::parse(&bytes) {
                assert_ne!(section, sample(2));
            }
        }
    }
}

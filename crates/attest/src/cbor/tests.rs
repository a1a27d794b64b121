//! Tests of the CBOR reader, among them the examples of RFC 8949 appendix A that it must read or refuse.

use super::*;

fn one(hex: &str) -> Result<Item<'static>, CborError> {
    let bytes: &'static [u8] = hex::decode(hex).unwrap().leak();
    let mut reader = Reader::new(bytes);
    let item = reader.item()?;
    reader.finish()?;
    Ok(item)
}

fn skip(bytes: &[u8]) -> Result<(), CborError> {
    let mut reader = Reader::new(bytes);
    reader.skip()?;
    reader.finish()
}

#[test]
fn reads_the_items_of_rfc_8949() {
    for (hex, item) in [
        ("00", Item::Unsigned(0)),
        ("17", Item::Unsigned(23)),
        ("1818", Item::Unsigned(24)),
        ("1903e8", Item::Unsigned(1000)),
        ("1a000f4240", Item::Unsigned(1_000_000)),
        ("1bffffffffffffffff", Item::Unsigned(u64::MAX)),
        ("20", Item::Negative(0)),
        ("3903e7", Item::Negative(999)),
        ("3bffffffffffffffff", Item::Negative(u64::MAX)),
        ("40", Item::Bytes(&[])),
        ("4401020304", Item::Bytes(&[1, 2, 3, 4])),
        ("64f0908591", Item::Text("\u{10151}")),
        ("80", Item::Array(Count::Definite(0))),
        ("9f", Item::Array(Count::Indefinite)),
        ("a0", Item::Map(Count::Definite(0))),
        ("bf", Item::Map(Count::Indefinite)),
        ("d2", Item::Tag(18)),
        ("f4", Item::Bool(false)),
        ("f5", Item::Bool(true)),
        ("f6", Item::Null),
    ] {
        assert_eq!(one(hex), Ok(item), "{hex}");
    }
}

#[test]
fn refuses_what_documents_never_have() {
    for (hex, byte) in [
        ("f7", 0xf7),
        ("f0", 0xf0),
        ("f8ff", 0xf8),
        ("f93c00", 0xf9),
        ("fa47c35000", 0xfa),
        ("fb7e37e43c8800759c", 0xfb),
        ("ff", 0xff),
        ("1c", 0x1c),
        ("3f", 0x3f),
        ("5e", 0x5e),
        ("dd", 0xdd),
    ] {
        assert_eq!(one(hex), Err(CborError::Unsupported { offset: 0, byte }), "{hex}");
    }
    assert_eq!(
        one("5f42010243030405ff"),
        Err(CborError::ChunkedString { offset: 0 })
    );
    assert_eq!(one("7fff"), Err(CborError::ChunkedString { offset: 0 }));
    assert_eq!(one("62c328"), Err(CborError::NotUtf8 { offset: 0 }));
}

#[test]
fn refuses_heads_longer_than_needed() {
    for (hex, value) in [
        ("1817", 23),
        ("1900ff", 255),
        ("1a0000ffff", 65535),
        ("1b00000000ffffffff", 0xffff_ffff),
        ("3800", 0),
        ("580100", 1),
        ("9800", 0),
        ("b90001", 1),
        ("d812", 18),
    ] {
        assert_eq!(one(hex), Err(CborError::NonMinimal { offset: 0, value }), "{hex}");
    }
}

#[test]
fn absurd_lengths_are_truncation() {
    for major in ["5", "7"] {
        let huge = one(&format!("{major}bffffffffffffffff00"));
        assert_eq!(
            huge,
            Err(CborError::Truncated {
                offset: 9,
                needed: u64::MAX,
                left: 1
            })
        );
    }
    for container in ["9bffffffffffffffff00", "bbffffffffffffffff00"] {
        let bytes = hex::decode(container).unwrap();
        assert_eq!(
            skip(&bytes),
            Err(CborError::Truncated {
                offset: 10,
                needed: 1,
                left: 0
            })
        );
    }
    assert_eq!(
        one(""),
        Err(CborError::Truncated {
            offset: 0,
            needed: 1,
            left: 0
        })
    );
    assert_eq!(
        one("19"),
        Err(CborError::Truncated {
            offset: 1,
            needed: 2,
            left: 0
        })
    );
}

#[test]
fn skips_well_formed_items_of_every_kind() {
    for hex in [
        "00",
        "4101",
        "8301820203820405",
        "9f018202039f0405ffff",
        "bf61610161629f0203ffff",
        "d2a1f5d81820",
    ] {
        assert_eq!(skip(&hex::decode(hex).unwrap()), Ok(()), "{hex}");
    }
    assert_eq!(skip(&[0, 0]), Err(CborError::Trailing { offset: 1, left: 1 }));
    // A break after a key is not a value.
    assert_eq!(
        skip(&[0xbf, 0, 0xff]),
        Err(CborError::Unsupported {
            offset: 2,
            byte: 0xff
        })
    );
    assert_eq!(
        skip(&[0x9f, 0]),
        Err(CborError::Truncated {
            offset: 2,
            needed: 1,
            left: 0
        })
    );
}

#[test]
fn depth_is_bounded() {
    for head in [0x81, 0x9f, 0xd2, 0xc0] {
        let mut bytes = vec![head; 10_000];
        bytes.push(0);
        assert_eq!(
            skip(&bytes),
            Err(CborError::TooDeep { offset: MAX_DEPTH }),
            "{head:#x}"
        );
    }
    let mut bytes = vec![0x81; MAX_DEPTH];
    bytes.push(0);
    assert_eq!(skip(&bytes), Ok(()));
}

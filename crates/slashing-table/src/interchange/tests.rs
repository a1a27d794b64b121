//! Reading and writing of interchange files.

use super::*;

/// The example of EIP-3076, shortened: one entry with and one without a root.
const GOOD: &str = r#"{
  "metadata": {
    "interchange_format_version": "5",
    "genesis_validators_root": "0x04700007fabc8282644aed6d1c7c9e21d38a03a0c4ba193f3afe428824b3a673"
  },
  "data": [
    {
      "pubkey": "0xb845089a1457f811bfc000588fbb4e713669be8ce060ea6be3c6ece09afc3794106c91ca73acda5e5457122d58723bed",
      "signed_blocks": [
        {"slot": "81952", "signing_root": "0x4ff6f743a43f3b4f95350831aeaf0a122a1a392922c45d804280284a69eb850b"},
        {"slot": "81951"}
      ],
      "signed_attestations": [
        {"source_epoch": "2290", "target_epoch": "3007", "signing_root": "0x587d6a4f59a58fe24f406e0502413e77fe1babddee641fda30034ed37ecc884d"},
        {"source_epoch": "2290", "target_epoch": "3008"}
      ]
    }
  ]
}"#;

#[test]
fn what_was_read_is_written_again() {
    let read = Interchange::parse(GOOD).unwrap();
    let history = read.validators.values().next().unwrap();
    assert_eq!(history.blocks[0].slot, 81_952);
    assert_eq!(history.blocks[0].signing_root.unwrap()[..2], [0x4f, 0xf6]);
    assert_eq!(history.blocks[1].signing_root, None);
    assert_eq!(history.attestations[1].target, 3_008);
    assert_eq!(read.genesis_validators_root[..2], [0x04, 0x70]);

    assert_eq!(Interchange::parse(&read.to_text()).unwrap(), read);
    let mut file = Vec::new();
    read.write(&mut file).unwrap();
    let (ours, theirs): (serde_json::Value, serde_json::Value) = (
        serde_json::from_slice(&file).unwrap(),
        serde_json::from_str(GOOD).unwrap(),
    );
    assert_eq!(ours, theirs);
}

#[test]
fn a_validator_named_twice_is_one_entry() {
    let entry = &GOOD[GOOD.find("    {\n      \"pubkey\"").unwrap()..GOOD.rfind("\n  ]").unwrap()];
    let twice = GOOD.replace(entry, &format!("{entry},{entry}"));
    let read = Interchange::parse(&twice).unwrap();
    assert_eq!(read.validators.len(), 1);
    assert_eq!(read.validators.values().next().unwrap().blocks.len(), 4);
}

#[test]
fn numbers_are_whole_and_of_64_bits() {
    for good in [
        "\"18446744073709551615\"",
        "18446744073709551615",
        "\"0\"",
        "0",
        "\"007\"",
    ] {
        assert!(
            Interchange::parse(&GOOD.replace("\"81951\"", good)).is_ok(),
            "{good}"
        );
    }
    let bad = [
        "\"18446744073709551616\"",
        "18446744073709551616",
        "-1",
        "\"-1\"",
        "1.0",
        "\"1.0\"",
        "1e3",
        "\"0x10\"",
        "\"\"",
        "\" 1\"",
        "\"+1\"",
        "null",
        "true",
        "[]",
    ];
    for bad in bad {
        let refused = Interchange::parse(&GOOD.replace("\"81951\"", bad));
        assert!(matches!(refused, Err(InterchangeError::Json(_))), "{bad}");
    }
}

#[test]
fn what_is_not_the_format_is_refused() {
    let table = [
        ("\"5\"", "\"4\""),
        ("\"5\"", "5"),
        ("\"5\"", "\"5.0\""),
        ("\"slot\"", "\"slots\""),
        ("\"slot\": \"81951\"", "\"slot\": \"81951\", \"slot\": \"1\""),
        (
            "\"slot\": \"81951\"",
            "\"slot\": \"81951\", \"signing_rot\": null",
        ),
        ("\"signed_blocks\"", "\"signed_block\""),
        ("\"data\"", "\"date\""),
        ("0xb845089a", "0xb845089"),
        ("0xb845089a", "0xb845089ab"),
        ("0xb845089a", "0xg845089a"),
        ("0x4ff6", "4ff6"),
        ("0x4ff6", "0x4ff"),
        ("0x4ff6f7", "0x"),
        ("0x04700007", "0x"),
    ];
    for (from, to) in table {
        assert!(GOOD.contains(from));
        let refused = Interchange::parse(&GOOD.replacen(from, to, 1));
        assert!(refused.is_err(), "{from} -> {to}");
    }
    Interchange::parse(&format!("{GOOD} x")).unwrap_err();
    assert!(matches!(
        Interchange::parse(&GOOD.replace("\"5\"", "\"4\"")),
        Err(InterchangeError::Version { found }) if found == "4"
    ));
}

#[test]
fn a_file_that_ends_early_is_refused_at_every_length() {
    for length in 0..GOOD.len() {
        assert!(Interchange::parse(&GOOD[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_file_over_the_limit_is_refused_and_not_read_on() {
    let length = u64::try_from(GOOD.len()).unwrap();
    Interchange::read(GOOD.as_bytes(), length).unwrap();
    for limit in [0, 1, length - 1] {
        assert!(
            matches!(
                Interchange::read(GOOD.as_bytes(), limit),
                Err(InterchangeError::TooLong { .. })
            ),
            "{limit}"
        );
    }
    // An endless file of white space.
    assert!(matches!(
        Interchange::read(io::repeat(b' '), 1 << 16),
        Err(InterchangeError::TooLong { .. })
    ));
}

#[test]
fn nesting_is_bounded() {
    Interchange::parse(&"[".repeat(1_000_000)).unwrap_err();
}

//! What the filter lets through, and what it must not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

fn passes(line: &str) -> bool {
    Filter::default().pass(line.as_bytes()).is_some()
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    digits.concat()
}

#[test]
fn ordinary_lines_pass() {
    for line in [
        "",
        "2026-11-25 10:00:00.123+00:00 | main | INFO  | Web3SignerApp | Web3Signer has started",
        "2026-11-25T10:00:00.123456Z  INFO web3signer: listening addr=127.0.0.1:9000 keys=100",
        "java.lang.IllegalStateException: Unable to bind",
        "\tat tech.pegasys.web3signer.core.Runner.run(Runner.java:123)",
        "stack 0f9e8d7c-0000-4000-8000-00000000000a is not the config's",
        "key 0x8f00a1b2... loaded in 12 ms",
        "refused: slot 123456789 is at or below 123456790 for key number 17",
        "GET /upcheck 200 0.4 ms",
    ] {
        assert!(passes(line), "{line}");
    }
}

#[test]
fn secrets_in_any_dress_do_not() {
    let key: Vec<u8> = (0..32_u8).map(|n| n.wrapping_mul(37).wrapping_add(11)).collect();
    let text = hex(&key);
    let pairs = |separator: &str| {
        key.iter()
            .map(|b| format!("{b:02x}"))
            .collect::<Vec<_>>()
            .join(separator)
    };
    let decimal = key.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let words = "abandon ability able about above absent absorb abstract absurd abuse access accident";
    for line in [
        text.clone(),
        text.to_uppercase(),
        format!("0x{text}"),
        format!("x{text}y"),
        format!("privateKey: \"0x{text}\""),
        format!("error at 7: \\x{}", pairs("\\x")),
        pairs(":"),
        pairs(" "),
        pairs(", 0x"),
        pairs("\\u00"),
        format!("{} {}", &text[..32], &text[32..]),
        format!("{}-{}", &text[..40], &text[40..]),
        format!("[{decimal}]"),
        STANDARD.encode(&key),
        STANDARD_NO_PAD.encode(&key),
        URL_SAFE_NO_PAD.encode(&key),
        format!("{{\"keystore_b64\":\"{}\"}}", STANDARD.encode(text.as_bytes())),
        "the PassWord is hunter2".to_owned(),
        "db_password=x".to_owned(),
        "pass-phrase: x".to_owned(),
        "private key follows".to_owned(),
        "private_key=1".to_owned(),
        "aws_secret_access_key".to_owned(),
        "AWS_SESSION_TOKEN=abc".to_owned(),
        "Credentials: x".to_owned(),
        "mnemonic: x".to_owned(),
        words.to_owned(),
        format!("words = {}", words.replace(' ', ", ")),
        format!("{words} tail"),
        "-----BEGIN EC KEY-----".to_owned(),
        "x -----BEGIN PRIVATE KEY----- y".to_owned(),
    ] {
        assert!(!passes(&line), "{line}");
    }
    assert_eq!(Filter::default().pass(&[b'a', 0xff]), None, "no UTF-8");
}

#[test]
fn a_pem_block_is_dropped_whole_and_its_end_is_found() {
    let mut filter = Filter::default();
    let lines = [
        ("before", true),
        ("-----BEGIN PRIVATE KEY-----", false),
        ("short", false),
        ("AQID", false),
        ("-----END PRIVATE KEY-----", false),
        ("after", true),
    ];
    for (line, passes) in lines {
        assert_eq!(filter.pass(line.as_bytes()).is_some(), passes, "{line}");
    }
    assert_eq!(filter.pass(b"-----BEGIN X-----"), None);
    for _ in 0..PEM_LINES {
        assert_eq!(filter.pass(b"line"), None);
    }
    assert_eq!(
        filter.pass(b"line"),
        Some("line"),
        "an end that never comes does not silence for ever"
    );
}

proptest! {
    #[test]
    fn no_key_gets_through(key in proptest::collection::vec(any::<u8>(), 32..=48), before in "[ -~]{0,20}", after in "[ -~]{0,20}", form in 0_u8..5) {
        let secret = match form {
            0 => hex(&key),
            1 => hex(&key).to_uppercase(),
            2 => STANDARD.encode(&key),
            3 => URL_SAFE_NO_PAD.encode(&key),
            _ => key.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":"),
        };
        let line = format!("{before} {secret} {after}");
        prop_assert!(!passes(&line), "{line}");
    }

    #[test]
    fn no_bytes_lead_to_a_panic(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let mut filter = Filter::default();
        for line in lines {
            if let Some(text) = filter.pass(&line) {
                prop_assert_eq!(text.as_bytes(), &line[..]);
            }
        }
    }
}

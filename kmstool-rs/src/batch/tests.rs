//! Lines and items, without a client.

use super::*;

fn lines(text: &[u8]) -> Vec<Result<Vec<u8>, LineError>> {
    let mut input = io::BufReader::with_capacity(100, text);
    std::iter::from_fn(|| read_line(&mut input).unwrap()).collect()
}

fn refusal(line: &[u8]) -> LineError {
    item(line, &Defaults::default()).1.unwrap_err()
}

#[test]
fn lines_are_bounded() {
    let longest = vec![b'x'; MAX_LINE_BYTES];
    let text = [
        &b"one\n\ntwo\r\n"[..],
        &longest,
        b"\n",
        &longest,
        b"x\n",
        &longest,
        &longest,
        b"\nlast",
    ]
    .concat();
    let expected = [
        Ok(b"one".to_vec()),
        Ok(vec![]),
        Ok(b"two\r".to_vec()),
        Ok(longest),
        Err(LineError::TooLong),
        Err(LineError::TooLong),
        Ok(b"last".to_vec()),
    ];
    assert_eq!(lines(&text), expected);
    assert_eq!(lines(&vec![b'x'; 1 << 20]), [Err(LineError::TooLong)]);
    assert_eq!(lines(b""), []);
}

fn key(name: &str) -> Option<KeyId> {
    KeyId::new(name).ok()
}

fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    EncryptionContext::new(pairs.iter().map(pair).collect()).unwrap()
}

#[test]
fn items() {
    let (id, request) = item(br#"{"id":"a","ciphertext":"AQID"}"#, &Defaults::default());
    let request = request.unwrap();
    assert_eq!(
        (id.as_deref(), request.key_id, request.algorithm),
        (Some("a"), None, None)
    );
    assert_eq!(request.context, EncryptionContext::default());
    let own = br#"{"ciphertext":"AQID","key_id":"alias/own","encryption_context":{"own":"1"},"encryption_algorithm":"RSAES_OAEP_SHA_256"}"#;
    let (id, request) = item(own, &Defaults::default());
    let request = request.unwrap();
    assert_eq!(
        (id, request.key_id, request.context),
        (None, key("alias/own"), context(&[("own", "1")]))
    );
    assert_eq!(request.algorithm, Some(EncryptionAlgorithm::RsaesOaepSha256));
}

/// The parent writes the lines. It must not be able to lead an item to a key, an algorithm or a context of its own choice.
#[test]
fn a_line_cannot_loosen_what_holds_for_all() {
    let defaults = Defaults {
        key_id: key("alias/all"),
        algorithm: Some(EncryptionAlgorithm::SymmetricDefault),
        context: context(&[("stack", "a")]),
    };
    for (more, expected) in [
        ("", context(&[("stack", "a")])),
        (r#","encryption_context":{}"#, context(&[("stack", "a")])),
        (
            r#","encryption_context":{"stack":"a"}"#,
            context(&[("stack", "a")]),
        ),
        (
            r#","key_id":"alias/all","encryption_algorithm":"SYMMETRIC_DEFAULT","encryption_context":{"kind":"bls"}"#,
            context(&[("stack", "a"), ("kind", "bls")]),
        ),
        (
            r#","key_id":null,"encryption_context":null"#,
            context(&[("stack", "a")]),
        ),
    ] {
        let line = format!(r#"{{"ciphertext":"AQID"{more}}}"#);
        let request = item(line.as_bytes(), &defaults).1.unwrap();
        assert_eq!(
            (request.key_id, request.context),
            (key("alias/all"), expected),
            "{more}"
        );
        assert_eq!(request.algorithm, defaults.algorithm);
    }
    for (what, more) in [
        ("key_id", r#""key_id":"alias/own""#),
        (
            "encryption_algorithm",
            r#""encryption_algorithm":"RSAES_OAEP_SHA_1""#,
        ),
        ("encryption_context", r#""encryption_context":{"stack":"b"}"#),
        (
            "encryption_context",
            r#""encryption_context":{"kind":"bls","stack":""}"#,
        ),
    ] {
        let line = format!(r#"{{"id":"x","ciphertext":"AQID",{more}}}"#);
        let (id, request) = item(line.as_bytes(), &defaults);
        assert_eq!(
            (id.as_deref(), request),
            (Some("x"), Err(LineError::Pinned(what)))
        );
    }
    // Each within the limit, together not.
    let long = Defaults {
        context: context(&[("stack", &"x".repeat(8000))]),
        ..Defaults::default()
    };
    let line = format!(
        r#"{{"ciphertext":"AQID","encryption_context":{{"kind":"{}"}}}}"#,
        "y".repeat(300)
    );
    let error = item(line.as_bytes(), &long).1.unwrap_err();
    assert_eq!(error, LineError::Request(RequestError::Context));
}

#[test]
fn refusals() {
    assert_eq!(
        refusal(br#"{"ciphertext":"AQI"}"#),
        LineError::Request(RequestError::Base64)
    );
    assert_eq!(
        refusal(br#"{"ciphertext":""}"#),
        LineError::Request(RequestError::CiphertextLength(0))
    );
    assert_eq!(
        refusal(br#"{"ciphertext":"AQID","key_id":""}"#),
        LineError::Request(RequestError::KeyId)
    );
    let long = format!(r#"{{"id":"{}","ciphertext":"AQID"}}"#, "x".repeat(257));
    assert_eq!(refusal(long.as_bytes()), LineError::Id);
    for bad in [
        "",
        "[]",
        "null",
        r#"{"id":"a"}"#,
        r#"{"ciphertext":"AQID","extra":1}"#,
        r#"{"ciphertext":1}"#,
        r#"{"ciphertext":"AQID"}{}"#,
        "\u{0}",
    ] {
        assert!(matches!(refusal(bad.as_bytes()), LineError::Json(_)), "{bad}");
    }
    assert!(matches!(
        refusal(&b"[".repeat(MAX_LINE_BYTES)),
        LineError::Json(_)
    ));
    let (id, _) = item(br#"{"id":"kept","ciphertext":"*"}"#, &Defaults::default());
    assert_eq!(id.as_deref(), Some("kept"));
}

#[test]
fn truncated_and_flipped_items() {
    let good = br#"{"id":"a","ciphertext":"AQID","encryption_context":{"own":"1"}}"#;
    for length in 0..good.len() {
        assert!(matches!(refusal(&good[..length]), LineError::Json(_)), "{length}");
    }
    for byte in 0..good.len() {
        for bit in 0..8 {
            let mut line = good.to_vec();
            line[byte] ^= 1 << bit;
            // Whatever is still an item differs from the good one or only in its id.
            let (id, request) = item(&line, &Defaults::default());
            let same = request.is_ok_and(|request| Ok(request) == item(good, &Defaults::default()).1);
            assert!(!same || id.as_deref() != Some("a"), "bit {bit} of byte {byte}");
        }
    }
}

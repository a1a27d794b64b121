//! What is asked of KMS, and what of its answers is accepted.
#![expect(clippy::unwrap_used, reason = "a failed assumption should fail the test")]

use std::collections::BTreeMap;

use kmstool_rs::key_id::KeyId;
use kmstool_rs::ops::{Decrypt, GenerateDataKey, GenerateDataKeyPair, GenerateRandom, Operation as _};
use kmstool_rs::reply::{Reply, ReplyError};
use kmstool_rs::request::{DataKeySpec, EncryptionAlgorithm, EncryptionContext, RequestError};
use kmstool_rs::secret::Secret;

const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap()
}

fn context() -> EncryptionContext {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    EncryptionContext::new(BTreeMap::from([pair("b", "2"), pair("a", "\"1/é")])).unwrap()
}

#[test]
fn requests() {
    let recipient =
        r#""Recipient":{"KeyEncryptionAlgorithm":"RSAES_OAEP_SHA_256","AttestationDocument":"ZG9j"}"#;
    let mut decrypt = Decrypt::from_base64("AQID").unwrap();
    assert_eq!(
        text(decrypt.body("ZG9j")),
        format!(r#"{{"CiphertextBlob":"AQID",{recipient}}}"#)
    );
    decrypt.key_id = Some(KeyId::new("alias/a").unwrap());
    decrypt.algorithm = Some(EncryptionAlgorithm::SymmetricDefault);
    decrypt.context = context();
    let expected = r#"{"CiphertextBlob":"AQID","KeyId":"alias/a","EncryptionAlgorithm":"SYMMETRIC_DEFAULT","EncryptionContext":{"a":"\"1/é","b":"2"},"#;
    assert_eq!(text(decrypt.body("ZG9j")), format!("{expected}{recipient}}}"));

    let key_id = KeyId::new("k").unwrap();
    let key = GenerateDataKey {
        key_id: key_id.clone(),
        spec: DataKeySpec::Aes256,
        context: EncryptionContext::default(),
    };
    assert_eq!(
        text(key.body("ZG9j")),
        format!(r#"{{"KeyId":"k","KeySpec":"AES_256",{recipient}}}"#)
    );
    let pair = GenerateDataKeyPair::new(key_id, "RSA_2048").unwrap();
    assert_eq!(
        text(pair.body("ZG9j")),
        format!(r#"{{"KeyId":"k","KeyPairSpec":"RSA_2048",{recipient}}}"#)
    );
    let random = GenerateRandom::new(32).unwrap();
    assert_eq!(
        text(random.body("ZG9j")),
        format!(r#"{{"NumberOfBytes":32,{recipient}}}"#)
    );
}

#[test]
fn limits_of_requests() {
    assert_eq!(Decrypt::new(vec![]), Err(RequestError::CiphertextLength(0)));
    assert_eq!(
        Decrypt::new(vec![0; 6145]),
        Err(RequestError::CiphertextLength(6145))
    );
    for bad in ["AQI", "AQID\n", "AQ=D", "AQ-_", "*"] {
        assert_eq!(Decrypt::from_base64(bad), Err(RequestError::Base64), "{bad}");
    }
    assert_eq!(GenerateRandom::new(0), Err(RequestError::RandomLength(0)));
    assert_eq!(GenerateRandom::new(1025), Err(RequestError::RandomLength(1025)));
    let context = |name: &str, value: &str| EncryptionContext::new([(name.into(), value.into())].into());
    assert_eq!(context("", "x"), Err(RequestError::Context));
    assert_eq!(context("a", &"x".repeat(8192)), Err(RequestError::Context));
    assert!(context("a", &"x".repeat(8191)).is_ok_and(|context| format!("{context:?}").len() > 8191));
    assert_eq!(
        EncryptionAlgorithm::from_name("rsaes_oaep_sha_1"),
        Err(RequestError::Algorithm)
    );
    let pair = |spec| GenerateDataKeyPair::new(KeyId::new("k").unwrap(), spec).unwrap_err();
    assert_eq!(
        [pair(""), pair("rsa"), pair("A\"B")],
        [RequestError::KeyPairSpec; 3]
    );
}

fn decrypt_reply(json: &str) -> Result<String, ReplyError> {
    let mut decrypt = Decrypt::new(vec![1]).unwrap();
    decrypt.key_id = Some(KeyId::new(ARN).unwrap());
    decrypt.algorithm = Some(EncryptionAlgorithm::SymmetricDefault);
    let reply = Reply::parse(json.as_bytes())?;
    assert_eq!(reply.envelope(), [1, 2, 3]);
    decrypt.check(&reply)?;
    decrypt
        .answer(reply, Secret::new(vec![]))
        .map(|decrypted| decrypted.key_arn)
}

#[test]
fn tolerated_replies() {
    for extra in [
        "",
        r#","Plaintext":null"#,
        r#","Plaintext":"""#,
        r#","EncryptionAlgorithm":"SYMMETRIC_DEFAULT""#,
        r#","New":{"deep":[1,2,{}]},"KeyMaterialId":"x","CiphertextBlob":null"#,
    ] {
        let json = format!(r#"{{"KeyId":"{ARN}","CiphertextForRecipient":"AQID"{extra}}}"#);
        assert_eq!(decrypt_reply(&json), Ok(ARN.to_owned()), "{extra}");
    }
    let escaped = format!(
        r#" {{ "CiphertextForRecipient" : "AQID" , "KeyId":"{}" }} "#,
        ARN.replace('/', r"\/")
    );
    assert_eq!(decrypt_reply(&escaped), Ok(ARN.to_owned()));
}

#[test]
fn refused_replies() {
    let other = ARN.replace("1111", "9999");
    let key = |found: &str| ReplyError::Key {
        expected: ARN.to_owned(),
        found: found.to_owned(),
    };
    let blob = |field, max| ReplyError::Blob { field, max };
    for (json, error) in [
        (
            r#"{"CiphertextForRecipient":"AQID"}"#.to_owned(),
            ReplyError::Missing("KeyId"),
        ),
        (
            format!(r#"{{"KeyId":"{ARN}"}}"#),
            ReplyError::Missing("CiphertextForRecipient"),
        ),
        (
            format!(r#"{{"KeyId":"{other}","CiphertextForRecipient":"AQID"}}"#),
            key(&other),
        ),
        (
            r#"{"KeyId":"","CiphertextForRecipient":"AQID"}"#.to_owned(),
            key(""),
        ),
        (
            format!(r#"{{"KeyId":"{ARN}","CiphertextForRecipient":""}}"#),
            blob("CiphertextForRecipient", 6144),
        ),
        (
            format!(r#"{{"KeyId":"{ARN}","CiphertextForRecipient":"AQI"}}"#),
            blob("CiphertextForRecipient", 6144),
        ),
        (
            format!(
                r#"{{"KeyId":"{ARN}","CiphertextForRecipient":"{}"}}"#,
                "AAAA".repeat(2049)
            ),
            blob("CiphertextForRecipient", 6144),
        ),
        (
            format!(r#"{{"KeyId":"{ARN}","CiphertextForRecipient":"AQID","Plaintext":"UExBTlQ="}}"#),
            ReplyError::Clear,
        ),
        (
            format!(r#"{{"KeyId":"{ARN}","CiphertextForRecipient":"AQID","Plaintext":[0]}}"#),
            ReplyError::Clear,
        ),
        (
            format!(
                r#"{{"KeyId":"{ARN}","CiphertextForRecipient":"AQID","EncryptionAlgorithm":"RSAES_OAEP_SHA_1"}}"#
            ),
            ReplyError::Algorithm {
                expected: "SYMMETRIC_DEFAULT",
            },
        ),
    ] {
        assert_eq!(decrypt_reply(&json), Err(error), "{json}");
    }
    for json in [
        "",
        "null",
        "[]",
        "{}x",
        r#"{"KeyId":1}"#,
        r#"{"KeyId":"a","KeyId":"b"}"#,
        &"[".repeat(90_000),
        "\u{0}",
    ] {
        assert!(
            matches!(decrypt_reply(json), Err(ReplyError::Json { .. })),
            "{json:.20}"
        );
    }
}

#[test]
fn truncated_and_flipped_replies() {
    let good = format!(r#"{{"KeyId":"{ARN}","CiphertextForRecipient":"AQID"}}"#);
    for length in 0..good.len() {
        assert!(
            matches!(
                Reply::parse(&good.as_bytes()[..length]),
                Err(ReplyError::Json { .. })
            ),
            "{length}"
        );
    }
    for byte in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone().into_bytes();
            bytes[byte] ^= 1 << bit;
            let Ok(reply) = Reply::parse(&bytes) else { continue };
            let mut decrypt = Decrypt::new(vec![1]).unwrap();
            decrypt.key_id = Some(KeyId::new(ARN).unwrap());
            // What still parses is either another key, which is refused, or another envelope.
            assert!(
                decrypt.check(&reply).is_err() || reply.envelope() != [1, 2, 3],
                "bit {bit} of byte {byte}"
            );
        }
    }
}

#[test]
fn lengths_of_generated_values() {
    let json = format!(r#"{{"KeyId":"{ARN}","CiphertextForRecipient":"AQID","CiphertextBlob":"BAUG"}}"#);
    let reply = || Reply::parse(json.as_bytes()).unwrap();
    let context = EncryptionContext::default();
    let ask = GenerateDataKey {
        key_id: KeyId::new(ARN).unwrap(),
        spec: DataKeySpec::Aes128,
        context,
    };
    let key = ask.answer(reply(), Secret::new(vec![7; 16])).unwrap();
    assert_eq!((key.ciphertext, key.key_arn.as_str()), (vec![4, 5, 6], ARN));
    let short = ReplyError::PlaintextLength {
        expected: 16,
        actual: 15,
    };
    assert_eq!(ask.answer(reply(), Secret::new(vec![7; 15])).unwrap_err(), short);
    let random = GenerateRandom::new(9).unwrap();
    let long = ReplyError::PlaintextLength {
        expected: 9,
        actual: 10,
    };
    assert_eq!(
        random.answer(reply(), Secret::new(vec![7; 10])).unwrap_err(),
        long
    );
    let pair = GenerateDataKeyPair::new(KeyId::new(ARN).unwrap(), "RSA_2048").unwrap();
    let missing = ReplyError::Missing("PrivateKeyCiphertextBlob");
    assert_eq!(pair.answer(reply(), Secret::new(vec![])).unwrap_err(), missing);
}

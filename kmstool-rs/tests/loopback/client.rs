//! The client against a KMS on the loopback that answers and refuses as KMS does.

use std::time::{Duration, SystemTime};

use kmstool_rs::client::Settings;
use kmstool_rs::key_id::KeyId;
use kmstool_rs::ops::{GenerateDataKey, GenerateDataKeyPair, GenerateRandom};
use kmstool_rs::recipient::MAX_DOCUMENT_AGE;
use kmstool_rs::request::{DataKeySpec, EncryptionContext};
use kmstool_rs::service_error::Class;
use serde_json::json;

use crate::setup::{NOW, block_on, ciphertext, decrypt, refuse, settings, setup, setup_with};
use crate::support::{Act, KEY_ARN, Server};

#[test]
fn every_operation_over_one_session() {
    let server = Server::start([]);
    let setup = setup(&server);
    block_on(async {
        let decrypted = setup.client.call(&ciphertext("hello")).await.unwrap();
        assert_eq!(
            (
                decrypted.plaintext.expose().as_slice(),
                decrypted.key_arn.as_str()
            ),
            (&b"hello"[..], KEY_ARN)
        );
        let key_id = KeyId::new(KEY_ARN).unwrap();
        let context = EncryptionContext::new([("a".to_owned(), "b".to_owned())].into()).unwrap();
        let ask = GenerateDataKey {
            key_id: key_id.clone(),
            spec: DataKeySpec::Aes256,
            context,
        };
        let key = setup.client.call(&ask).await.unwrap();
        assert_eq!(
            (key.plaintext.expose().as_slice(), key.ciphertext),
            (&[7; 32][..], vec![4, 5, 6])
        );
        let pair = setup
            .client
            .call(&GenerateDataKeyPair::new(key_id, "RSA_2048").unwrap())
            .await
            .unwrap();
        assert_eq!(
            (pair.private_key.expose().len(), pair.public_key),
            (1000, vec![1, 2, 3])
        );
        let random = setup
            .client
            .call(&GenerateRandom::new(1024).unwrap())
            .await
            .unwrap();
        assert_eq!(random.expose().as_slice(), [7; 1024]);
    });
    assert_eq!(server.sessions(), 1);
    let asked = setup.device.asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "one document for all");
    assert!(asked[0].public_key.as_ref().is_some_and(|key| key.len() == 294));
    assert_eq!((&asked[0].user_data, &asked[0].nonce), (&None, &None));
    let seen = server.seen();
    let header = |name: &str| seen[1].headers[name].as_str();
    assert_eq!(header("x-amz-target"), "TrentService.GenerateDataKey");
    assert_eq!(header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(header("host"), "kms.us-east-1.amazonaws.com");
    assert_eq!(header("x-amz-date"), "20181105T221604Z");
    assert_eq!(header("x-amz-security-token"), "PLANTED-TOKEN");
    let signed = "AWS4-HMAC-SHA256 Credential=AKID/20181105/us-east-1/kms/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=";
    assert!(
        header("authorization").starts_with(signed),
        "{}",
        header("authorization")
    );
    assert_eq!(seen[1].body["EncryptionContext"], json!({"a": "b"}));
    assert_eq!(
        seen[1].body["Recipient"]["KeyEncryptionAlgorithm"],
        "RSAES_OAEP_SHA_256"
    );
}

#[test]
fn passing_failures_are_tried_again() {
    for act in [
        refuse("ThrottlingException"),
        Act::Refuse(500, r#"{"__type":"KMSInternalException"}"#.to_owned()),
        Act::Refuse(503, "<html>".to_owned()),
        Act::Reset,
        Act::Slow(Duration::from_secs(2)),
    ] {
        let (result, requests) = decrypt([act.clone(), act.clone()]);
        assert_eq!((result, requests), (Ok("hello".to_owned()), 3), "{act:?}");
    }
    let (result, requests) = decrypt(vec![refuse("ThrottlingException"); 9]);
    assert_eq!((result.unwrap_err().class(), requests), (Class::Throttled, 5));
}

#[test]
fn lasting_failures_are_not() {
    for (name, class) in [
        ("AccessDeniedException", Class::Denied),
        ("InvalidCiphertextException", Class::Refused),
        ("ExpiredTokenException", Class::Credentials),
        ("InvalidSignatureException", Class::Credentials),
    ] {
        let (result, requests) = decrypt([refuse(name)]);
        let error = result.unwrap_err();
        assert_eq!((error.class(), requests), (class, 1), "{name}");
        let service = error.service().unwrap();
        assert_eq!(
            (
                service.name.as_str(),
                service.message.as_str(),
                service.request_id.as_str()
            ),
            (name, "text", "request-1")
        );
    }
}

#[test]
fn documents_are_refreshed_before_they_are_stale() {
    let server = Server::start([]);
    let setup = setup(&server);
    let at =
        |seconds: u64| *setup.clock.0.lock().unwrap() = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let documents = || setup.device.asked.lock().unwrap().len();
    block_on(async {
        for (seconds, expected) in [
            (NOW, 1),
            (NOW + MAX_DOCUMENT_AGE.as_secs(), 1),
            (NOW + MAX_DOCUMENT_AGE.as_secs() + 1, 2),
            (NOW, 3),
            (NOW + 1, 3),
        ] {
            at(seconds);
            setup.client.call(&ciphertext("hello")).await.unwrap();
            assert_eq!(documents(), expected, "{}", seconds - NOW);
        }
    });
    let keys: Vec<_> = setup
        .device
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|asked| asked.public_key.clone())
        .collect();
    assert!(
        keys.iter().all(|key| *key == keys[0]),
        "one key for all documents"
    );
}

#[test]
fn clock_skew_is_corrected_once() {
    let message = "Signature expired: 20181105T221604Z is now earlier than 20181105T232104Z (20181105T232604Z - 5 min.)";
    let skewed = Act::Refuse(
        400,
        format!(r#"{{"__type":"InvalidSignatureException","message":"{message}"}}"#),
    );
    let server = Server::start([skewed.clone()]);
    let setup = setup(&server);
    block_on(async {
        setup.client.call(&ciphertext("one")).await.unwrap();
        setup.client.call(&ciphertext("two")).await.unwrap();
    });
    let stamps: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.headers["x-amz-date"].clone())
        .collect();
    assert_eq!(
        stamps,
        ["20181105T221604Z", "20181105T232604Z", "20181105T232604Z"]
    );

    let (result, requests) = decrypt([skewed.clone(), skewed]);
    let error = result.unwrap_err();
    assert_eq!((error.class(), requests), (Class::ClockSkew, 2));
    assert_eq!(
        error.to_string(),
        "KMS refused the request's time: this clock is 4200 s behind the clock of AWS"
    );

    let body = r#"{"__type":"RequestExpired"}"#.to_owned();
    let (result, requests) = decrypt([Act::RefuseAt(400, body.clone(), "Mon, 05 Nov 2018 20:16:04 GMT")]);
    assert_eq!(
        (result, requests),
        (Ok("hello".to_owned()), 2),
        "the Date header serves too"
    );
    let (result, requests) = decrypt([Act::Refuse(400, body)]);
    assert_eq!(
        (result.unwrap_err().class(), requests),
        (Class::ClockSkew, 1),
        "no time to learn from"
    );
}

#[test]
fn batch_keeps_order_and_items_fail_alone() {
    let server = Server::start([
        Act::Answer,
        refuse("InvalidCiphertextException"),
        Act::LastAnswer,
        refuse("ThrottlingException"),
    ]);
    let setup = setup(&server);
    let requests: Vec<_> = (0..20)
        .map(|number| ciphertext(&format!("item {number}")))
        .collect();
    let results = block_on(setup.client.decrypt_batch(&requests));
    for (number, result) in results.iter().enumerate() {
        match (number, result) {
            (1, Err(error)) => assert_eq!(error.class(), Class::Refused),
            (_, Ok(decrypted)) => {
                assert_eq!(decrypted.plaintext.expose(), format!("item {number}").as_bytes());
            }
            (_, Err(error)) => unreachable!("item {number}: {error:?}"),
        }
    }
    assert_eq!(
        (results.len(), server.sessions()),
        (20, 2),
        "a new session only where the server closed one"
    );
    assert_eq!(setup.device.asked.lock().unwrap().len(), 1);
}

#[test]
fn concurrency_is_bounded() {
    let server = Server::start(vec![Act::Slow(Duration::from_millis(20)); 24]);
    let setup = setup_with(
        server.port,
        Settings {
            sessions: 4,
            ..settings(&server)
        },
    );
    let requests: Vec<_> = (0..24)
        .map(|number| ciphertext(&format!("item {number}")))
        .collect();
    let results = block_on(setup.client.decrypt_batch(&requests));
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(server.sessions(), 4);
}

#[test]
fn nothing_secret_is_printable() {
    let server = Server::start([Act::Refuse(
        400,
        r#"{"__type":"X","message":"PLANTED-TOKEN PLANTED-KEY"}"#.to_owned(),
    )]);
    let setup = setup(&server);
    let error = block_on(setup.client.call(&ciphertext("hello"))).unwrap_err();
    let decrypted = block_on(setup.client.call(&ciphertext("PLANTED-TEXT"))).unwrap();
    let shown = format!("{:?} {error:?} {error} {decrypted:?}", setup.client);
    assert!(!shown.contains("PLANTED"), "{shown}");
    assert!(shown.contains("[redacted] [redacted]"));
}

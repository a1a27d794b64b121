//! What goes wrong on request, seen from the client.

use std::time::{Duration, Instant};

use aws_lc_rs::encoding::AsDer as _;
use serde_json::json;
use simulator::kms::fault::{Fault, Kind};
use simulator::kms::operation::Operation;

use crate::client::Answer;
use crate::setup::{NOW, Setup, recipient, rsa, simulated, unbase64, unsigned};

/// One attested `Decrypt` over a new connection.
fn decrypt(setup: &Setup, spki: &[u8]) -> std::io::Result<Answer> {
    let body = json!({
        "CiphertextBlob": setup.ciphertext(b"x", &[]),
        "Recipient": recipient(&unsigned(1, Some(spki), NOW)),
    })
    .to_string();
    let headers = setup.enclave.headers("Decrypt", body.as_bytes());
    setup.connect().send(&headers, body.as_bytes())
}

#[test]
fn errors_come_as_often_as_asked_for_and_only_where() {
    let setup = simulated();
    let (_, spki) = rsa();
    let throttle = Fault::next(Kind::Throttle, 2).of(Operation::Decrypt).after(1);
    setup.kms().add_fault(throttle);
    let describe = || {
        setup
            .admin("DescribeKey", &json!({"KeyId": setup.key_arn}))
            .status
    };
    assert_eq!(describe(), 200);
    let answers: Vec<_> = (0..4)
        .map(|_| decrypt(&setup, &spki).unwrap())
        .map(|answer| (answer.status, answer.error()))
        .collect();
    let throttled = (400, "ThrottlingException".to_owned());
    let good = (200, String::new());
    assert_eq!(answers, [good.clone(), throttled.clone(), throttled, good]);
    assert_eq!(describe(), 200);
    assert_eq!(setup.kms().counts().answers_of("ThrottlingException"), 2);
}

#[test]
fn server_errors_have_their_status_and_body() {
    let setup = simulated();
    let (_, spki) = rsa();
    setup.kms().add_fault(Fault::next(Kind::Internal, 1));
    let answer = decrypt(&setup, &spki).unwrap();
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (500, "KMSInternalException")
    );
    setup.kms().add_fault(Fault::next(Kind::Unavailable, 1));
    let answer = decrypt(&setup, &spki).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (503, "text/html"));
    assert!(answer.body.starts_with(b"<html>"));
    setup.kms().add_fault(Fault::next(Kind::Garbage, 1));
    let answer = decrypt(&setup, &spki).unwrap();
    assert_eq!(answer.status, 200);
    serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_err();
}

#[test]
fn an_answer_can_be_late() {
    let setup = simulated();
    let (_, spki) = rsa();
    let time = Duration::from_millis(300);
    setup.kms().add_fault(Fault::next(Kind::Slow(time), 1));
    let start = Instant::now();
    assert_eq!(decrypt(&setup, &spki).unwrap().status, 200);
    assert!(start.elapsed() >= time);
}

#[test]
fn connections_break_before_and_within_an_answer() {
    let setup = simulated();
    let (_, spki) = rsa();
    setup.kms().add_fault(Fault::next(Kind::Reset, 1));
    decrypt(&setup, &spki).unwrap_err();
    setup.kms().add_fault(Fault::next(Kind::ShortRead, 1));
    let error = decrypt(&setup, &spki).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(decrypt(&setup, &spki).unwrap().status, 200);
}

#[test]
fn a_reset_leaves_other_connections_alone() {
    let setup = simulated();
    let body = json!({"KeyId": setup.key_arn});
    let mut kept = setup.connect();
    assert_eq!(kept.call(&setup.admin, "DescribeKey", &body).status, 200);
    let (_, spki) = rsa();
    setup
        .kms()
        .add_fault(Fault::next(Kind::Reset, 1).of(Operation::Decrypt));
    decrypt(&setup, &spki).unwrap_err();
    assert_eq!(kept.call(&setup.admin, "DescribeKey", &body).status, 200);
}

#[test]
fn another_key_is_named() {
    let setup = simulated();
    let (_, spki) = rsa();
    setup.kms().add_fault(Fault::next(Kind::WrongKeyId, 1));
    let answer = decrypt(&setup, &spki).unwrap().json();
    assert!(answer["KeyId"].as_str().unwrap().starts_with("arn:aws:kms:"));
    assert_ne!(answer["KeyId"], setup.key_arn);
}

#[test]
fn an_envelope_can_be_for_somebody_else() {
    let setup = simulated();
    let (_, spki) = rsa();
    let id = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &spki);
    let names_us = |answer: &Answer| {
        let envelope = unbase64(&answer.json()["CiphertextForRecipient"]);
        envelope.windows(32).any(|window| window == id.as_ref())
    };
    assert!(names_us(&decrypt(&setup, &spki).unwrap()));
    setup.kms().add_fault(Fault::next(Kind::AnotherRecipient, 1));
    assert!(!names_us(&decrypt(&setup, &spki).unwrap()));
}

#[test]
fn a_bad_signature_uses_up_no_fault() {
    let setup = simulated();
    setup.kms().add_fault(Fault::next(Kind::Internal, 1));
    let mut stranger = setup.admin.clone();
    stranger.secret.push('x');
    let body = json!({"KeyId": setup.key_arn});
    let refused = setup.connect().call(&stranger, "DescribeKey", &body);
    assert_eq!(refused.error(), "InvalidSignatureException");
    assert_eq!(setup.admin("DescribeKey", &body).error(), "KMSInternalException");
    setup.kms().add_fault(Fault::next(Kind::Internal, 9));
    setup.kms().clear_faults();
    assert_eq!(setup.admin("DescribeKey", &body).error(), "");
}

/// What the tests above encrypt to is a usable key: the sizes of the API hold for RSA-4096 too.
#[test]
fn a_long_recipient_key_is_taken() {
    let setup = simulated();
    let size = aws_lc_rs::rsa::KeySize::Rsa4096;
    let key = aws_lc_rs::rsa::PrivateDecryptingKey::generate(size).unwrap();
    let spki = key.public_key().as_der().unwrap();
    let answer = decrypt(&setup, spki.as_ref()).unwrap().json();
    assert!(unbase64(&answer["CiphertextForRecipient"]).len() <= 6144);
}

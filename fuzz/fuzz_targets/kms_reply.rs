//! What whoever answers in KMS's place may send as a body: read as an answer and as a refusal.
#![no_main]

use kmstool_rs::envelope::{Envelope, MAX_ENVELOPE_BYTES};
use kmstool_rs::key_id::KeyId;
use kmstool_rs::ops::{Decrypt, Operation as _};
use kmstool_rs::reply::Reply;
use kmstool_rs::request::EncryptionAlgorithm;
use kmstool_rs::secret::Secret;
use kmstool_rs::service_error::{RawError, ServiceError};
use libfuzzer_sys::fuzz_target;

const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

fuzz_target!(|body: &[u8]| {
    refusal(body);
    let Ok(reply) = Reply::parse(body) else {
        return;
    };
    assert!((1..=MAX_ENVELOPE_BYTES).contains(&reply.envelope().len()));
    let mut request = Decrypt::new(vec![1]).expect("one byte is a ciphertext");
    request.key_id = KeyId::new(ARN).ok();
    request.algorithm = Some(EncryptionAlgorithm::SymmetricDefault);
    // Whatever is in it meets the reader of envelopes next.
    drop(Envelope::parse(reply.envelope()));
    if request.check(&reply).is_ok() {
        let answer = request.answer(reply, Secret::new(Vec::new()));
        let key_arn = answer.map(|decrypted| decrypted.key_arn);
        assert_eq!(key_arn.as_deref(), Ok(ARN), "the key was pinned");
    }
});

/// An error's text goes to logs and terminals: one bounded line of printable characters, whatever was sent.
fn refusal(body: &[u8]) {
    for status in [400, 500] {
        let error = ServiceError::read(&RawError {
            status,
            body,
            ..RawError::default()
        });
        let text = error.to_string();
        assert!(text.len() <= 2048, "{} bytes", text.len());
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(error.class().word().len() > 2);
    }
}

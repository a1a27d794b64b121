//! `CiphertextForRecipient`: the reader of foreign BER, and the opening of what it lets through.
#![no_main]

use std::sync::LazyLock;

use kmstool_rs::envelope::{Envelope, EnvelopeError, MAX_ENVELOPE_BYTES};
use kmstool_rs::unwrap_key::UnwrapKey;
use libfuzzer_sys::fuzz_target;

/// The key that most of the seeds are encrypted to.
static KEY: LazyLock<UnwrapKey> = LazyLock::new(|| {
    let der = include_bytes!("../../kmstool-rs/tests/data/cms/keys/recipient_key_pkcs8.der");
    UnwrapKey::from_pkcs8(der).expect("a key of the tests")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = Envelope::parse(bytes) else {
        return;
    };
    assert!(bytes.len() <= MAX_ENVELOPE_BYTES);
    let ours = envelope.recipient() == KEY.id();
    match envelope.open(&KEY) {
        Ok(plaintext) => assert!(ours && plaintext.expose().len() < bytes.len()),
        Err(EnvelopeError::Recipient { .. }) => assert!(!ours),
        Err(EnvelopeError::Unwrap(_)) => assert!(ours),
        Err(other) => panic!("a fault of the form was found too late: {other}"),
    }
});

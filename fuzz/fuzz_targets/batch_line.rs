//! One line of `decrypt --batch`: the parent writes these.
#![no_main]

use kmstool_rs::batch::{Defaults, item};
use kmstool_rs::key_id::KeyId;
use kmstool_rs::ops::Operation as _;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|line: &[u8]| {
    let (id, request) = item(line, &Defaults::default());
    assert!(id.is_none_or(|id| id.len() <= 256));
    let pinned = Defaults {
        key_id: KeyId::new("alias/pinned").ok(),
        ..Defaults::default()
    };
    if let Ok(request) = item(line, &pinned).1 {
        assert_eq!(request.key_id, pinned.key_id, "a line chose another key");
    }
    match request {
        Ok(request) => {
            // What is asked of KMS is the item and a recipient, nothing that the line smuggled in.
            let body: Value = serde_json::from_slice(&request.body("ZG9j")).expect("a request is JSON");
            let known = [
                "CiphertextBlob",
                "EncryptionAlgorithm",
                "EncryptionContext",
                "KeyId",
                "Recipient",
            ];
            let fields = body.as_object().expect("a request is an object");
            assert!(fields.keys().all(|key| known.contains(&key.as_str())), "{body}");
            assert_eq!(body["Recipient"]["AttestationDocument"], "ZG9j");
        }
        Err(error) => assert!(error.to_string().len() < 200, "{error}"),
    }
});

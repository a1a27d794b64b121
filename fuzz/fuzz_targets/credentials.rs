//! Credentials as the parent hands them over, in the form of the instance metadata service.
#![no_main]

use kmstool_rs::credentials::{Credentials, CredentialsError, MAX_JSON_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let read = Credentials::from_reader(json);
    let parsed = Credentials::from_json(json);
    assert_eq!(
        read.as_ref().err(),
        parsed.as_ref().err(),
        "read and parsed differ"
    );
    match parsed {
        Ok(credentials) => {
            assert!(json.len() <= MAX_JSON_BYTES);
            // What is shown of credentials is the same for all of them.
            let shown = format!("{credentials:?}");
            assert!(
                shown.len() < 150 && shown.matches("Secret(..)").count() >= 2,
                "{shown}"
            );
        }
        // An error names places and parts, never a value.
        Err(error) => assert!(
            error.to_string().len() < 100 || error == CredentialsError::Code,
            "{error}"
        ),
    }
});

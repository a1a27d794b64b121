//! The configuration file and the map of clients to keys of `web3signer-rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use web3signer_rs::cli::file;
use web3signer_rs::client_keys::ClientKeys;

fuzz_target!(|bytes: &[u8]| {
    match file::read("name", bytes) {
        Ok(values) => assert!(!values.is_empty() || bytes.iter().any(|byte| !byte.is_ascii_whitespace())),
        // An error names the file, a key or a place, and quotes no line.
        Err(error) => assert!(error.to_string().len() < 300 + bytes.len().min(4096), "{error}"),
    }
    if let Ok(map) = ClientKeys::parse(bytes) {
        assert!(
            !map.of(None).has(&[0; 48]),
            "a file lets a client without a name use a key"
        );
    }
});

//! A key configuration file of `web3signer-rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use web3signer_rs::keys::check_config_file;

fuzz_target!(|bytes: &[u8]| {
    match check_config_file(bytes) {
        // Each key has at least its type, its secret or file, and what is between.
        Ok(keys) => assert!(keys <= bytes.len() / 8, "{keys} keys in {} bytes", bytes.len()),
        Err(error) => assert!(error.to_string().len() < 400, "{error}"),
    }
});

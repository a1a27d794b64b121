//! The TLS key store of `web3signer-rs`, with the password of the seeds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use web3signer_rs::tls::identity;

fuzz_target!(|bytes: &[u8]| {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    if let Ok(certified) = identity::read(bytes, "changeit", &provider) {
        certified.keys_match().expect("a key that serves its certificate");
    }
});

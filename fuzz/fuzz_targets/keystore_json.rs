//! An EIP-2335 keystore, read and not decrypted: the cost of a decryption is bounded by what the reader lets through.
#![no_main]

use keystore::{Keystore, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(keystore) = Keystore::parse(bytes) {
        let memory = keystore.kdf().memory_bytes();
        assert!(
            memory <= Limits::default().scrypt_memory_bytes,
            "{memory} bytes for one derivation"
        );
        assert_eq!(keystore.public_key().to_string().len(), 98);
    }
});

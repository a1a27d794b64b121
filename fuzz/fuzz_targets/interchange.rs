//! An interchange file of slashing protection (EIP-3076).
#![no_main]

use libfuzzer_sys::fuzz_target;
use web3signer_rs::slashing::interchange::Interchange;

fuzz_target!(|text: &str| {
    if let Ok(read) = Interchange::parse(text) {
        let written = read.to_text();
        match Interchange::parse(&written) {
            Ok(again) => assert_eq!(again.to_text(), written, "the history changes when it is written"),
            Err(error) => panic!("what was written does not read: {error}"),
        }
    }
});

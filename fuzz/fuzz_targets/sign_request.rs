//! The body of a sign request of `web3signer-rs`, on networks of both presets and with every fork from the start.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use web3signer_rs::consensus::{Network, SignRequest};

static NETWORKS: LazyLock<Vec<Network>> = LazyLock::new(|| {
    let named = ["mainnet", "minimal", "gnosis", "hoodi", "sepolia"];
    named
        .into_iter()
        .filter_map(|name| Network::from_option(name).ok())
        .collect()
});

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(NETWORKS.len(), 5);
    for network in NETWORKS.iter() {
        let read = || SignRequest::parse(bytes).map(|request| request.resolve(network));
        let (Ok(first), Ok(second)) = (read(), read()) else {
            return;
        };
        let (Ok(first), Ok(second)) = (first, second) else {
            continue;
        };
        assert_eq!(first.signing_root, second.signing_root, "one body, two roots");
        assert_eq!(first.slashable, second.slashable, "one body, two duties");
        if let Some(duty) = first.slashable {
            assert_eq!(
                duty.signing_root, first.signing_root,
                "what is judged is not what is signed"
            );
        }
    }
});

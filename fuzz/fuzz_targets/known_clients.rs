//! The list of TLS clients of `web3signer-rs`, as an operator writes it or an artefact carries it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use web3signer_rs::tls::certificate::ClientName;
use web3signer_rs::tls::known_clients::{KnownClients, fingerprint};

fuzz_target!(|bytes: &[u8]| {
    let Ok(clients) = KnownClients::parse(bytes) else {
        return;
    };
    let text = std::str::from_utf8(bytes).expect("what is accepted is text");
    // Whoever is known stands in the file, as the last line of that name.
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(name), Some(hex)) = (words.next(), words.next()) else {
            continue;
        };
        let last = text
            .lines()
            .map(str::trim)
            .rfind(|other| other.split_whitespace().next() == Some(name));
        let client = ClientName {
            common_name: name.to_owned(),
            fingerprint: fingerprint(hex).expect("checked"),
        };
        let is_last =
            last.and_then(|last| fingerprint(last.split_whitespace().nth(1)?)) == Some(client.fingerprint);
        assert_eq!(clients.knows(&client), is_last, "{line:?}");
    }
    let nobody = ClientName {
        common_name: "no such name".to_owned(),
        fingerprint: [0; 32],
    };
    assert!(!clients.knows(&nobody));
});

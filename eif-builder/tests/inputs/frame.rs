//! The frame of signed text: nothing outside it counts, and nothing in it changes unnoticed.

use eif_builder::debian::clearsign::{ClearsignError, verify};
use eif_builder::debian::keyring::Refusal;

use crate::keys::{PLAIN, SOUND, TestKey};
use crate::signature::{TEXT, seconds};

#[test]
fn changed_text_is_noticed_and_text_outside_is_refused() {
    let key = TestKey::new(SOUND);
    let keyring = key.keyring();
    let message = key.clearsign(TEXT, PLAIN);
    let check = |message: &str| verify(message.as_bytes(), &keyring, seconds(2000));
    for (from, to) in [
        ("Debian", "Debiam"),
        ("last", "last\nmore"),
        ("last\n", ""),
        ("- - dash", "dash"),
    ] {
        let changed = message.replacen(from, to, 1);
        assert!(
            matches!(check(&changed), Err(ClearsignError::Refused(r)) if r == [Refusal::Mismatch]),
            "{to}"
        );
    }
    for changed in [
        format!("before\n{message}"),
        format!("\n{message}"),
        format!("{message}after\n"),
        message.replacen("Hash: SHA256\n", "Hash: SHA256\nOrigin: Evil\n", 1),
        message.replacen("Hash: SHA256\n\n", "", 1),
        message.replacen("- - dash", "- dash\n-dash", 1),
        format!("{message}{message}"),
        String::new(),
    ] {
        let result = check(&changed);
        assert!(
            matches!(result, Err(ClearsignError::Frame(_))),
            "{changed}: {result:?}"
        );
    }
    // Line ends and trailing blanks are not signed; the text comes out without them.
    assert_eq!(check(&message.replace('\n', "\r\n")).unwrap().as_str(), TEXT);
    assert_eq!(
        check(&message.replace("Debian\n", "Debian \t\n"))
            .unwrap()
            .as_str(),
        TEXT
    );
}

#[test]
fn every_cut_is_refused_without_panic() {
    let key = TestKey::new(SOUND);
    let keyring = key.keyring();
    let message = key.clearsign(TEXT, PLAIN);
    for end in 0..message.trim_end().len() {
        assert!(
            verify(&message.as_bytes()[..end], &keyring, seconds(2000)).is_err(),
            "cut at {end}"
        );
    }
}

#[test]
fn sizes_are_bounded() {
    let keyring = TestKey::new(SOUND).keyring();
    let large = vec![b'\n'; eif_builder::debian::clearsign::MAX_BYTES + 1];
    assert!(matches!(
        verify(&large, &keyring, 0),
        Err(ClearsignError::TooLarge { .. })
    ));
    let armor = "x\n".repeat(40_000);
    let message = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\n\na\n-----BEGIN PGP SIGNATURE-----\n{armor}-----END PGP SIGNATURE-----\n"
    );
    assert!(matches!(
        verify(message.as_bytes(), &keyring, 0),
        Err(ClearsignError::TooLarge { .. })
    ));
    assert!(matches!(
        verify(&[0xFF], &keyring, 0),
        Err(ClearsignError::NotText)
    ));
}

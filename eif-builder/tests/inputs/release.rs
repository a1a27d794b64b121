//! Debian's own release files, and the committed keys.

use eif_builder::debian::clearsign::{ClearsignError, verify};
use eif_builder::debian::keyring::{Keyring, Refusal};
use eif_builder::debian::release::{Release, ReleaseError};

/// 2026-11-22, when the fixtures were fetched.
const FETCHED: u64 = 1_795_305_600;

fn fixture(name: &str) -> Vec<u8> {
    use std::io::Read as _;
    let path = format!("{}/tests/data/InRelease.{name}.xz", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    let packed = std::fs::File::open(path).unwrap();
    eif_builder::compression::Compression::Xz
        .reader(packed)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

#[test]
fn debians_own_release_files_are_accepted() {
    let keyring = Keyring::debian().unwrap();
    let automatic = "b8e5f13176d2a7a75220028078dba3bc47ef2265";
    let security = "89c87acea5dd6b8e6a7068808e9f831205b4ba95";
    let stable = "41587f7db8c774bccf131416762f67a0b2c39de4";
    for (name, signers) in [
        ("trixie", &[automatic, stable][..]),
        ("trixie-updates", &[automatic]),
        ("trixie-security", &[security]),
    ] {
        let signed = verify(&fixture(name), &keyring, FETCHED).unwrap();
        assert_eq!(signed.signers(), signers, "{name}");
        let release = Release::parse(&signed, name, FETCHED).unwrap();
        assert!(release.by_hash());
        assert!(release.file("main/binary-amd64/Packages.xz").unwrap().size > 1000);
        assert!(matches!(
            release.file("main/binary-amd64/Nothing"),
            Err(ReleaseError::NotListed { .. })
        ));
    }
}

#[test]
fn a_release_file_counts_for_its_suite_and_time_only() {
    let keyring = Keyring::debian().unwrap();
    let signed = verify(&fixture("trixie-security"), &keyring, FETCHED).unwrap();
    assert!(matches!(
        Release::parse(&signed, "trixie", FETCHED),
        Err(ReleaseError::Other { .. })
    ));
    // Valid-Until is 2026-11-28 00:53:03 UTC.
    Release::parse(&signed, "trixie-security", 1_795_827_183).unwrap();
    let late = Release::parse(&signed, "trixie-security", 1_795_827_184);
    assert!(matches!(late, Err(ReleaseError::Expired { .. })), "{late:?}");
    let early = Release::parse(&signed, "trixie-security", FETCHED - 7 * 86_400);
    assert!(matches!(early, Err(ReleaseError::Future { .. })), "{early:?}");
}

#[test]
fn debians_keys_count_in_their_time_only() {
    let keyring = Keyring::debian().unwrap();
    let message = fixture("trixie-updates");
    let at = |now| match verify(&message, &keyring, now) {
        Ok(_) => None,
        // The first signature is by the previous Debian's key, which is not in the ring.
        Err(ClearsignError::Refused(refusals)) => Some(refusals[1]),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(at(FETCHED), None);
    assert_eq!(at(2_059_000_000), Some(Refusal::KeyExpired), "2035-03-31");
    assert_eq!(at(FETCHED - 7 * 86_400), Some(Refusal::Time));
    assert_eq!(
        at(1_700_000_000),
        Some(Refusal::Unbound),
        "before the key was made"
    );
}

#[test]
fn any_changed_byte_of_a_real_message_is_noticed() {
    let keyring = Keyring::debian().unwrap();
    let message = fixture("trixie-updates");
    let honest = verify(&message, &keyring, FETCHED).unwrap();
    // Every byte would take minutes without optimisation; a stride that is prime meets every part.
    for at in (0..message.len()).step_by(1009) {
        let mut changed = message.clone();
        changed[at] ^= 1;
        if let Ok(signed) = verify(&changed, &keyring, FETCHED) {
            // Within one of several signatures, a header or blanks: the text is still the honest one.
            assert_eq!(signed, honest, "at {at}");
        }
    }
}

//! Who may sign a release file: every kind of key and signature that must not count.
use eif_builder::debian::clearsign::{ClearsignError, verify};
use eif_builder::debian::keyring::{CLOCK_SKEW_SECONDS, Keyring, Refusal};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::SignatureType;

use crate::keys::{EPOCH, PLAIN, SOUND, Shape, Signing, TestKey};

pub(crate) const TEXT: &str = "Origin: Debian\n- dash\n-----BEGIN\nlast";

pub(crate) fn seconds(after: u32) -> u64 {
    u64::from(EPOCH + after)
}

/// The refusal of the one signature, at 2000 s after the key was made.
fn refusal(shape: Shape, how: Signing) -> Option<Refusal> {
    refusal_at(shape, how, 2000)
}

fn refusal_at(shape: Shape, how: Signing, after: u32) -> Option<Refusal> {
    let key = TestKey::new(shape);
    match verify(
        key.clearsign(TEXT, how).as_bytes(),
        &key.keyring(),
        seconds(after),
    ) {
        Ok(signed) => {
            assert_eq!(signed.as_str(), TEXT);
            None
        }
        Err(ClearsignError::Refused(refusals)) => {
            assert_eq!(refusals.len(), 1);
            Some(refusals[0])
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn sound_keys_and_signatures_are_accepted() {
    assert_eq!(refusal(SOUND, PLAIN), None);
    assert_eq!(refusal(Shape { rsa: true, ..SOUND }, PLAIN), None);
    assert_eq!(
        refusal(
            SOUND,
            Signing {
                by_subkey: false,
                ..PLAIN
            }
        ),
        None
    );
    for hash in [HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
        assert_eq!(refusal(SOUND, Signing { hash, ..PLAIN }), None);
    }
    let lives = Some(3000);
    assert_eq!(
        refusal(
            Shape {
                primary_lives: lives,
                subkey_lives: lives,
                ..SOUND
            },
            Signing { lives, ..PLAIN }
        ),
        None
    );
}

#[test]
fn expiry() {
    let primary = Shape {
        primary_lives: Some(1500),
        ..SOUND
    };
    let subkey = Shape {
        subkey_lives: Some(1500),
        ..SOUND
    };
    assert_eq!(refusal_at(primary, PLAIN, 1499), None);
    assert_eq!(refusal_at(primary, PLAIN, 1500), Some(Refusal::KeyExpired));
    assert_eq!(refusal_at(subkey, PLAIN, 1499), None);
    assert_eq!(refusal_at(subkey, PLAIN, 1500), Some(Refusal::KeyExpired));
    let brief = Signing {
        lives: Some(500),
        ..PLAIN
    };
    assert_eq!(refusal_at(SOUND, brief, 1499), None);
    assert_eq!(refusal_at(SOUND, brief, 1500), Some(Refusal::SignatureExpired));
}

#[test]
fn revocation() {
    let revoked = Some(Refusal::Revoked);
    assert_eq!(
        refusal(
            Shape {
                primary_revoked: true,
                ..SOUND
            },
            PLAIN
        ),
        revoked
    );
    assert_eq!(
        refusal(
            Shape {
                primary_revoked: true,
                ..SOUND
            },
            Signing {
                by_subkey: false,
                ..PLAIN
            }
        ),
        revoked
    );
    assert_eq!(
        refusal(
            Shape {
                subkey_revoked: true,
                ..SOUND
            },
            PLAIN
        ),
        revoked
    );
    // A revoked subkey does not taint its primary; the only user id revoked leaves it without a self-signature.
    assert_eq!(
        refusal(
            Shape {
                subkey_revoked: true,
                ..SOUND
            },
            Signing {
                by_subkey: false,
                ..PLAIN
            }
        ),
        None
    );
    assert_eq!(
        refusal(
            Shape {
                user_revoked: true,
                ..SOUND
            },
            PLAIN
        ),
        Some(Refusal::Unbound)
    );
}

#[test]
fn bindings() {
    let unbound = Some(Refusal::Unbound);
    assert_eq!(
        refusal(
            Shape {
                subkey_agrees: false,
                ..SOUND
            },
            PLAIN
        ),
        unbound
    );
    assert_eq!(
        refusal(
            Shape {
                self_hash: HashAlgorithm::Sha1,
                rsa: true,
                ..SOUND
            },
            PLAIN
        ),
        unbound
    );
    assert_eq!(
        refusal(
            Shape {
                renewed_after: &[5000],
                ..SOUND
            },
            PLAIN
        ),
        unbound,
        "self-signatures of the future"
    );
    assert_eq!(
        refusal(
            Shape {
                renewed_after: &[0, 100, 5000],
                ..SOUND
            },
            PLAIN
        ),
        None
    );
    let other = TestKey::new(Shape { seed: 2, ..SOUND });
    let mut adopter = TestKey::new(SOUND);
    adopter.adopt_subkey_of(&other);
    let message = other.clearsign(TEXT, PLAIN);
    let result = verify(message.as_bytes(), &adopter.keyring(), seconds(2000));
    assert!(matches!(result, Err(ClearsignError::Refused(r)) if r == [Refusal::Unbound]));
}

#[test]
fn keys_that_are_not_for_signing() {
    assert_eq!(
        refusal(
            Shape {
                subkey_signs: false,
                ..SOUND
            },
            PLAIN
        ),
        Some(Refusal::NotForSigning)
    );
    let primary = Shape {
        primary_signs: false,
        ..SOUND
    };
    assert_eq!(
        refusal(
            primary,
            Signing {
                by_subkey: false,
                ..PLAIN
            }
        ),
        Some(Refusal::NotForSigning)
    );
    assert_eq!(refusal(primary, PLAIN), None);
}

#[test]
fn signatures_of_unsound_form() {
    for (how, expected) in [
        (
            Signing {
                hash: HashAlgorithm::Sha1,
                ..PLAIN
            },
            Refusal::Algorithm,
        ),
        (
            Signing {
                hash: HashAlgorithm::Sha224,
                ..PLAIN
            },
            Refusal::Algorithm,
        ),
        (
            Signing {
                kind: SignatureType::Binary,
                ..PLAIN
            },
            Refusal::Algorithm,
        ),
        (
            Signing {
                critical_unknown: true,
                ..PLAIN
            },
            Refusal::Critical,
        ),
        (
            Signing {
                dated: false,
                ..PLAIN
            },
            Refusal::Time,
        ),
        (
            Signing {
                names_maker: false,
                ..PLAIN
            },
            Refusal::UnknownKey,
        ),
    ] {
        let rsa = how.hash != PLAIN.hash;
        assert_eq!(refusal(Shape { rsa, ..SOUND }, how), Some(expected));
    }
    let skew = u32::try_from(CLOCK_SKEW_SECONDS).unwrap();
    assert_eq!(
        refusal(
            SOUND,
            Signing {
                after: 2000 + skew,
                ..PLAIN
            }
        ),
        None
    );
    assert_eq!(
        refusal(
            SOUND,
            Signing {
                after: 2001 + skew,
                ..PLAIN
            }
        ),
        Some(Refusal::Time)
    );
}

#[test]
fn a_key_outside_the_ring() {
    let message = TestKey::new(Shape { seed: 2, ..SOUND }).clearsign(TEXT, PLAIN);
    let result = verify(message.as_bytes(), &TestKey::new(SOUND).keyring(), seconds(2000));
    let text = result.unwrap_err().to_string();
    assert!(
        text.contains("signature 1: made by a key that is not trusted"),
        "{text}"
    );
}

#[test]
fn damaged_key_files_are_refused() {
    let armored = TestKey::new(SOUND).armored();
    Keyring::from_armored(&[&armored, ""]).unwrap_err();
    Keyring::from_armored(&[&armored[..armored.len() / 2]]).unwrap_err();
}

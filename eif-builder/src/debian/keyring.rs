//! `OpenPGP` public keys, and which of them may sign at a given time.
//!
//! The `pgp` crate checks one signature at a time; which signatures a key needs, and what expiry and
//! revocation mean, is decided here, always to the strict side: a key that was ever validly revoked, for
//! whatever reason, signs nothing. Source: RFC 9580, sections 5.2.3 and 10.1.

use pgp::composed::{Deserializable as _, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SubpacketData};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

/// How far into the future a signature's time may lie, for clocks that differ. In seconds.
pub const CLOCK_SKEW_SECONDS: u64 = 300;

/// The keys that sign Debian 13 and its updates, as `reproducible/keys/README.md` describes them.
const DEBIAN_KEYS: [&str; 3] = [
    include_str!("../../../reproducible/keys/debian-archive-trixie-automatic.asc"),
    include_str!("../../../reproducible/keys/debian-archive-trixie-security-automatic.asc"),
    include_str!("../../../reproducible/keys/debian-archive-trixie-stable.asc"),
];

/// Public keys that are trusted to sign release files. Which of them are valid depends on the time.
#[derive(Clone, Debug)]
pub struct Keyring(Vec<SignedPublicKey>);

/// An armored key that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("key {number} of the keyring cannot be read")]
pub struct KeyringError {
    number: usize,
    #[source]
    source: pgp::errors::Error,
}

/// Why a key, or a signature made with it, does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No key of the ring made the signature.
    #[error("made by a key that is not trusted")]
    UnknownKey,
    /// The key or subkey that made it was revoked.
    #[error("its key was revoked")]
    Revoked,
    /// The key or subkey that made it has expired.
    #[error("its key has expired")]
    KeyExpired,
    /// The key has no valid self-signature, or its subkey no valid binding in both directions.
    #[error("its key has no valid self-signature")]
    Unbound,
    /// The key may certify or encrypt, but not sign data.
    #[error("its key is not meant for signing")]
    NotForSigning,
    /// The signature's own time is missing, before the key's, or in the future.
    #[error("its time is not plausible")]
    Time,
    /// The signature itself has expired.
    #[error("the signature has expired")]
    SignatureExpired,
    /// Not a version 4 or 6 signature over text, or one with a hash weaker than SHA-256.
    #[error("its kind or hash algorithm is not accepted")]
    Algorithm,
    /// It demands, as critical, something that is not understood.
    #[error("it has a critical part that is not understood")]
    Critical,
    /// It is not a signature over this text.
    #[error("it does not match the text")]
    Mismatch,
}

impl Keyring {
    /// The Debian archive keys that this source tree trusts.
    ///
    /// # Errors
    /// [`KeyringError`] when a committed key file is damaged.
    pub fn debian() -> Result<Self, KeyringError> {
        Self::from_armored(&DEBIAN_KEYS)
    }

    /// A ring of these ASCII-armored keys, one each.
    ///
    /// # Errors
    /// [`KeyringError`] with the number, from 1, of the first that cannot be read.
    pub fn from_armored(keys: &[&str]) -> Result<Self, KeyringError> {
        let read = |(index, text): (usize, &&str)| {
            let (key, _) = SignedPublicKey::from_string(text).map_err(|source| KeyringError {
                number: index + 1,
                source,
            })?;
            Ok(key)
        };
        keys.iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Checks that a trusted key, valid at `now` (seconds since 1970), made this signature over `text`.
    /// Gives the fingerprint of the key or subkey that made it.
    ///
    /// # Errors
    /// [`Refusal`], the first reason found.
    pub fn check(&self, signature: &Signature, text: &[u8], now: u64) -> Result<String, Refusal> {
        check_form(signature, SignatureType::Text)?;
        for key in &self.0 {
            if made_by(signature, &key.primary_key) {
                let validity = primary_validity(key, now)?;
                if !validity.may_sign {
                    return Err(Refusal::NotForSigning);
                }
                return check_made(signature, &key.primary_key, text, now);
            }
            for subkey in &key.public_subkeys {
                if made_by(signature, &subkey.key) {
                    primary_validity(key, now)?;
                    check_subkey(key, subkey, now)?;
                    return check_made(signature, &subkey.key, text, now);
                }
            }
        }
        Err(Refusal::UnknownKey)
    }
}

/// What the newest valid self-signature says about a primary key.
struct Validity {
    may_sign: bool,
}

fn primary_validity(key: &SignedPublicKey, now: u64) -> Result<Validity, Refusal> {
    let primary = &key.primary_key;
    if key
        .details
        .revocation_signatures
        .iter()
        .any(|s| s.verify_key(primary).is_ok())
    {
        return Err(Refusal::Revoked);
    }
    let direct = key
        .details
        .direct_signatures
        .iter()
        .filter(|s| s.verify_key(primary).is_ok());
    let certifications = key.details.users.iter().flat_map(|user| {
        let valid = |s: &&Signature| s.verify_certification(primary, Tag::UserId, &user.id).is_ok();
        let revokes = |s: &Signature| s.typ() == Some(SignatureType::CertRevocation);
        let disowned = user.signatures.iter().any(|s| revokes(s) && valid(&s));
        user.signatures
            .iter()
            .filter(move |s| !disowned && !revokes(s) && valid(s))
    });
    let newest = newest_in_force(direct.chain(certifications), now).ok_or(Refusal::Unbound)?;
    check_lifetime(primary, newest, now)?;
    Ok(Validity {
        may_sign: newest.key_flags().sign(),
    })
}

fn check_subkey(key: &SignedPublicKey, subkey: &SignedPublicSubKey, now: u64) -> Result<(), Refusal> {
    let primary = &key.primary_key;
    let of_type = |wanted| {
        let valid = move |s: &&Signature| {
            s.typ() == Some(wanted) && s.verify_subkey_binding(primary, &subkey.key).is_ok()
        };
        subkey.signatures.iter().filter(valid)
    };
    if of_type(SignatureType::SubkeyRevocation).next().is_some() {
        return Err(Refusal::Revoked);
    }
    let newest = newest_in_force(of_type(SignatureType::SubkeyBinding), now).ok_or(Refusal::Unbound)?;
    if !newest.key_flags().sign() {
        return Err(Refusal::NotForSigning);
    }
    // The subkey must agree, or anyone could adopt a foreign subkey as their own.
    let back = newest.embedded_signature().ok_or(Refusal::Unbound)?;
    check_form(back, SignatureType::KeyBinding)?;
    back.verify_primary_key_binding(&subkey.key, primary)
        .map_err(|_| Refusal::Unbound)?;
    check_lifetime(&subkey.key, newest, now)
}

/// The newest signature of sound form that was made by `now` and has not expired.
fn newest_in_force<'a>(signatures: impl Iterator<Item = &'a Signature>, now: u64) -> Option<&'a Signature> {
    signatures
        .filter(|s| s.typ().is_some_and(|t| check_form(s, t).is_ok()) && check_own_time(s, now).is_ok())
        .max_by_key(|s| s.created())
}

fn check_lifetime(key: &impl KeyDetails, self_signature: &Signature, now: u64) -> Result<(), Refusal> {
    let created = u64::from(key.created_at().as_secs());
    let lifetime = self_signature
        .key_expiration_time()
        .map_or(0, |d| u64::from(d.as_secs()));
    if created > now + CLOCK_SKEW_SECONDS {
        return Err(Refusal::Time);
    }
    // A lifetime of zero is the wire form of "never".
    if lifetime != 0 && now >= created + lifetime {
        return Err(Refusal::KeyExpired);
    }
    Ok(())
}

fn check_own_time(signature: &Signature, now: u64) -> Result<u64, Refusal> {
    let made = u64::from(signature.created().ok_or(Refusal::Time)?.as_secs());
    if made > now + CLOCK_SKEW_SECONDS {
        return Err(Refusal::Time);
    }
    let lifetime = signature
        .signature_expiration_time()
        .map_or(0, |d| u64::from(d.as_secs()));
    if lifetime != 0 && now >= made + lifetime {
        return Err(Refusal::SignatureExpired);
    }
    Ok(made)
}

fn check_form(signature: &Signature, wanted: SignatureType) -> Result<(), Refusal> {
    let config = signature.config().ok_or(Refusal::Algorithm)?;
    let strong = matches!(
        config.hash_alg,
        HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512
    );
    if config.typ() != wanted || !strong {
        return Err(Refusal::Algorithm);
    }
    let not_understood = |data: &SubpacketData| {
        matches!(
            data,
            SubpacketData::Experimental(..) | SubpacketData::Other(..) | SubpacketData::Notation(_)
        )
    };
    if config
        .hashed_subpackets()
        .any(|s| s.is_critical && not_understood(&s.data))
    {
        return Err(Refusal::Critical);
    }
    Ok(())
}

/// Whether the signature names this key as its maker. One that names nobody is not accepted at all.
fn made_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    signature.issuer_fingerprint().contains(&&key.fingerprint())
        || signature.issuer_key_id().contains(&&key.legacy_key_id())
}

fn check_made(
    signature: &Signature,
    key: &impl VerifyingKey,
    text: &[u8],
    now: u64,
) -> Result<String, Refusal> {
    let made = check_own_time(signature, now)?;
    if made < u64::from(key.created_at().as_secs()) {
        return Err(Refusal::Time);
    }
    signature.verify(key, text).map_err(|_| Refusal::Mismatch)?;
    Ok(key.fingerprint().to_string())
}

//! `OpenPGP` keys made at test time, sound ones and every kind of unsound one, and signatures by them.

use eif_builder::debian::keyring::Keyring;
use pgp::composed::{
    ArmorOptions, DetachedSignature, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedPublicKey,
    SignedSecretKey, SubkeyParamsBuilder,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{Duration, KeyVersion, Password, SigningKey, Tag, Timestamp};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// When the keys of these tests are made: 2001-09-09. Times below are seconds after it.
pub(crate) const EPOCH: u32 = 1_000_000_000;

/// How a key is made.
#[derive(Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that may be wrong"
)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    /// RSA 2048, with which the `pgp` crate still signs weak hashes; else Ed25519, which is quicker to make.
    pub(crate) rsa: bool,
    pub(crate) primary_lives: Option<u32>,
    pub(crate) primary_signs: bool,
    pub(crate) primary_revoked: bool,
    pub(crate) user_revoked: bool,
    pub(crate) self_hash: HashAlgorithm,
    pub(crate) subkey_lives: Option<u32>,
    pub(crate) subkey_signs: bool,
    pub(crate) subkey_revoked: bool,
    pub(crate) subkey_agrees: bool,
    /// Self-signatures are made this long after the key, in order.
    pub(crate) renewed_after: &'static [u32],
}

pub(crate) const SOUND: Shape = Shape {
    seed: 1,
    rsa: false,
    primary_lives: None,
    primary_signs: true,
    primary_revoked: false,
    user_revoked: false,
    self_hash: HashAlgorithm::Sha512,
    subkey_lives: None,
    subkey_signs: true,
    subkey_revoked: false,
    subkey_agrees: true,
    renewed_after: &[0],
};

pub(crate) struct TestKey {
    secret: SignedSecretKey,
    public: SignedPublicKey,
}

/// How a message is signed.
#[derive(Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one thing that may be wrong"
)]
pub(crate) struct Signing {
    pub(crate) after: u32,
    pub(crate) lives: Option<u32>,
    pub(crate) hash: HashAlgorithm,
    pub(crate) kind: SignatureType,
    pub(crate) by_subkey: bool,
    pub(crate) critical_unknown: bool,
    pub(crate) dated: bool,
    pub(crate) names_maker: bool,
}

pub(crate) const PLAIN: Signing = Signing {
    after: 1000,
    lives: None,
    hash: HashAlgorithm::Sha256,
    kind: SignatureType::Text,
    by_subkey: true,
    critical_unknown: false,
    dated: true,
    names_maker: true,
};

fn at(after: u32) -> Timestamp {
    Timestamp::from_secs(EPOCH + after)
}

fn regular(data: SubpacketData) -> Subpacket {
    Subpacket::regular(data).unwrap()
}

fn config(
    kind: SignatureType,
    key: &impl SigningKey,
    hash: HashAlgorithm,
    after: u32,
    lives: Option<u32>,
    signs: bool,
) -> SignatureConfig {
    let mut flags = KeyFlags::default();
    flags.set_sign(signs);
    let mut config = SignatureConfig::v4(kind, key.algorithm(), hash);
    config.hashed_subpackets = vec![
        regular(SubpacketData::SignatureCreationTime(at(after))),
        regular(SubpacketData::IssuerFingerprint(key.fingerprint())),
        regular(SubpacketData::KeyFlags(flags)),
    ];
    if let Some(lives) = lives {
        config
            .hashed_subpackets
            .push(regular(SubpacketData::KeyExpirationTime(Duration::from_secs(
                lives,
            ))));
    }
    config
}

impl TestKey {
    pub(crate) fn new(shape: Shape) -> Self {
        let secret = generate(shape);
        let mut public = secret.to_public_key();
        let password = Password::empty();
        let primary = &secret.primary_key;
        let make = |kind, lives, signs, after| config(kind, primary, shape.self_hash, after, lives, signs);

        let user = &mut public.details.users[0];
        let certify = |kind, after| {
            let config = make(kind, shape.primary_lives, shape.primary_signs, after);
            config
                .sign_certification(primary, &public.primary_key, &password, Tag::UserId, &user.id)
                .unwrap()
        };
        let mut signatures: Vec<_> = shape
            .renewed_after
            .iter()
            .map(|a| certify(SignatureType::CertPositive, *a))
            .collect();
        if shape.user_revoked {
            signatures.push(certify(SignatureType::CertRevocation, 10));
        }
        user.signatures = signatures;
        if shape.primary_revoked {
            let config = make(SignatureType::KeyRevocation, None, false, 10);
            public
                .details
                .revocation_signatures
                .push(config.sign_key(primary, &password, &public.primary_key).unwrap());
        }

        let sub_secret = &secret.secret_subkeys[0].key;
        let sub = &mut public.public_subkeys[0];
        let back = config(
            SignatureType::KeyBinding,
            sub_secret,
            shape.self_hash,
            0,
            None,
            false,
        )
        .sign_primary_key_binding(sub_secret, &sub.key, &password, &public.primary_key)
        .unwrap();
        let bind = |kind, lives, signs, after| {
            let mut config = make(kind, lives, signs, after);
            if shape.subkey_agrees && kind == SignatureType::SubkeyBinding {
                config
                    .hashed_subpackets
                    .push(regular(SubpacketData::EmbeddedSignature(Box::new(back.clone()))));
            }
            config
                .sign_subkey_binding(primary, &public.primary_key, &password, &sub.key)
                .unwrap()
        };
        let binding = |after: &u32| {
            bind(
                SignatureType::SubkeyBinding,
                shape.subkey_lives,
                shape.subkey_signs,
                *after,
            )
        };
        let mut signatures: Vec<_> = shape.renewed_after.iter().map(binding).collect();
        if shape.subkey_revoked {
            signatures.push(bind(SignatureType::SubkeyRevocation, None, false, 10));
        }
        sub.signatures = signatures;
        Self { secret, public }
    }

    pub(crate) fn armored(&self) -> String {
        self.public.to_armored_string(ArmorOptions::default()).unwrap()
    }

    pub(crate) fn keyring(&self) -> Keyring {
        Keyring::from_armored(&[&self.armored()]).unwrap()
    }

    /// The other key's subkey, as if it were this key's own.
    pub(crate) fn adopt_subkey_of(&mut self, other: &Self) {
        self.public
            .public_subkeys
            .clone_from(&other.public.public_subkeys);
    }

    fn signature(&self, text: &str, how: Signing) -> Signature {
        let subkey = &self.secret.secret_subkeys[0].key;
        if how.by_subkey {
            sign(subkey, text, how)
        } else {
            sign(&self.secret.primary_key, text, how)
        }
    }

    /// `text`, which ends without a line break, clear-signed.
    pub(crate) fn clearsign(&self, text: &str, how: Signing) -> String {
        let signature = DetachedSignature::new(self.signature(text, how));
        let armor = signature.to_armored_string(ArmorOptions::default()).unwrap();
        let escaped: Vec<_> = text
            .lines()
            .map(|l| {
                if l.starts_with('-') {
                    format!("- {l}")
                } else {
                    l.to_owned()
                }
            })
            .collect();
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}\n{armor}",
            escaped.join("\n")
        )
    }
}

fn sign(key: &impl SigningKey, text: &str, how: Signing) -> Signature {
    let mut config = SignatureConfig::v4(how.kind, key.algorithm(), how.hash);
    let hashed = &mut config.hashed_subpackets;
    if how.dated {
        hashed.push(regular(SubpacketData::SignatureCreationTime(at(how.after))));
    }
    if how.names_maker {
        hashed.push(regular(SubpacketData::IssuerFingerprint(key.fingerprint())));
    }
    if let Some(lives) = how.lives {
        hashed.push(regular(SubpacketData::SignatureExpirationTime(
            Duration::from_secs(lives),
        )));
    }
    if how.critical_unknown {
        hashed.push(Subpacket::critical(SubpacketData::Experimental(101, b"x".to_vec().into())).unwrap());
    }
    config.sign(key, &Password::empty(), text.as_bytes()).unwrap()
}

/// The key pairs, with self-signatures that are then replaced.
fn generate(shape: Shape) -> SignedSecretKey {
    let kind = if shape.rsa {
        KeyType::Rsa(2048)
    } else {
        KeyType::Ed25519Legacy
    };
    let subkey = SubkeyParamsBuilder::default()
        .version(KeyVersion::V4)
        .key_type(kind.clone())
        .can_sign(true)
        .can_encrypt(EncryptionCaps::None)
        .created_at(at(0))
        .build()
        .unwrap();
    let params = SecretKeyParamsBuilder::default()
        .version(KeyVersion::V4)
        .key_type(kind.clone())
        .can_sign(true)
        .can_certify(true)
        .created_at(at(0))
        .primary_user_id("Test <test@example.org>".into())
        .subkey(subkey)
        .build()
        .unwrap();
    params.generate(StdRng::seed_from_u64(shape.seed)).unwrap()
}

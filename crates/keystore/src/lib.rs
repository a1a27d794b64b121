//! BLS12-381 keys of Ethereum validators, and the EIP-2335 keystores that hold them.
//!
//! This crate reads no file, no clock and no environment, and makes no randomness: bytes come in, values go out. It
//! knows nothing of key folders, passwords' files or who may use a key.
//!
//! - [`Keystore`]: parse (bounded), decrypt, encrypt, write
//! - [`Password`]: the text of a password made into the bytes that EIP-2335 asks for
//! - [`Limits`]: what a keystore may cost before it is refused; [`Kdf`]: how its key is derived
//! - [`SecretKey`], [`PublicKey`], [`Signature`]: minimal-pubkey-size BLS, proof-of-possession suite
#![forbid(unsafe_code)]

mod encrypt;
mod keystore;
mod parse;

mod cipher;
mod kdf;
mod member;
mod password;

mod public_key;
mod secret_key;
mod signature;

mod hex_text;

pub use cipher::DecryptError;
pub use encrypt::{Description, EncryptError, Randomness};
pub use hex_text::HexError;
pub use kdf::{Kdf, KdfError, Limits};
pub use keystore::Keystore;
pub use member::MemberError;
pub use parse::{MAX_KEYSTORE_LEN, ParseError};
pub use password::{MAX_PASSWORD_LEN, Password, PasswordError};
pub use public_key::{PublicKey, PublicKeyError};
pub use secret_key::{SecretKey, SecretKeyError};
pub use signature::{Signature, SignatureError};

/// The cipher suite of Ethereum's consensus layer: signatures in G2, proof-of-possession scheme.
///
/// Source: Ethereum consensus specifications, `specs/phase0/beacon-chain.md`, "BLS signatures".
pub const CIPHER_SUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

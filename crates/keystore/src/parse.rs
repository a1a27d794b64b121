//! Keystore JSON, read with bounds. Members that EIP-2335 does not know are ignored; those it knows are checked.

use serde_json::Value;

use crate::cipher::Sealed;
use crate::hex_text;
use crate::kdf::{Kdf, KdfError, Limits};
use crate::member::{self, MemberError};
use crate::{Keystore, PublicKeyError};

/// The largest keystore in bytes. Real ones have one to two thousand.
pub const MAX_KEYSTORE_LEN: usize = 64 * 1024;

/// The shortest derived key: half for the cipher, half for the checksum.
const MIN_DKLEN: u64 = 32;
/// The longest `dklen` that PBKDF2 and scrypt can make at all (RFC 8018, RFC 7914).
const MAX_DKLEN: u64 = (u32::MAX as u64) * 32;

/// Why bytes are not a keystore that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Too large to be a keystore.
    #[error("{actual} bytes; a keystore has at most {MAX_KEYSTORE_LEN}")]
    TooLong {
        /// How many there are.
        actual: usize,
    },
    /// Not a JSON object, or cut short.
    #[error("not a JSON object (line {line}, column {column})")]
    NotJson {
        /// One-based; 0 where the whole is meant.
        line: usize,
        /// One-based; 0 where the whole is meant.
        column: usize,
    },
    /// Another version of keystore, such as version 3 of the execution layer's wallets.
    #[error(
        "version is {found}, expected 4 (EIP-2335); version 3 belongs to accounts of the execution layer"
    )]
    Version {
        /// As found.
        found: u64,
    },
    /// A member is missing, wrong or names something unsupported.
    #[error("a member of the keystore was refused")]
    Member(#[from] MemberError),
    /// The key derivation was refused before it ran.
    #[error("the key derivation of the keystore was refused")]
    Kdf(#[from] KdfError),
    /// The public key is none.
    #[error("pubkey is not a public key")]
    PublicKey(#[source] PublicKeyError),
}

impl Keystore {
    /// Reads a keystore under [`Limits::default`].
    ///
    /// `pubkey` is required: it is what the decrypted key is compared with, and what lets a caller see a duplicate
    /// before paying for the decryption. (EIP-2335 has it optional; Web3Signer up to release 26.4.2 requires it too.)
    ///
    /// # Errors
    /// Every variant of [`ParseError`]. Nothing is derived, so a refusal is quick.
    pub fn parse(json: &[u8]) -> Result<Self, ParseError> {
        Self::parse_within(json, &Limits::default())
    }

    /// As [`Keystore::parse`], under the caller's own limits.
    ///
    /// # Errors
    /// As [`Keystore::parse`].
    pub fn parse_within(json: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        if json.len() > MAX_KEYSTORE_LEN {
            return Err(ParseError::TooLong { actual: json.len() });
        }
        let root: Value = serde_json::from_slice(json).map_err(|e| ParseError::NotJson {
            line: e.line(),
            column: e.column(),
        })?;
        if !root.is_object() {
            return Err(ParseError::NotJson { line: 0, column: 0 });
        }
        // First of all: another version has other members.
        match member::number(&root, "version")? {
            4 => {}
            found => return Err(ParseError::Version { found }),
        }
        let kdf = kdf(&root)?;
        kdf.check(limits)?;
        member::only(&root, "crypto.checksum.function", "sha256")?;
        member::only(&root, "crypto.cipher.function", "aes-128-ctr")?;
        Ok(Self {
            kdf,
            salt: member::bytes(&root, "crypto.kdf.params.salt")?,
            sealed: Sealed {
                checksum: member::fixed(&root, "crypto.checksum.message")?,
                iv: iv(&root)?,
                cipher_text: member::fixed(&root, "crypto.cipher.message")?,
            },
            public_key: hex_text::fixed(member::text(&root, "pubkey")?)
                .map_err(PublicKeyError::Hex)
                .and_then(|bytes| crate::PublicKey::from_bytes(&bytes))
                .map_err(ParseError::PublicKey)?,
            path: member::optional_text(&root, "path")?
                .unwrap_or_default()
                .to_owned(),
            uuid: member::optional_text(&root, "uuid")?
                .unwrap_or_default()
                .to_owned(),
            description: member::optional_text(&root, "description")?.map(ToOwned::to_owned),
        })
    }
}

fn kdf(root: &Value) -> Result<Kdf, MemberError> {
    let kdf = match member::text(root, "crypto.kdf.function")? {
        "scrypt" => Kdf::Scrypt {
            n: member::number(root, "crypto.kdf.params.n")?,
            r: member::number_u32(root, "crypto.kdf.params.r")?,
            p: member::number_u32(root, "crypto.kdf.params.p")?,
        },
        "pbkdf2" => {
            member::only(root, "crypto.kdf.params.prf", "hmac-sha256")?;
            Kdf::Pbkdf2 {
                c: member::number_u32(root, "crypto.kdf.params.c")?,
            }
        }
        found => {
            return Err(member::unsupported(
                "crypto.kdf.function",
                found,
                "scrypt or pbkdf2",
            ));
        }
    };
    if !(MIN_DKLEN..=MAX_DKLEN).contains(&member::number(root, "crypto.kdf.params.dklen")?) {
        return Err(MemberError::Wrong {
            member: "crypto.kdf.params.dklen",
            expected: "at least 32 and within what the function can make",
        });
    }
    Ok(kdf)
}

/// Eight to sixteen bytes; what is missing are counter bytes, which start at zero.
fn iv(root: &Value) -> Result<[u8; 16], MemberError> {
    const IV: &str = "crypto.cipher.params.iv";
    let bytes = member::bytes(root, IV)?;
    if !(8..=16).contains(&bytes.len()) {
        return Err(MemberError::Wrong {
            member: IV,
            expected: "8 to 16 bytes",
        });
    }
    let mut iv = [0; 16];
    iv.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
    Ok(iv)
}

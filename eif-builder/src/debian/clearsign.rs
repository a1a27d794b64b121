//! Clear-signed text: from untrusted bytes to text that a trusted key signed.
//!
//! ```text
//! -----BEGIN PGP SIGNED MESSAGE-----
//! Hash: SHA256
//!
//! text; a line that begins with `-` is written `- -...`
//! -----BEGIN PGP SIGNATURE-----
//! ...
//! -----END PGP SIGNATURE-----
//! ```
//!
//! Nothing may stand before or after the frame, and what comes out is exactly what was hashed: a reader
//! can never be shown text that the signature does not cover. Source: RFC 9580, section 7.

use pgp::composed::DetachedSignature;
use pgp::packet::Signature;

use super::keyring::{Keyring, Refusal};

/// The largest message accepted, in bytes. Debian's are about 140 kB.
pub const MAX_BYTES: usize = 8 << 20;
/// The largest number of signatures looked at. Debian's release files have up to four.
const MAX_SIGNATURES: usize = 16;
/// The largest armored signature block, in bytes.
const MAX_SIGNATURE_BYTES: usize = 64 << 10;

const BEGIN_MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &str = "-----END PGP SIGNATURE-----";

/// Text that a trusted key signed. Only [`verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedText {
    text: String,
    signers: Vec<String>,
}

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClearsignError {
    /// Larger than [`MAX_BYTES`], or a signature block that is too large.
    #[error("the signed message is too large: {actual} bytes, at most {limit} are accepted")]
    TooLarge {
        /// Its size, in bytes.
        actual: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("the signed message is not UTF-8 text")]
    NotText,
    /// The frame is broken: a marker is missing, or something stands outside it.
    #[error("the signed message is malformed: {0}")]
    Frame(&'static str),
    /// The signature block cannot be decoded.
    #[error("the signature block cannot be read")]
    Signature(#[source] pgp::errors::Error),
    /// No signature is good.
    #[error("no signature on the message is good: {}", list(.0))]
    Refused(Vec<Refusal>),
}

fn list(refusals: &[Refusal]) -> String {
    if refusals.is_empty() {
        return "there is none".into();
    }
    let numbered: Vec<String> = refusals
        .iter()
        .enumerate()
        .map(|(i, refusal)| format!("signature {}: {refusal}", i + 1))
        .collect();
    numbered.join("; ")
}

impl SignedText {
    /// The text, as signed: no trailing blanks, lines parted by `\n`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Fingerprints, in lower-case hex, of the keys or subkeys whose signatures are good. Not empty.
    #[must_use]
    pub fn signers(&self) -> &[String] {
        &self.signers
    }
}

/// Checks a clear-signed message: at least one signature must be by a key of `keyring` that is valid at
/// `now` (seconds since 1970).
///
/// # Errors
/// [`ClearsignError`]; `Refused` has the reason for each signature.
pub fn verify(message: &[u8], keyring: &Keyring, now: u64) -> Result<SignedText, ClearsignError> {
    if message.len() > MAX_BYTES {
        return Err(ClearsignError::TooLarge {
            actual: message.len(),
            limit: MAX_BYTES,
        });
    }
    let message = str::from_utf8(message).map_err(|_| ClearsignError::NotText)?;
    let (text, armor) = split(message)?;
    let signatures = read_signatures(&armor)?;
    let hashed = text.replace('\n', "\r\n");
    let mut signers = Vec::new();
    let mut refusals = Vec::new();
    for signature in &signatures {
        match keyring.check(signature, hashed.as_bytes(), now) {
            Ok(signer) => signers.push(signer),
            Err(refusal) => refusals.push(refusal),
        }
    }
    if signers.is_empty() {
        return Err(ClearsignError::Refused(refusals));
    }
    Ok(SignedText { text, signers })
}

/// Takes the frame apart: the text as hashed (with `\n`, without the last line break), and the armor.
fn split(message: &str) -> Result<(String, String), ClearsignError> {
    let frame = ClearsignError::Frame;
    let mut lines = message.lines();
    if lines.next() != Some(BEGIN_MESSAGE) {
        return Err(frame("it does not begin with the signed-message marker"));
    }
    loop {
        match lines.next() {
            Some("") => break,
            Some(header) if header.starts_with("Hash: ") => {}
            Some(_) => return Err(frame("it has a header other than `Hash`")),
            None => return Err(frame("it ends within the header")),
        }
    }
    let mut text = Vec::new();
    loop {
        let line = lines.next().ok_or_else(|| frame("it has no signature"))?;
        if line == BEGIN_SIGNATURE {
            break;
        }
        let plain = match line.strip_prefix('-') {
            Some(escaped) => escaped
                .strip_prefix(' ')
                .ok_or_else(|| frame("a line of the text begins with `-` and is not escaped"))?,
            None => line,
        };
        if plain.contains('\r') {
            return Err(frame("a line of the text has a carriage return within"));
        }
        text.push(plain.trim_end_matches([' ', '\t']));
    }
    let mut armor = format!("{BEGIN_SIGNATURE}\n");
    loop {
        let line = lines
            .next()
            .ok_or_else(|| frame("it ends within the signature"))?;
        armor.push_str(line);
        armor.push('\n');
        if line == END_SIGNATURE {
            break;
        }
    }
    if lines.any(|line| !line.trim().is_empty()) {
        return Err(frame("something follows the signature"));
    }
    Ok((text.join("\n"), armor))
}

fn read_signatures(armor: &str) -> Result<Vec<Signature>, ClearsignError> {
    if armor.len() > MAX_SIGNATURE_BYTES {
        return Err(ClearsignError::TooLarge {
            actual: armor.len(),
            limit: MAX_SIGNATURE_BYTES,
        });
    }
    let (parsed, _) = <DetachedSignature as pgp::composed::Deserializable>::from_armor_many(armor.as_bytes())
        .map_err(ClearsignError::Signature)?;
    let mut signatures = Vec::new();
    for item in parsed {
        if signatures.len() == MAX_SIGNATURES {
            return Err(ClearsignError::Frame("it has more than 16 signatures"));
        }
        signatures.push(item.map_err(ClearsignError::Signature)?.signature);
    }
    Ok(signatures)
}

//! What of a service's output may leave the enclave: lines that could carry a secret do not.
//!
//! The signer is not meant to print secrets. This filter is for the day when it does, in an exception's text or a dump, and it
//! rather drops a good line than lets a bad one through. It knows nothing of the secrets themselves: the agent has none.
//!
//! Dropped is a line
//! - with 64 or more hexadecimal digits in words of such digits, however they are separated (a secret key, a seed, bytes as
//!   numbers; also public keys and signing roots, which others have to say),
//! - with a run of 40 or more characters of base64 or base64url (32 bytes and more),
//! - with a word that names a secret, a PEM boundary, or anything between two PEM boundaries,
//! - with 12 or more short words in a row that could be a mnemonic,
//! - that is no UTF-8.

/// Hexadecimal digits of the shortest secret.
const HEX_DIGITS: usize = 64;
/// Characters of base64 of the shortest secret: 32 bytes give 43 and 44.
const BASE64_RUN: usize = 40;
/// Words of the shortest mnemonic.
const MNEMONIC_WORDS: usize = 12;
/// Lines that are dropped after a PEM boundary at most, when the other one does not come.
const PEM_LINES: u32 = 200;

/// Words that stand beside a secret. In lower case, without separators.
const WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "privatekey",
    "mnemonic",
    "credential",
    "accesskey",
    "sessiontoken",
    "securitytoken",
    "keystorejson",
    "pwd=",
];

/// The filter for one stream of lines.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Lines that may still be the inside of a PEM block.
    inside: u32,
}

impl Filter {
    /// The line, when it may leave. It is without its LF.
    pub fn pass<'a>(&mut self, line: &'a [u8]) -> Option<&'a str> {
        let Ok(text) = std::str::from_utf8(line) else {
            self.inside = self.inside.saturating_sub(1);
            return None;
        };
        if text.contains("-----END") {
            self.inside = 0;
            return None;
        }
        if text.contains("-----BEGIN") {
            self.inside = PEM_LINES;
            return None;
        }
        if self.inside > 0 {
            self.inside -= 1;
            return None;
        }
        (!is_suspicious(text)).then_some(text)
    }
}

fn is_suspicious(text: &str) -> bool {
    names_a_secret(text) || has_hex(text) || has_base64(text) || has_mnemonic(text)
}

fn names_a_secret(text: &str) -> bool {
    let plain: String = text
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | ' ' | '.' | '\u{200b}' | '\u{ad}'))
        .flat_map(char::to_lowercase)
        .collect();
    WORDS.iter().any(|word| plain.contains(word))
}

/// Counts digits in words that consist of nothing else; words of other characters set nothing back, because a dump has
/// offsets and brackets between its bytes.
fn has_hex(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let mut digits = 0;
    for word in words {
        // Of `0x0b`, `\x0b` and `\u000b`.
        let word = ["0x", "0X", "x", "u"]
            .iter()
            .find_map(|prefix| word.strip_prefix(prefix))
            .unwrap_or(word);
        if word.bytes().all(|b| b.is_ascii_hexdigit()) {
            digits += word.len();
        }
        digits = digits.max(longest_run(word, |b| b.is_ascii_hexdigit()));
    }
    digits >= HEX_DIGITS
}

fn has_base64(text: &str) -> bool {
    longest_run(text, |b| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b)) >= BASE64_RUN
}

fn longest_run(text: &str, counts: impl Fn(u8) -> bool) -> usize {
    let (mut run, mut longest) = (0, 0);
    for byte in text.bytes() {
        run = if counts(byte) { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Words of the BIP-39 lists have 3 to 8 letters (English; the others are alike in what counts here: no digit, no sign).
fn has_mnemonic(text: &str) -> bool {
    let mut row = 0;
    for word in text.split([' ', ',', '\t']).filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        let could_be =
            (2..=9).contains(&length) && word.chars().all(|c| c.is_alphabetic() && !c.is_uppercase());
        row = if could_be { row + 1 } else { 0 };
        if row >= MNEMONIC_WORDS {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;

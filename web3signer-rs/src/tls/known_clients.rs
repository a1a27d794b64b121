//! The known-clients file: one client a line, `<common name> <SHA-256 of the certificate in DER, hex>`.
//!
//! Any white space between the two, colons in the fingerprint optional, any case; blank lines and lines that start
//! with `#` are skipped; the last line for a name wins. A line that does not parse spoils the file.
//!
//! Source: Tuweni's file-backed fingerprint repository, as Web3Signer 26.4.2 uses it.

use std::collections::BTreeMap;

use super::certificate::{ClientName, Fingerprint};

/// Largest file, in bytes: some 40,000 clients.
pub const FILE_LIMIT: usize = 4 << 20;

/// The clients of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownClients {
    by_name: BTreeMap<String, Fingerprint>,
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KnownClientsError {
    /// Larger than [`FILE_LIMIT`].
    #[error("it has {0} bytes; at most {FILE_LIMIT} are read")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("line {line} is not UTF-8 text")]
    NotText {
        /// Counted from 1.
        line: usize,
    },
    /// A line of one word, or of more than two.
    #[error("line {line} has {words} words; expected a common name and a SHA-256 fingerprint")]
    Words {
        /// Counted from 1.
        line: usize,
        /// How many there are.
        words: usize,
    },
    /// The second word is not 32 bytes of hex.
    #[error("line {line}: the fingerprint is not 64 hex digits (colons may stand between bytes)")]
    Fingerprint {
        /// Counted from 1.
        line: usize,
    },
}

impl KnownClients {
    /// Reads a file's bytes.
    ///
    /// # Errors
    /// See [`KnownClientsError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KnownClientsError> {
        if bytes.len() > FILE_LIMIT {
            return Err(KnownClientsError::TooLarge(bytes.len()));
        }
        let mut by_name = BTreeMap::new();
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let line_number = number + 1;
            let text =
                std::str::from_utf8(line).map_err(|_| KnownClientsError::NotText { line: line_number })?;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let mut words = text.split_whitespace();
            let (Some(name), Some(hex), None) = (words.next(), words.next(), words.next()) else {
                return Err(KnownClientsError::Words {
                    line: line_number,
                    words: text.split_whitespace().count(),
                });
            };
            let fingerprint = fingerprint(hex).ok_or(KnownClientsError::Fingerprint { line: line_number })?;
            by_name.insert(name.to_owned(), fingerprint);
        }
        Ok(Self { by_name })
    }

    /// Whether the client's fingerprint is the one that the file has for its name.
    #[must_use]
    pub fn knows(&self, client: &ClientName) -> bool {
        self.by_name.get(&client.common_name) == Some(&client.fingerprint)
    }

    /// How many clients there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether nobody may connect.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// 64 hex digits in any case, colons anywhere.
#[must_use]
pub fn fingerprint(text: &str) -> Option<Fingerprint> {
    if text.len() > 2 * 96 {
        return None;
    }
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let mut out = [0; 32];
    hex::decode_to_slice(digits, &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0416 92BF";

    fn client(name: &str, byte: u8) -> ClientName {
        ClientName {
            common_name: name.to_owned(),
            fingerprint: [byte; 32],
        }
    }

    #[test]
    fn forms_of_a_line() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        for text in [
            format!("c {plain}"),
            format!("c\t  {colons}  \r\n"),
            format!("# comment {HEX}\n\n  \nc {plain}\n"),
            format!("c {}\nc {plain}", "00".repeat(32)),
        ] {
            let clients = KnownClients::parse(text.as_bytes()).unwrap();
            assert!(clients.knows(&client("c", 0xab)), "{text:?}");
            assert!(!clients.knows(&client("c", 0)) && !clients.knows(&client("C", 0xab)));
            assert_eq!(clients.len(), 1);
        }
        assert!(KnownClients::parse(b"").unwrap().is_empty());
    }

    #[test]
    fn a_bad_line_spoils_the_file() {
        let good = format!("good {}\n", "00".repeat(32));
        for (line, expected) in [
            ("broken", KnownClientsError::Words { line: 2, words: 1 }),
            ("a b c", KnownClientsError::Words { line: 2, words: 3 }),
            ("a not-hex", KnownClientsError::Fingerprint { line: 2 }),
            (
                &format!("a {}", "0".repeat(63)),
                KnownClientsError::Fingerprint { line: 2 },
            ),
            (
                &format!("a {}", "0".repeat(66)),
                KnownClientsError::Fingerprint { line: 2 },
            ),
            (
                &format!("a {}", "\u{e9}".repeat(32)),
                KnownClientsError::Fingerprint { line: 2 },
            ),
        ] {
            assert_eq!(
                KnownClients::parse(format!("{good}{line}").as_bytes()),
                Err(expected),
                "{line}"
            );
        }
        assert_eq!(
            KnownClients::parse(b"\n\xff"),
            Err(KnownClientsError::NotText { line: 2 })
        );
        KnownClients::parse(&vec![b'\n'; FILE_LIMIT + 1]).unwrap_err();
    }

    #[test]
    fn a_cut_line_is_never_read_as_another_client() {
        let whole = format!("client {}", "5a".repeat(32));
        for end in 0..whole.len() {
            let cut = KnownClients::parse(&whole.as_bytes()[..end]);
            assert!(cut.is_err() || cut.unwrap().is_empty(), "{end}");
        }
    }
}

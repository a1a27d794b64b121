//! The plaintexts that `provision` expects inside the enclave.
//!
//! ```text
//! validator key        {"keystore_b64":"…","password_b64":"…"}       the published guidance's; its mnemonic is left out
//!                      {"secret_key":"0x…"}                          compact
//! TLS key              {"tls_keystore_b64":"…","tls_password_b64":"…","version":N}
//! clients              {"version":N,"known_clients":[{"name":"…","sha256":"…"}],"ca_pem":"…"}   either list, or both
//! slashing credential  {"version":N,"access_key_id":"…","secret_access_key":"…"}          DynamoDB
//!                      {"version":N,"postgresql":{"username":"…","password":"…","ca_pem":"…"}}   PostgreSQL
//! ```
//! KMS encrypts 4096 bytes at most, so that is the longest plaintext.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystore::{Password, SecretKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Longest plaintext, bytes.
///
/// Source: KMS API reference, `Encrypt`, with a symmetric key.
pub const MAX_PLAINTEXT_BYTES: usize = 4096;

/// A plaintext, on its way to KMS. Wiped when dropped, never shown.
pub struct Plaintext(Zeroizing<Vec<u8>>);

/// It does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the plaintext has {actual} bytes, KMS encrypts at most {MAX_PLAINTEXT_BYTES}; {advice}")]
pub struct TooLong {
    /// How long it would be.
    pub actual: usize,
    /// What to do.
    pub advice: &'static str,
}

impl Plaintext {
    /// Keystore and password, as the published guidance has them. The password is written as EIP-2335 normalises it.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn keystore(json: &[u8], password: &Password) -> Result<Self, TooLong> {
        let mut out = Builder::new();
        out.text("{\"keystore_b64\":\"").base64(json);
        out.text("\",\"password_b64\":\"")
            .base64(password.expose())
            .text("\"}");
        out.end("use --compact, or write the keystore anew without additions")
    }

    /// The secret key alone.
    ///
    /// # Errors
    /// None that a key can have; see [`TooLong`].
    pub fn secret_key(secret: &SecretKey) -> Result<Self, TooLong> {
        let mut out = Builder::new();
        out.text("{\"secret_key\":\"0x")
            .hex(&*secret.expose_bytes())
            .text("\"}");
        out.end("this cannot be")
    }

    /// A PKCS#12 file and its password.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn tls(pkcs12: &[u8], password: &[u8], version: u64) -> Result<Self, TooLong> {
        let mut out = Builder::new();
        out.text("{\"tls_keystore_b64\":\"").base64(pkcs12);
        out.text("\",\"tls_password_b64\":\"").base64(password);
        out.text("\",\"version\":").text(&version.to_string()).text("}");
        out.end("use an elliptic-curve key and a shorter chain")
    }

    /// Who may use the signer.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn clients(clients: &Clients) -> Result<Self, TooLong> {
        Self::json(
            clients,
            "list fewer clients, or give them certificates of a client CA and use --ca",
        )
    }

    /// The credential of the slashing store.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn credential(credential: &Credential) -> Result<Self, TooLong> {
        Self::json(credential, "is it an access key?")
    }

    fn json(value: &impl Serialize, advice: &'static str) -> Result<Self, TooLong> {
        let mut out = Builder::new();
        // Text fields into memory: this cannot fail but by length.
        if serde_json::to_writer(&mut out, value).is_err() {
            out.needed = out.needed.max(MAX_PLAINTEXT_BYTES + 1);
        }
        out.end(advice)
    }

    /// The bytes, for KMS alone.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

/// The clients of an enclave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clients {
    /// Of this list.
    pub version: u64,
    /// By name and certificate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_clients: Vec<KnownClient>,
    /// Certificate of their authority, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}

/// A client by name and certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KnownClient {
    /// First common name of its certificate's subject.
    pub name: String,
    /// SHA-256 of its certificate in DER, 64 hex digits.
    pub sha256: String,
}

/// How the signer identifies itself to its slashing store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// Of this credential.
    pub version: u64,
    /// What the store asks for.
    #[serde(flatten)]
    pub login: Login,
}

/// By kind of store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Login {
    /// DynamoDB: an access key, as the signer's credential file has it.
    AccessKey {
        /// The public half.
        access_key_id: String,
        /// The secret half.
        secret_access_key: SecretText,
        /// Of temporary credentials.
        #[serde(skip_serializing_if = "Option::is_none")]
        session_token: Option<SecretText>,
        /// When temporary credentials end, RFC 3339.
        #[serde(skip_serializing_if = "Option::is_none")]
        expiration: Option<String>,
    },
    /// PostgreSQL.
    Database {
        /// The one member.
        postgresql: Database,
    },
}

/// A user of a PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its name.
    pub username: String,
    /// Its password.
    pub password: SecretText,
    /// Authorities that the server's certificate must chain to, PEM.
    pub ca_pem: String,
}

/// A text that is wiped when dropped and not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Writes into one buffer that never grows, so no copy is left behind; counts what would have been too much.
struct Builder {
    bytes: Zeroizing<Vec<u8>>,
    needed: usize,
}

impl Builder {
    fn new() -> Self {
        Self {
            bytes: Zeroizing::new(Vec::with_capacity(MAX_PLAINTEXT_BYTES)),
            needed: 0,
        }
    }

    fn bytes(&mut self, more: &[u8]) {
        self.needed = self.needed.saturating_add(more.len());
        if self.needed <= MAX_PLAINTEXT_BYTES {
            self.bytes.extend_from_slice(more);
        }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes());
        self
    }

    fn base64(&mut self, bytes: &[u8]) -> &mut Self {
        let mut digits = Zeroizing::new([0; 64]);
        for chunk in bytes.chunks(48) {
            let written = STANDARD.encode_slice(chunk, digits.as_mut_slice()).unwrap_or(0);
            self.bytes(digits.get(..written).unwrap_or_default());
        }
        self
    }

    fn hex(&mut self, bytes: &[u8]) -> &mut Self {
        let mut digits = Zeroizing::new([0; 2]);
        for byte in bytes {
            if hex::encode_to_slice([*byte], digits.as_mut_slice()).is_ok() {
                self.bytes(digits.as_slice());
            }
        }
        self
    }

    fn end(self, advice: &'static str) -> Result<Plaintext, TooLong> {
        if self.needed > MAX_PLAINTEXT_BYTES {
            return Err(TooLong {
                actual: self.needed,
                advice,
            });
        }
        Ok(Plaintext(self.bytes))
    }
}

impl std::io::Write for Builder {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(plaintext: &Plaintext) -> &str {
        std::str::from_utf8(plaintext.expose()).unwrap()
    }

    #[test]
    fn the_forms_are_exact() {
        let password = Password::new("pass\n").unwrap();
        assert_eq!(
            text(&Plaintext::keystore(b"{\"version\":4}", &password).unwrap()),
            r#"{"keystore_b64":"eyJ2ZXJzaW9uIjo0fQ==","password_b64":"cGFzcw=="}"#
        );
        let mut bytes = [0; 32];
        bytes[31] = 0x2a;
        let secret = SecretKey::from_bytes(&bytes).unwrap();
        assert_eq!(
            text(&Plaintext::secret_key(&secret).unwrap()),
            format!(r#"{{"secret_key":"0x{}2a"}}"#, "00".repeat(31))
        );
        assert_eq!(
            text(&Plaintext::tls(b"p12", b"secret", 7).unwrap()),
            r#"{"tls_keystore_b64":"cDEy","tls_password_b64":"c2VjcmV0","version":7}"#
        );
        let clients = Clients {
            version: 3,
            known_clients: vec![KnownClient {
                name: "lighthouse".to_owned(),
                sha256: "ab".repeat(32),
            }],
            ca_pem: None,
        };
        assert_eq!(
            text(&Plaintext::clients(&clients).unwrap()),
            format!(
                r#"{{"version":3,"known_clients":[{{"name":"lighthouse","sha256":"{}"}}]}}"#,
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn base64_is_that_of_the_whole_at_every_length() {
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).collect();
            let mut out = Builder::new();
            out.base64(&bytes);
            assert_eq!(
                out.bytes.as_slice(),
                STANDARD.encode(&bytes).as_bytes(),
                "{length}"
            );
        }
    }

    #[test]
    fn what_kms_would_refuse_is_refused_here_and_nothing_is_shown() {
        let password = Password::new("planted").unwrap();
        let around = Plaintext::keystore(b"", &password).unwrap().expose().len();
        let fits = (MAX_PLAINTEXT_BYTES - around) / 4 * 3;
        let plaintext = Plaintext::keystore(&vec![b'x'; fits], &password).unwrap();
        assert_eq!(plaintext.0.capacity(), MAX_PLAINTEXT_BYTES);
        assert!(!format!("{plaintext:?}").contains("cGxhbnRlZA"));
        let error = Plaintext::keystore(&vec![b'x'; fits + 3], &password).unwrap_err();
        assert!(error.actual > MAX_PLAINTEXT_BYTES && error.to_string().contains("--compact"));
        let credential = Credential {
            version: 1,
            login: Login::AccessKey {
                access_key_id: "AKIA".to_owned(),
                secret_access_key: "planted".to_owned().into(),
                session_token: Some("planted too".to_owned().into()),
                expiration: None,
            },
        };
        assert_eq!(
            text(&Plaintext::credential(&credential).unwrap()),
            r#"{"version":1,"access_key_id":"AKIA","secret_access_key":"planted","session_token":"planted too"}"#
        );
        assert!(!format!("{credential:?}").contains("planted"));
    }
}

//! The certificate that a TLS server presents, and whether it proves to have the key of it. Whom it names is not judged here.
//!
//! A signer of this project asks for a client certificate and an auditor has none, so the connection may end in a refusal. By then
//! the server has signed our random bytes: in TLS 1.3 the whole handshake so far (RFC 8446, 4.4.3), in TLS 1.2 its key exchange
//! (RFC 5246, 7.4.3). That is the proof, and nothing is sent after it.

use core::fmt;
use core::str::FromStr;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

/// How long to wait for the connection, and for each piece of the handshake.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a server presented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// SHA-256 of its certificate in DER, hex; `None` when it presented none.
    pub certificate_sha256: Option<String>,
    /// SHA-256 of the certificate's `SubjectPublicKeyInfo` in DER, hex; `None` also when it cannot be read.
    pub public_key_sha256: Option<String>,
    /// It signed this handshake with that key.
    pub proven: bool,
    /// Why the handshake was not finished, if it was not.
    pub why: Option<String>,
}

/// `HOST:PORT` of a TLS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    name: ServerName<'static>,
    port: u16,
}

/// A text that is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST:PORT, as signer.example:443, 10.0.0.1:443 or [2001:db8::1]:443")]
pub struct NoAddress;

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(NoAddress)?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if inner.is_none() && host.contains(':') {
            return Err(NoAddress);
        }
        let host = inner.unwrap_or(host);
        Ok(Self {
            name: ServerName::try_from(host.to_owned()).map_err(|_| NoAddress)?,
            host: host.to_owned(),
            port: port.parse().ok().filter(|port| *port != 0).ok_or(NoAddress)?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            ServerName::IpAddress(_) if self.host.contains(':') => write!(f, "[{}]:{}", self.host, self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Why nothing was presented.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresentError {
    /// The server cannot be reached.
    #[error("cannot connect to {address}")]
    Connect {
        /// The server.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no TLS server, or ended before its certificate.
    #[error("{address} does not present a certificate")]
    Handshake {
        /// The server.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS cannot be set up here.
    #[error("cannot set up TLS")]
    Setup(#[source] Error),
}

/// Begins a TLS connection and gives what the server presented.
///
/// # Errors
/// [`PresentError`], by its variants; no certificate was seen then.
pub fn presented(address: &Address) -> Result<Presented, PresentError> {
    let mut socket = connect(address).map_err(|source| PresentError::Connect {
        address: address.to_string(),
        source,
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let witness = Arc::new(Witness {
        provider: Arc::clone(&provider),
        seen: Mutex::default(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(PresentError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut connection =
        ClientConnection::new(Arc::new(config), address.name.clone()).map_err(PresentError::Setup)?;
    let ended = connection.complete_io(&mut socket);
    let seen = witness
        .seen
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let (Some(certificate), ended) = (seen.certificate, ended.err()) else {
        return Err(PresentError::Handshake {
            address: address.to_string(),
            source: io::ErrorKind::UnexpectedEof.into(),
        });
    };
    let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    Ok(Presented {
        public_key_sha256: public_key(&certificate).map(|key| hash(&key)),
        certificate_sha256: Some(hash(&certificate)),
        proven: seen.proven,
        why: ended.map(|error| error.to_string()),
    })
}

fn connect(address: &Address) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for place in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, PATIENCE) {
            Ok(socket) => {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The `SubjectPublicKeyInfo` of a certificate, in DER.
fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    certificate
        .tbs_certificate()
        .subject_public_key_info()
        .to_der()
        .ok()
}

/// Takes every certificate and remembers it; checks every signature.
#[derive(Debug)]
struct Witness {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    certificate: Option<Vec<u8>>,
    proven: bool,
}

impl Witness {
    fn proves(
        &self,
        checked: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.proven = checked.is_ok();
        checked
    }
}

impl ServerCertVerifier for Witness {
    /// Whoever it names: the attested claims say which certificate it must be.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.certificate = Some(end_entity.to_vec());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.proves(verify_tls12_signature(
            message,
            certificate,
            signature,
            algorithms,
        ))
    }

    /// With the key itself: certificates of version 1, which `openssl x509 -req` makes, are none to the library.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = SubjectPublicKeyInfoDer::from(key);
        let algorithms = &self.provider.signature_verification_algorithms;
        self.proves(verify_tls13_signature_with_raw_key(
            message, &key, signature, algorithms,
        ))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown() {
        for good in [
            "signer.example:443",
            "10.0.0.1:9000",
            "[2001:db8::1]:443",
            "localhost:1",
        ] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for wrong in [
            "",
            "h",
            "h:",
            "h:0",
            "h:65536",
            ":443",
            "2001:db8::1:443",
            "a b:1",
            "https://h:443",
        ] {
            assert_eq!(wrong.parse::<Address>(), Err(NoAddress), "{wrong:?}");
        }
    }
}

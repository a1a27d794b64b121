//! What a TLS server presents and proves, with both versions of TLS and with a demand for a client certificate.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use eif_builder::live::presented::{Address, PresentError, presented};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion, version};
use sha2::{Digest as _, Sha256};

fn data(name: &str) -> PathBuf {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR")).into()
}

pub(crate) fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_file(data("tls-server.pem")).unwrap()
}

/// SHA-256 of the server's certificate and of its public key, hex. The second was computed with openssl:
/// `openssl x509 -in tls-server.pem -noout -pubkey | openssl pkey -pubin -outform der | sha256sum`.
pub(crate) fn hashes() -> (String, String) {
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform der",
        ])
        .arg(data("tls-server.pem"))
        .output()
        .unwrap();
    assert!(output.status.success() && !output.stdout.is_empty(), "{output:?}");
    let hash = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
    (hash(&certificate()), hash(&output.stdout))
}

/// A server of one connection.
pub(crate) fn serve(versions: &[&'static SupportedProtocolVersion], demand_client: bool) -> SocketAddr {
    let key = PrivateKeyDer::from_pem_file(data("tls-server.key")).unwrap();
    start(versions, demand_client, vec![certificate()], key)
}

fn start(
    versions: &[&'static SupportedProtocolVersion],
    demand_client: bool,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap();
    let builder = if demand_client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(data("tls-ca.pem")).unwrap())
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    // Not `with_single_cert`, which would refuse a key that does not belong to the certificate.
    let key = provider.key_provider.load_private_key(key).unwrap();
    let resolver = rustls::sign::SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = Arc::new(builder.with_cert_resolver(Arc::new(resolver)));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(config).unwrap();
        while connection.is_handshaking() {
            if connection.complete_io(&mut socket).is_err() {
                break;
            }
        }
        // The alert, if there is one, and the client's end.
        drop(connection.complete_io(&mut socket));
        drop(socket.read(&mut [0; 64]));
    });
    address
}

fn at(address: SocketAddr) -> Address {
    address.to_string().parse().unwrap()
}

#[test]
fn a_server_that_has_its_key_proves_it() {
    let (certificate, spki) = hashes();
    for demand_client in [false, true] {
        for version in [&version::TLS13, &version::TLS12] {
            let found = presented(&at(serve(&[version], demand_client))).unwrap();
            assert!(found.proven, "{version:?} {demand_client}: {found:?}");
            assert_eq!(found.certificate_sha256.as_deref(), Some(certificate.as_str()));
            assert_eq!(found.public_key_sha256.as_deref(), Some(spki.as_str()));
        }
    }
}

/// Anyone can send a certificate.
#[test]
fn a_server_without_the_key_proves_nothing() {
    for version in [&version::TLS13, &version::TLS12] {
        let other = aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(
            &aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            &aws_lc_rs::rand::SystemRandom::new(),
        )
        .unwrap();
        let other = PrivateKeyDer::try_from(other.as_ref().to_vec()).unwrap();
        let found = presented(&at(start(&[version], false, vec![certificate()], other))).unwrap();
        assert!(!found.proven, "{version:?}: {found:?}");
        assert!(found.why.is_some(), "{found:?}");
    }
}

#[test]
fn what_is_no_tls_server_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        use std::io::Write as _;
        let (mut socket, _) = listener.accept().unwrap();
        drop(socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    });
    let error = presented(&at(address)).unwrap_err();
    assert!(matches!(error, PresentError::Handshake { .. }), "{error}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = presented(&at(free)).unwrap_err();
    assert!(matches!(error, PresentError::Connect { .. }), "{error}");
}

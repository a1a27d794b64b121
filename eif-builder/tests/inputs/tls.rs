//! TLS: a server counts only with a certificate for its name from an authority that is trusted.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use eif_builder::fetch::http::{Http, HttpError, HttpOptions};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

fn data(name: &str) -> PathBuf {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR")).into()
}

/// Answers every request with `hello`. Gives its port.
fn serve() -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_file(data("tls-server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(data("tls-server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = Arc::new(
        config
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            // A client that refuses the certificate goes away: no failure of the server.
            if stream.read(&mut [0; 4096]).is_ok() {
                drop(
                    stream
                        .write_all(b"HTTP/1.1 200 x\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"),
                );
                drop(stream.flush());
            }
        }
    });
    port
}

fn get(url: &str, ca_bundle: Option<PathBuf>) -> Result<Vec<u8>, HttpError> {
    let options = HttpOptions {
        ca_bundle,
        ..HttpOptions::default()
    };
    Http::new(&options).unwrap().get_bytes(url, 100)
}

#[test]
fn only_trusted_names_and_authorities_count() {
    let port = serve();
    let (by_name, by_address) = (
        format!("https://localhost:{port}/"),
        format!("https://127.0.0.1:{port}/"),
    );
    let trusted = Some(data("tls-ca.pem"));
    assert_eq!(get(&by_name, trusted.clone()).unwrap(), b"hello");
    let wrong_name = get(&by_address, trusted).unwrap_err();
    assert!(matches!(wrong_name, HttpError::Connection(_)), "{wrong_name}");
    let unknown = get(&by_name, None).unwrap_err();
    assert!(matches!(unknown, HttpError::Connection(_)), "{unknown}");
}

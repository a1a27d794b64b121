//! A keep-alive HTTPS client that does as little as it can.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

#[path = "../../../web3signer-rs/tests/server/pinned.rs"]
mod pinned;

use pinned::Exactly;

/// The client of the test files in `folder`.
pub(crate) fn config(folder: &Path) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificate = |name: &str| CertificateDer::from_pem_file(folder.join(name)).context(name.to_owned());
    let key = PrivateKeyDer::from_pem_file(folder.join("client1.key"))?;
    Ok(Arc::new(
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Exactly(certificate("server.crt")?, provider)))
            .with_client_auth_cert(vec![certificate("client1.crt")?], key)?,
    ))
}

/// An open connection.
pub(crate) struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(port: u16, config: &Arc<ClientConfig>) -> Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_nodelay(true)?;
        let connection = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
        Ok(Self {
            stream: StreamOwned::new(connection, socket),
            buffer: vec![0; 8192],
        })
    }

    /// Sends a request for a signature and waits for it.
    pub(crate) fn sign(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request)?;
        let mut have = 0;
        loop {
            let space = self.buffer.get_mut(have..).context("an answer of 8 KiB")?;
            let count = self.stream.read(space)?;
            ensure!(count > 0, "the server closed the connection");
            have += count;
            let got = self.buffer.get(..have).unwrap_or_default();
            // The text of a signature is 194 bytes behind the empty line.
            if let Some(at) = got.windows(4).position(|window| window == b"\r\n\r\n") {
                ensure!(
                    got.starts_with(b"HTTP/1.1 200"),
                    "{}",
                    String::from_utf8_lossy(got)
                );
                if have >= at + 4 + 194 {
                    return Ok(());
                }
            }
        }
    }
}

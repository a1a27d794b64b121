//! `Decrypt` as a parent would try it: its own credentials, a good signature, no attestation document.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::SystemTime;

use kmstool_rs::credentials::Credentials;
use kmstool_rs::secret::Secret;
use kmstool_rs::sign::{Unsigned, sign};
use kmstool_rs::tls;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::{Value, json};

use crate::service::{CREDENTIALS, Service};

const HOST: &str = "kms.us-east-1.amazonaws.com";

/// Status and body of the answer.
pub(crate) fn decrypt(service: &Service, ciphertext: &str) -> (u16, Value) {
    let body = json!({ "CiphertextBlob": ciphertext, "KeyId": service.key() }).to_string();
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("host", HOST),
        ("x-amz-target", "TrentService.Decrypt"),
    ];
    let [id, key, token] = CREDENTIALS.map(|text| Secret::new(text.to_owned()));
    let credentials = Credentials::new(id, key, Some(token)).unwrap();
    let unsigned = Unsigned {
        method: "POST",
        uri: &format!("https://{HOST}/"),
        headers: &headers,
        body: body.as_bytes(),
    };
    #[expect(clippy::disallowed_methods, reason = "the caller's clock")]
    let now = SystemTime::now();
    let signed = sign(&unsigned, &credentials, "us-east-1", "kms", now).unwrap();
    let mut request = "POST / HTTP/1.1\r\nconnection: close\r\n".to_owned();
    for (name, value) in headers {
        request += &[name, ": ", value, "\r\n"].concat();
    }
    for (name, value) in &signed {
        request += &[name.as_str(), ": ", value.to_str().unwrap(), "\r\n"].concat();
    }
    let length = body.len().to_string();
    request += &["content-length: ", &length, "\r\n\r\n", &body].concat();

    let config = tls::from_file(&service.ca_file()).unwrap();
    let tls = ClientConnection::new(config, ServerName::try_from(HOST).unwrap()).unwrap();
    let mut stream = StreamOwned::new(tls, TcpStream::connect(service.address()).unwrap());
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that closes without TLS's farewell has still said all: the length is in the header.
    stream.read_to_end(&mut answer).ok();
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

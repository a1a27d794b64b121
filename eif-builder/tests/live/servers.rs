//! An agent and a relay on loopback, for one made-up enclave. Each serves a bounded number of connections.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use control::answer::Envelope;
use control::text::Nonce;
use serde_json::Value;

use super::enclave::Enclave;

/// Longest question.
const MAX_QUESTION: usize = 4096;

/// What a server does in place of its work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It works.
    Good,
    /// It refuses.
    Refuses,
    /// It answers without end.
    Endless,
}

/// `GET /attest?nonce=HEX`, so many times.
pub(crate) fn relay(enclave: Enclave, mood: Mood, times: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming().take(times) {
            let mut socket = BufReader::new(socket.unwrap());
            let mut line = String::new();
            socket.read_line(&mut line).unwrap();
            let mut rest = String::new();
            while rest != "\r\n" {
                rest.clear();
                socket.read_line(&mut rest).unwrap();
            }
            let nonce = line
                .strip_prefix("GET /attest?nonce=")
                .and_then(|rest| rest.split(' ').next());
            let nonce: Option<Nonce> = nonce.and_then(|nonce| nonce.parse().ok());
            let (status, body) = match (mood, nonce) {
                (Mood::Good, Some(nonce)) => (
                    "200 OK",
                    serde_json::to_vec(&enclave.attest(&nonce.to_bytes())).unwrap(),
                ),
                (Mood::Endless, _) => ("200 OK", vec![b' '; 3 << 20]),
                _ => ("404 Not Found", b"{}".to_vec()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // A client that has read enough goes away.
            drop(socket.get_mut().write_all(&[head.as_bytes(), &body].concat()));
        }
    });
    address
}

/// The agent's protocol on a Unix socket; with `CONNECT PORT` before it if `hello`.
pub(crate) fn agent(socket: &Path, enclave: Enclave, mood: Mood, hello: bool) {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let mut stream = listener.incoming().next().unwrap().unwrap();
        if hello {
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                line.extend(byte);
            }
            assert_eq!(line, b"CONNECT 5001\n");
            stream.write_all(b"OK 1073741824\n").unwrap();
        }
        let mut question = Vec::new();
        // A message ends where its object ends.
        let value: Value = loop {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            question.extend(byte);
            assert!(question.len() < MAX_QUESTION, "an endless question");
            if let Ok(value) = serde_json::from_slice(&question) {
                break value;
            }
        };
        assert_eq!(value["operation"], "attest");
        let nonce: Nonce = value["nonce"].as_str().unwrap().parse().unwrap();
        let answer = match mood {
            Mood::Good => serde_json::to_vec(&Envelope {
                body: enclave.attest(&nonce.to_bytes()),
                status: 200,
            })
            .unwrap(),
            Mood::Refuses => br#"{"body":{"error":"not-now: busy"},"status":503}"#.to_vec(),
            Mood::Endless => vec![b' '; 3 << 20],
        };
        drop(stream.write_all(&answer));
    });
}

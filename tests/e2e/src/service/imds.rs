//! The instance metadata service: moto's, behind a front that does what moto leaves out. It asks for the token of version 2, adds
//! `Code` to the credentials, puts in those that the simulated KMS knows, and says when they expire.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use attest::UnixMs;
use serde_json::Value;
use simulator::kms::clock::stamp;

use crate::service::kms::CREDENTIALS;
use crate::service::moto::exchange;

const TOKEN_PATH: &str = "/latest/api/token";

/// A running front. It ends with the test's process.
pub struct Imds {
    address: SocketAddr,
    lives: Arc<Mutex<Duration>>,
}

impl Imds {
    /// Starts one before this moto. Credentials hold for five minutes, until [`Self::lives`] says otherwise.
    pub fn start(moto: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let lives = Arc::new(Mutex::new(Duration::from_mins(5)));
        let imds = Self {
            address: listener.local_addr().unwrap(),
            lives: Arc::clone(&lives),
        };
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&mut stream.unwrap(), moto, *lives.lock().unwrap());
            }
        });
        imds
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How long the credentials hold that are given from now on.
    pub fn lives(&self, time: Duration) {
        *self.lives.lock().unwrap() = time;
    }
}

fn answer(stream: &mut TcpStream, moto: SocketAddr, lives: Duration) {
    let mut asked = Vec::new();
    for line in BufReader::new(&mut *stream).lines() {
        let line = line.unwrap();
        if line.is_empty() {
            break;
        }
        asked.push(line);
    }
    let first = asked.first().cloned().unwrap_or_default();
    let words: Vec<&str> = first.split(' ').collect();
    let (method, path) = (words[0], words[1]);
    let header = |name: &str| {
        asked.iter().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let good = if path == TOKEN_PATH {
        method == "PUT" && header("x-aws-ec2-metadata-token-ttl-seconds").is_some()
    } else {
        // The token that moto gives.
        header("x-aws-ec2-metadata-token").as_deref() == Some("fake-imdsv2-token")
    };
    let (status, body) = if good {
        (200, from_moto(moto, method, path, lives))
    } else {
        (401, String::new())
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).ok();
}

fn from_moto(moto: SocketAddr, method: &str, path: &str, lives: Duration) -> String {
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: {moto}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    let answer = exchange(moto, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    let Ok(Value::Object(mut credentials)) = serde_json::from_str(body) else {
        return body.to_owned();
    };
    let [id, secret, token] = CREDENTIALS;
    for (name, value) in [
        ("Code", "Success"),
        ("AccessKeyId", id),
        ("SecretAccessKey", secret),
        ("Token", token),
    ] {
        credentials.insert(name.to_owned(), value.into());
    }
    credentials.insert("Expiration".to_owned(), instant(SystemTime::now() + lives).into());
    Value::Object(credentials).to_string()
}

/// ISO 8601, whole seconds, UTC.
fn instant(at: SystemTime) -> String {
    let millis = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    // 20261125T124410Z
    let text = stamp(UnixMs::new(u64::try_from(millis).unwrap()));
    let (date, time) = text.split_once('T').unwrap();
    let part = |text: &str, from: usize, to: usize| text[from..to].to_owned();
    format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(date, 0, 4),
        part(date, 4, 6),
        part(date, 6, 8),
        part(time, 0, 2),
        part(time, 2, 4),
        part(time, 4, 6)
    )
}

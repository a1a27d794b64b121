//! A running `web3signer`, and a small HTTP client that shows answers as they came.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The key of the shared cases, and its public key.
pub(crate) const SECRET: &str = "0x5528f51154c1ea9b18eab53aabc1d1a478930aaebde47730b51375df02f0076c";
pub(crate) const PUBLIC: &str =
    "0x8349434ad0700e79be65c0c7043945df426bd6d7e288c16671df69d822344f1b0ce8de80360a50550ad782b68035cb18";

/// A file of `tests/data`.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A folder of key configuration files.
pub(crate) fn key_folder(documents: &[String]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, document) in documents.iter().enumerate() {
        fs::write(folder.path().join(format!("key{number}.yaml")), document).unwrap();
    }
    folder
}

pub(crate) fn raw_key(secret: &str) -> String {
    format!("type: file-raw\nprivateKey: \"{secret}\"\n")
}

/// The program with these words and variables, and no other variable.
pub(crate) fn command(words: &[&str], environment: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_web3signer"));
    command
        .args(words)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(words: &[&str]) -> Output {
    command(words, &BTreeMap::new()).output().unwrap()
}

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    /// Port of the signing interface.
    pub(crate) port: u16,
    /// Port of the metrics, if they are on.
    pub(crate) metrics: Option<u16>,
}

impl Server {
    /// Starts the program with `global` and `eth2` options, on free ports.
    pub(crate) fn start(keys: &Path, global: &[&str], eth2: &[&str]) -> Self {
        Self::start_with(keys, global, eth2, &BTreeMap::new())
    }

    /// The usual one: one key, no slashing protection.
    pub(crate) fn plain(keys: &Path) -> Self {
        Self::start(keys, &[], &["--slashing-protection-enabled=false"])
    }

    pub(crate) fn start_with(
        keys: &Path,
        global: &[&str],
        eth2: &[&str],
        environment: &BTreeMap<String, String>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_path = format!("--data-path={}", folder.path().display());
        let keys = format!("--key-config-path={}", keys.display());
        let mut words = vec![data_path.as_str(), keys.as_str(), "--metrics-port=0"];
        if !global.iter().any(|word| word.starts_with("--http-listen-port")) {
            words.push("--http-listen-port=0");
        }
        words.extend(global);
        words.push("eth2");
        words.extend(eth2);
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut child = command(&words, environment)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        let ports = loop {
            if let Ok(text) = fs::read_to_string(folder.path().join("web3signer.ports")) {
                break text;
            }
            let log = || fs::read_to_string(folder.path().join("log")).unwrap();
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{words:?} ended with {status}: {}", log());
            }
            assert!(Instant::now() < deadline, "{words:?} did not start: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        };
        let port = |key: &str| {
            let value = ports.lines().find_map(|line| line.strip_prefix(key));
            value.map(|text| text.parse().unwrap())
        };
        Self {
            child,
            port: port("http-port=").unwrap(),
            metrics: port("metrics-port="),
            folder,
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits for a line of the log.
    pub(crate) fn wait_for(&self, text: &str) {
        self.wait_for_count(text, 1);
    }

    pub(crate) fn wait_for_count(&self, text: &str, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.log().matches(text).count() < count {
            assert!(Instant::now() < deadline, "no {text:?} in {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end and returns the exit status.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        ask(self.port, "GET", path, &[], b"")
    }

    pub(crate) fn sign(&self, key: &str, body: &serde_json::Value) -> Answer {
        let body = serde_json::to_vec(body).unwrap();
        ask(
            self.port,
            "POST",
            &format!("/api/v1/eth2/sign/{key}"),
            &[("Accept", "application/json")],
            &body,
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn kind(&self) -> &str {
        self.headers.get("content-type").map_or("", String::as_str)
    }
}

/// The bytes of a request. A `Host` among the headers replaces the usual one.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str("Host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || method == "POST" {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads what comes until the end.
pub(crate) fn parse(bytes: &[u8]) -> Option<Answer> {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..at]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Some(Answer {
        status,
        headers,
        body: bytes[at + 4..].to_vec(),
    })
}

/// One request on a connection of its own.
pub(crate) fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    raw(port, &request(method, path, headers, body)).unwrap()
}

/// Sends bytes, and reads to the end. `None`: the server closed without an answer.
pub(crate) fn raw(port: u16, bytes: &[u8]) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // A server may refuse before everything is sent.
    let sent = stream.write_all(bytes);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    assert!(
        !answer.is_empty() || sent.is_err() || read.is_err() || bytes.is_empty() || parse(&answer).is_none()
    );
    parse(&answer)
}

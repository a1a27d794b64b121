//! Requests that no client sends: malformed by the thousand, slow, many at once. The server stays up and small.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{PUBLIC, SECRET, Server, ask, key_folder, raw_key, request};

const GOOD: &str = r#"{"type":"ATTESTATION","fork_info":{"fork":{"previous_version":"0x04000000","current_version":"0x05000000","epoch":"364032"},"genesis_validators_root":"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"},"attestation":{"slot":"12160003","index":"0","beacon_block_root":"0x12a3861cef2145a3acbcc41a1363a4a6d0ae21f3a87252887c73229579b430a7","source":{"epoch":"379999","root":"0x7bc98f8529532aee2d6d2332e780ec069a1bfc4ee7257ba79757be8f112a70df"},"target":{"epoch":"380000","root":"0x35394783f219be285cb14d652cfb135e552533e44da0562fd80a9fea3087db7b"}}}"#;

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }
}

/// A request that is wrong somewhere.
fn malformed(dice: &mut Dice) -> Vec<u8> {
    let path = format!("/api/v1/eth2/sign/{PUBLIC}");
    let mut body = GOOD.as_bytes().to_vec();
    match dice.roll(12) {
        // JSON that is cut, bent, or deep.
        0 => body.truncate(dice.roll(body.len())),
        1 | 2 => {
            for _ in 0..=dice.roll(4) {
                let at = dice.roll(body.len());
                body[at] = u8::try_from(dice.roll(256)).unwrap();
            }
        }
        3 => body = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000)).into_bytes(),
        4 => {
            body = GOOD
                .replace("\"12160003\"", "99999999999999999999999999")
                .into_bytes();
        }
        5 => {
            body = GOOD
                .replace(
                    "ATTESTATION",
                    ["BLOCK", "BLOCK_V2", "DEPOSIT", "\\u0000", "PROOF"][dice.roll(5)],
                )
                .into_bytes();
        }
        6 => {
            body = (0..dice.roll(2000))
                .map(|_| u8::try_from(dice.roll(256)).unwrap())
                .collect();
        }
        // Requests that are no HTTP, or not for this server.
        7 => {
            let mut bytes = request("POST", &path, &[], &body);
            let at = dice.roll(60);
            bytes[at] = u8::try_from(dice.roll(256)).unwrap();
            return bytes;
        }
        8 => return request("POST", &path, &[("Content-Length", "5")], &body),
        9 => {
            let long = "x".repeat(dice.roll(100_000));
            return request("GET", &format!("/{long}"), &[("X", &long)], b"");
        }
        10 => {
            return (0..dice.roll(500))
                .map(|_| u8::try_from(dice.roll(256)).unwrap())
                .collect();
        }
        _ => {
            let mut bytes = request("POST", &path, &[("Transfer-Encoding", "chunked")], b"");
            bytes.extend_from_slice(
                [
                    &b"zz\r\n"[..],
                    b"fffffffffffffffff\r\n",
                    b"5\r\nab",
                    b"-1\r\n\r\n",
                ][dice.roll(4)],
            );
            return bytes;
        }
    }
    request("POST", &path, &[], &body)
}

/// The status of the answer; `None` if the server just closed.
fn status(port: u16, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let sent = stream.write_all(bytes);
    let ended = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if sent.is_err() || ended.is_err() || read.is_err() {
        // The server may close before it has read all.
    }
    let text = String::from_utf8_lossy(&answer);
    text.strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
}

#[test]
fn ten_thousand_malformed_requests() {
    const EACH: usize = 2_500;
    let keys = key_folder(&[raw_key(SECRET)]);
    let server = Server::start(
        keys.path(),
        &["--logging=ERROR"],
        &["--slashing-protection-enabled=false"],
    );
    assert_eq!(
        server.sign(PUBLIC, &serde_json::from_str(GOOD).unwrap()).status,
        200
    );
    let before = server.resident_bytes();
    let (port, done) = (server.port, Arc::new(AtomicBool::new(false)));
    let healthy = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            let mut asked = 0_usize;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(ask(port, "GET", "/healthcheck", &[], b"").status, 200);
                assert_eq!(ask(port, "GET", "/upcheck", &[], b"").text(), "OK");
                asked += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            asked
        })
    };
    let answered = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (1..=4_u64)
        .map(|seed| {
            let answered = Arc::clone(&answered);
            std::thread::spawn(move || {
                let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                for _ in 0..EACH {
                    let bytes = malformed(&mut dice);
                    // 500 is the contract's answer to a request without its object or with another root.
                    match status(port, &bytes) {
                        None => {}
                        Some(200 | 400 | 403 | 404 | 405 | 408 | 413 | 414 | 431 | 500) => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Some(other) => panic!("{other}: {}", String::from_utf8_lossy(&bytes)),
                    }
                }
            })
        })
        .collect();
    for sender in senders {
        sender.join().unwrap();
    }
    done.store(true, Ordering::Relaxed);
    assert!(healthy.join().unwrap() > 10);
    assert!(answered.load(Ordering::Relaxed) > 2 * EACH, "{answered:?}");
    assert!(!server.log().contains("panicked"), "{}", server.log());
    assert_eq!(
        server.sign(PUBLIC, &serde_json::from_str(GOOD).unwrap()).status,
        200
    );
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more than before");
}

#[test]
fn a_slow_client_is_given_up_and_does_not_hold_up_others() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let server = Server::start(
        keys.path(),
        &["--idle-connection-timeout-seconds=1"],
        &["--slashing-protection-enabled=false"],
    );
    let head = format!(
        "POST /api/v1/eth2/sign/{PUBLIC} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{"
    );
    for start in ["", "GET /upch", "GET /upcheck HTTP/1.1\r\nHost: lo", &head] {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        assert_eq!(server.get("/upcheck").status, 200);
        let began = Instant::now();
        let mut rest = Vec::new();
        // Whether it says why or not, the connection ends.
        if stream.read_to_end(&mut rest).is_err() {
            rest.clear();
        }
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{start:?} held on for {:?}",
            began.elapsed()
        );
        assert!(!rest.starts_with(b"HTTP/1.1 5"), "{start:?}");
    }
}

#[test]
fn many_idle_connections_leave_room() {
    let keys = key_folder(&[raw_key(SECRET)]);
    let server = Server::plain(keys.path());
    let idle: Vec<TcpStream> = (0..600)
        .map(|_| TcpStream::connect(("127.0.0.1", server.port)).unwrap())
        .collect();
    assert_eq!(server.get("/upcheck").status, 200);
    assert_eq!(
        server.sign(PUBLIC, &serde_json::from_str(GOOD).unwrap()).status,
        200
    );
    drop(idle);
}

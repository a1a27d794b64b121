//! Callers on the agent's own ports that never come to their end: 200 at a time, and messages that are too long. Beside them
//! `status` and signing go on, and each of them ends at its deadline.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use abi::vsock::{CONTROL_PORT, SERVICE_PORT};
use e2e::Booted;
use e2e::service::client::Client;
use e2e::service::signing::Attestation;
use serde_json::Value;

use crate::refused::word;

/// Slow callers at a time, both ports together.
const CROWD: usize = 200;
/// How often half of them send another byte.
const DRIP: Duration = Duration::from_secs(1);
/// How long a message may take to arrive (`agent/SPEC.md`).
const DEADLINE: Duration = Duration::from_secs(5);
/// How much later than its deadline a caller may end: the emulated machine and its host are busy.
const LATER: Duration = Duration::from_secs(20);
/// Questions and signatures that must be answered meanwhile.
const ANSWERS: u64 = 5;
/// Longer than any message may be, bytes.
const TOO_LONG: usize = 17 << 20;

/// How one slow caller ended.
struct Ended {
    after: Duration,
    answer: Value,
}

/// Lets the crowd go, also when the test fails.
struct Release<'a>(&'a AtomicBool);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Signs votes of `key` for targets from 1,000,000 on.
pub(crate) fn run(booted: &Booted, client: &Client, key: &str) {
    let (there, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let began = Instant::now();
    let ended: Vec<Ended> = std::thread::scope(|scope| {
        let caller = |n: usize| {
            let port = [SERVICE_PORT, CONTROL_PORT][n % 2];
            // Another takes the place of who has ended, until the others have had their answers.
            let mut ended = vec![slow(booted, port, n % 4 < 2, &there)];
            while !done.load(Ordering::Relaxed) {
                ended.push(slow(booted, port, n % 4 < 2, &there));
            }
            ended
        };
        let crowd: Vec<_> = (0..CROWD).map(|n| scope.spawn(move || caller(n))).collect();
        let release = Release(&done);
        while there.load(Ordering::Relaxed) < CROWD {
            assert!(began.elapsed() < e2e::PATIENCE, "{there:?} of {CROWD} are there");
            std::thread::sleep(Duration::from_millis(20));
        }
        let long = scope.spawn(|| [SERVICE_PORT, CONTROL_PORT].map(|port| too_long(booted, port)));
        for n in 0..ANSWERS {
            let status = booted.control(r#"{"operation":"status"}"#);
            assert_eq!(status["body"]["phase"], "initialised", "{status}");
            let target = 1_000_001 + n;
            let signed = client.sign(key, &Attestation::new(1_000_000, target, 1).request());
            assert_eq!(signed.status, 200, "{signed:?}");
        }
        for refused in long.join().unwrap() {
            assert_eq!((&refused["status"], word(&refused)), (&413.into(), "too-large"));
        }
        drop(release);
        crowd.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    println!("{} slow callers in {:?}", ended.len(), began.elapsed());
    for Ended { after, answer } in ended {
        assert_eq!(
            (&answer["status"], word(&answer)),
            (&408.into(), "timeout"),
            "{answer}"
        );
        // The enclave has a clock of its own.
        assert!(
            after > DEADLINE.mul_f64(0.95) && after < DEADLINE + LATER,
            "ended after {after:?}"
        );
    }
}

/// Half a message, and, if it drips, a space now and then that does not end it either.
fn slow(booted: &Booted, port: u32, drips: bool, there: &AtomicUsize) -> Ended {
    let began = Instant::now();
    let mut stream = booted.connect(port);
    stream.write_all(b"{\"operation\":").unwrap();
    there.fetch_add(1, Ordering::Relaxed);
    stream.set_read_timeout(Some(DRIP)).unwrap();
    let mut first = [0];
    while let Err(error) = stream.read_exact(&mut first) {
        assert_eq!(
            error.kind(),
            ErrorKind::WouldBlock,
            "port {port} after {:?}",
            began.elapsed()
        );
        assert!(began.elapsed() < DEADLINE + LATER, "port {port} never ended");
        if drips {
            // It may have been answered this moment.
            stream.write_all(b" ").ok();
        }
    }
    let after = began.elapsed();
    Ended {
        after,
        answer: answer(stream, &first),
    }
}

/// The answer comes before all was taken; what is left may break the connection.
fn too_long(booted: &Booted, port: u32) -> Value {
    let mut stream = booted.connect(port);
    let message = format!("{{\"operation\":\"status\",\"x\":\"{}", "a".repeat(TOO_LONG));
    stream.write_all(message.as_bytes()).ok();
    answer(stream, b"")
}

fn answer(mut stream: UnixStream, start: &[u8]) -> Value {
    stream.set_read_timeout(Some(e2e::PATIENCE)).unwrap();
    let mut bytes = start.to_vec();
    stream.read_to_end(&mut bytes).ok();
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{:?}: {e}", String::from_utf8_lossy(&bytes)))
}

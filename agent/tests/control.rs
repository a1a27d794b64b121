//! The control protocol over a socket: framing, limits, deadlines, and what each operation answers.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{AMPLE, Deadlines, SHORT, TestAgent, TestNsm, answer, bytes};

#[expect(dead_code, reason = "only the filter's test starts an agent in two steps")]
mod support;

const STATUS: &str = r#"{"operation":"status"}"#;
/// Messages must come soon.
const HASTY: Deadlines = Deadlines {
    receive: SHORT,
    ..AMPLE
};

const ATTEST: &str = r#"{"operation":"attest","nonce":"00ff"}"#;

fn nsm() -> TestNsm {
    TestNsm {
        pcrs: [0, 1, 2, 3, 4].map(|n: u8| (u16::from(n), [0x10 + n; 48])).into(),
        ..TestNsm::default()
    }
}

fn error(agent: &TestAgent, message: &str) -> (u64, String) {
    let answer = agent.ask(message);
    assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
    assert_eq!(answer["body"].as_object().unwrap().len(), 1, "{answer}");
    (
        answer["status"].as_u64().unwrap(),
        answer["body"]["error"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn status_says_what_the_enclave_is() {
    let agent = TestAgent::start(nsm());
    let zero = "00".repeat(48);
    let passed = |stage: &str, event: &str, uptime_ms: u64| json!({ "stage": stage, "event": event, "uptime_ms": uptime_ms });
    assert_eq!(
        agent.ask(STATUS),
        json!({
            "body": {
                "stage": "services",
                "uptime_ms": 4200,
                "boot": [passed("mounts", "ok", 3), passed("modules", "skipped", 4), passed("heartbeat", "ok", 12)],
                "pcrs": {
                    "0": "10".repeat(48), "1": "11".repeat(48), "2": "12".repeat(48), "3": "13".repeat(48),
                    "4": "14".repeat(48), "8": zero, "16": zero,
                },
                "debug": false,
                "entropy_source": "nsm-hwrng",
                "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "status": 200,
        })
    );
}

#[test]
fn debug_mode_is_said() {
    let agent = TestAgent::start(TestNsm::default());
    assert_eq!(agent.ask(STATUS)["body"]["debug"], json!(true));
}

#[test]
fn attest_passes_the_nonce_and_nothing_else() {
    let agent = TestAgent::start(nsm());
    let expected = json!({ "body": { "attestation_document": "hGRvY3VtZW50" }, "status": 200 });
    assert_eq!(agent.ask(ATTEST), expected);
    let longest = format!(r#"{{"operation":"attest","nonce":"{}"}}"#, "ab".repeat(64));
    assert_eq!(agent.ask(&longest), expected);
    let asked = agent.nsm.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        vec![(None, Some(vec![0, 0xff])), (None, Some(vec![0xab; 64]))]
    );
}

#[test]
fn wrong_messages_are_named_and_never_reach_the_module() {
    let agent = TestAgent::start(nsm());
    for (message, status, word) in [
        (
            r#"{"operation":"attest","nonce":"00","public_key":"MIIB"}"#,
            400,
            "unknown-field",
        ),
        (
            r#"{"operation":"attest","nonce":"00","user_data":""}"#,
            400,
            "unknown-field",
        ),
        (
            r#"{"operation":"attest","nonce":"00","nonce":"01"}"#,
            400,
            "duplicate-field",
        ),
        (r#"{"operation":"attest"}"#, 400, "missing-field"),
        (r#"{"operation":"attest","nonce":"xx"}"#, 400, "bad-nonce"),
        (r#"{"operation":"attest","nonce":7}"#, 400, "wrong-type"),
        (r#"{"operation":"init"}"#, 400, "unknown-operation"),
        ("{}", 400, "missing-field"),
        ("{\"a\"}", 400, "not-json"),
        ("{]", 400, "not-json"),
        ("\u{16}\u{3}\u{1}", 400, "not-an-object"),
        ("[]", 400, "not-an-object"),
        ("{}{}", 400, "trailing-bytes"),
        (&"{\"a\":".repeat(9), 400, "too-deep"),
        (
            &format!("{{\"operation\":\"{}\"}}", "x".repeat(5000)),
            413,
            "too-large",
        ),
        (&" ".repeat(5000), 413, "too-large"),
    ] {
        let (actual, text) = error(&agent, message);
        assert_eq!(
            (actual, text.split(':').next().unwrap()),
            (status, word),
            "{message:.60}: {text}"
        );
    }
    assert_eq!(agent.ask("{}")["status"], json!(400));
    let invalid = answer(agent.send(&[b"{\"operation\":\"\xff\"}"]));
    assert!(
        invalid["body"]["error"]
            .as_str()
            .unwrap()
            .starts_with("not-utf8: "),
        "{invalid}"
    );
    assert!(agent.nsm.asked.lock().unwrap().is_empty());
}

#[test]
fn a_message_may_arrive_in_any_pieces() {
    let agent = TestAgent::start(nsm());
    let message = ATTEST.as_bytes();
    for cut in 0..=message.len() {
        let (one, two) = message.split_at(cut);
        assert_eq!(
            answer(agent.send(&[one, two]))["status"],
            json!(200),
            "cut at {cut}"
        );
    }
    let mut stream = agent.connect();
    for byte in [b" \r\n", message, b"\n"].concat() {
        stream.write_all(&[byte]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(answer(stream)["status"], json!(200));
}

#[test]
fn a_message_cut_off_anywhere_is_refused() {
    let agent = TestAgent::start(nsm());
    for len in 1..STATUS.len() {
        let stream = agent.send(&[STATUS.get(..len).unwrap().as_bytes()]);
        stream.shutdown(Shutdown::Write).unwrap();
        let answer = answer(stream);
        assert_eq!(answer["status"], json!(400), "cut at {len}");
        assert!(
            answer["body"]["error"].as_str().unwrap().starts_with("cut-off: "),
            "{answer}"
        );
    }
    for nothing in ["", " \n"] {
        let stream = agent.send(&[nothing.as_bytes()]);
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(bytes(stream), b"", "an empty message is ignored");
    }
}

#[test]
fn one_answer_then_the_connection_ends() {
    let agent = TestAgent::start(nsm());
    let mut stream = agent.send(&[STATUS.as_bytes()]);
    let mut first = [0; 1];
    stream.read_exact(&mut first).unwrap();
    // A second message on the connection is thrown away; the answer to the first arrives whole all the same.
    stream.write_all(STATUS.as_bytes()).unwrap();
    let mut rest = bytes(stream);
    rest.insert(0, first[0]);
    let answer: serde_json::Value = serde_json::from_slice(&rest).unwrap();
    assert_eq!(answer["status"], json!(200));
}

#[test]
fn a_slow_message_is_given_up() {
    let agent = TestAgent::start_within(nsm(), HASTY);
    let started = Instant::now();
    let late = answer(agent.send(&[b"{\"operation\":"]));
    assert_eq!(late["status"], json!(408));
    assert!(started.elapsed() >= SHORT);
    // Trickling does not help: the deadline is for the whole message.
    let mut stream = agent.connect();
    let started = Instant::now();
    while started.elapsed() < SHORT * 2 {
        if stream.write_all(b" ").is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(answer(stream)["status"], json!(408));
}

#[test]
fn idle_connections_delay_others_no_longer_than_their_deadline() {
    let agent = TestAgent::start_within(nsm(), HASTY);
    let started = Instant::now();
    let idle: Vec<_> = (0..agent::listen::MAX_CONNECTIONS)
        .map(|_| agent.connect())
        .collect();
    // Connections are accepted in their order, so every place is taken until the first deadline.
    assert_eq!(agent.ask(STATUS)["status"], json!(200));
    assert!(started.elapsed() >= SHORT, "a place was free at once");
    drop(idle);
    assert_eq!(agent.ask(STATUS)["status"], json!(200));
}

#[test]
fn many_connections_are_served() {
    let agent = TestAgent::start(nsm());
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                for message in [STATUS, ATTEST, "{}"] {
                    let expected = if message == "{}" { 400 } else { 200 };
                    assert_eq!(agent.ask(message)["status"], json!(expected));
                }
            });
        }
    });
}

#[test]
fn a_module_that_hangs_costs_an_answer_in_time() {
    let module = TestNsm {
        delay: SHORT * 2,
        ..nsm()
    };
    let deadlines = Deadlines {
        patience: SHORT,
        ..AMPLE
    };
    let agent = TestAgent::start_within(module, deadlines);
    let started = Instant::now();
    let (status, text) = error(&agent, ATTEST);
    assert_eq!(status, 503);
    assert_eq!(text, "unavailable: no answer within 1500 ms");
    assert!(started.elapsed() >= SHORT);
    // The module comes back.
    while agent.ask(STATUS)["status"] != json!(200) {
        assert!(started.elapsed() < AMPLE.patience, "the module is not back");
    }
}

#[test]
fn what_cannot_be_had_is_an_error_and_no_status_with_a_hole() {
    let agent = TestAgent::start(TestNsm {
        broken: true,
        ..nsm()
    });
    let reason = "NSM refused DescribePCR: InternalError";
    assert_eq!(error(&agent, STATUS), (500, format!("nsm-failed: {reason}")));
    let (status, text) = error(&agent, ATTEST);
    assert_eq!(
        (status, text.as_str()),
        (500, "nsm-failed: NSM refused Attestation: InternalError")
    );

    let agent = TestAgent::start(nsm());
    for (name, content) in [
        ("rng", ""),
        ("uptime", "soon\n"),
        ("boot", "nitro-init stage=ok\n"),
    ] {
        let good = std::fs::read_to_string(agent.path(name)).unwrap();
        agent.write(name, content);
        let (status, text) = error(&agent, STATUS);
        assert_eq!(status, 500);
        assert!(text.starts_with("source-failed: "), "{text}");
        agent.write(name, &good);
    }
    assert_eq!(agent.ask(STATUS)["status"], json!(200));
}

#[test]
fn others_than_the_parent_get_nothing() {
    for cid in [0, 1, 2, 4, 16, u32::MAX] {
        let agent = TestAgent::start_for(nsm(), cid);
        let mut stream = agent.connect();
        // The connection may be gone before the message is.
        drop(stream.write_all(ATTEST.as_bytes()));
        let mut all = Vec::new();
        drop(stream.read_to_end(&mut all));
        assert_eq!(all, b"", "CID {cid}");
        assert!(agent.nsm.asked.lock().unwrap().is_empty());
    }
}

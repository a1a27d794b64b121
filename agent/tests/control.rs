//! The control protocol over a socket: framing, limits, deadlines, and what each operation answers.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{ENOUGH, SHORT, Settings, TestAgent, TestNsm, answer, bytes};

#[expect(dead_code, reason = "other files need more of it")]
mod support;

const STATUS: &str = r#"{"operation":"status"}"#;

/// Messages must come soon.
fn hasty() -> Settings {
    let mut settings = Settings::new(nsm());
    settings.bounds.receive = SHORT;
    settings
}

const ATTEST: &str = r#"{"operation":"attest","nonce":"00ff"}"#;

fn nsm() -> TestNsm {
    TestNsm {
        pcrs: Mutex::new([0, 1, 2, 3, 4].map(|n: u8| (u16::from(n), [0x10 + n; 48])).into()),
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
                "phase": "unconfigured",
                "signer": { "state": "absent", "restarts": 0 },
                "clock": { "source": "ptp-kvm", "offset_us": -12, "read_ms_ago": 100 },
                "versions": { "agent": env!("CARGO_PKG_VERSION") },
                "log_dropped": 0,
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
    let claims = r#"{"public_keys":[]}"#;
    let expected =
        json!({ "body": { "attestation_document": "hGRvY3VtZW50", "claims": claims }, "status": 200 });
    assert_eq!(agent.ask(ATTEST), expected);
    let longest = format!(r#"{{"operation":"attest","nonce":"{}"}}"#, "ab".repeat(64));
    assert_eq!(agent.ask(&longest), expected);
    let asked = agent.nsm.asked.lock().unwrap().clone();
    // The tag, and the SHA-384 of the claims: printf '%s' '{"public_keys":[]}' | sha384sum
    let hash =
        "7bf930c2fe862b46ce5d6233168a230afdbe9a7a3f7973636c4276d950049a569267bd2ced69e828d0d7cebdfe608981";
    let hash = (0..96)
        .step_by(2)
        .map(|at| u8::from_str_radix(&hash[at..at + 2], 16).unwrap());
    let data: Vec<u8> = b"nw3s-claims-v1\0\0".iter().copied().chain(hash).collect();
    assert_eq!(
        asked,
        vec![
            (Some(data.clone()), Some(vec![0, 0xff])),
            (Some(data.clone()), Some(vec![0xab; 64]))
        ]
    );
    assert_eq!(agent.ask_service(ATTEST), expected, "it is served on both ports");
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
        (r#"{"operation":"init_state"}"#, 400, "wrong-port"),
        (r#"{"operation":"nothing"}"#, 400, "unknown-operation"),
        ("{}", 400, "missing-field"),
        ("{\"a\"}", 400, "not-json"),
        ("{]", 400, "not-json"),
        ("\u{16}\u{3}\u{1}", 400, "not-an-object"),
        ("[]", 400, "not-an-object"),
        ("{}{}", 400, "trailing-bytes"),
        (&"{\"a\":".repeat(9), 400, "too-deep"),
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
    let agent = TestAgent::with(hasty());
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
fn two_hundred_idle_connections_delay_nobody() {
    let agent = TestAgent::with(hasty());
    let idle: Vec<_> = (0..100)
        .flat_map(|_| [agent.connect(), agent.connect_to("service")])
        .collect();
    let mut slow = agent.connect();
    slow.write_all(b"{").unwrap();
    let started = Instant::now();
    assert_eq!(agent.ask(STATUS)["status"], json!(200));
    assert_eq!(
        agent.ask_service(r#"{"operation":"init_state"}"#),
        json!({"body": {"init_state": false}, "status": 200})
    );
    assert!(started.elapsed() < SHORT, "{:?}", started.elapsed());
    drop(idle);
}

#[test]
fn every_place_taken_delays_others_no_longer_than_the_deadline() {
    let agent = TestAgent::with(hasty());
    let started = Instant::now();
    let idle: Vec<_> = (0..agent::listen::MAX_MESSAGES)
        .map(|_| agent.connect())
        .collect();
    // Connections are accepted in their order, so every place is taken until the first deadline.
    assert_eq!(agent.ask(STATUS)["status"], json!(200));
    assert!(started.elapsed() >= SHORT, "a place was free at once");
    drop(idle);
}

#[test]
fn seventeen_mebibytes_are_refused_and_sixteen_are_read() {
    let agent = TestAgent::start(nsm());
    let padded = |length: usize| format!("{}{STATUS}", " ".repeat(length - STATUS.len()));
    assert_eq!(agent.ask(&padded(16 << 20))["status"], json!(200));
    let mut stream = agent.connect();
    // The answer comes before everything was taken; what is left may break the connection.
    drop(stream.write_all(padded(17 << 20).as_bytes()));
    let mut all = Vec::new();
    drop(stream.read_to_end(&mut all));
    let answer: serde_json::Value = serde_json::from_slice(&all).unwrap();
    assert_eq!(answer["status"], json!(413), "{answer}");
    assert_eq!(agent.ask(STATUS)["status"], json!(200));
}

#[test]
fn long_messages_share_their_memory_and_short_ones_need_none() {
    let agent = TestAgent::start(nsm());
    // The second cannot grow beyond what the first leaves.
    let half = |length: usize| {
        let mut stream = agent.connect();
        stream.write_all(b"{\"a\":\"").unwrap();
        let written = stream.write_all("x".repeat(length).as_bytes());
        (stream, written)
    };
    let (first, written) = half(12 << 20);
    written.unwrap();
    let (mut second, _) = half(12 << 20);
    let mut all = Vec::new();
    drop(second.read_to_end(&mut all));
    let answer: serde_json::Value = serde_json::from_slice(&all).unwrap();
    assert_eq!(answer["status"], json!(503), "{answer}");
    assert!(
        answer["body"]["error"].as_str().unwrap().starts_with("busy: "),
        "{answer}"
    );
    assert_eq!(agent.ask(STATUS)["status"], json!(200));
    drop(first);
}

#[test]
fn what_is_neither_tls_nor_a_message_is_closed_without_a_word() {
    let agent = TestAgent::start(nsm());
    for first in [
        &b"\x15\x03"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b" {",
        b"[",
        b"\0",
        b"\x16\x03\x01\x02\x00\x01",
    ] {
        let mut stream = agent.connect_to("service");
        stream.write_all(first).unwrap();
        let mut all = Vec::new();
        drop(stream.read_to_end(&mut all));
        assert_eq!(all, b"", "{first:?}");
    }
    let metrics = agent.ask(r#"{"operation":"metrics"}"#);
    let text = metrics["body"]["text"].as_str().unwrap();
    for line in [
        "nitro_agent_garbage_total 5",
        "nitro_agent_tls_refused_total 1",
        "nitro_agent_tls_total 0",
        "nitro_agent_initialised 0",
        "nitro_agent_connections_total{port=\"5000\"} 6",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(
            name.starts_with("nitro_agent_") && value.parse::<u64>().is_ok(),
            "{line}"
        );
    }
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
    let mut settings = Settings::new(module);
    settings.patience.module = SHORT;
    let agent = TestAgent::with(settings);
    let started = Instant::now();
    let (status, text) = error(&agent, ATTEST);
    assert_eq!(status, 503);
    assert_eq!(text, "unavailable: no answer within 1500 ms");
    assert!(started.elapsed() >= SHORT);
    // The module comes back.
    while agent.ask(STATUS)["status"] != json!(200) {
        assert!(started.elapsed() < ENOUGH, "the module is not back");
    }
}

#[test]
fn what_cannot_be_had_is_an_error_and_no_status_with_a_hole() {
    let agent = TestAgent::start(nsm());
    agent.nsm.breaking(&["DescribePCR", "Attestation"]);
    let reason = "NSM refused DescribePCR: InternalError";
    let (status, text) = error(&agent, STATUS);
    assert!(
        text.starts_with("nsm-failed: ") && text.ends_with(reason),
        "{text}"
    );
    assert_eq!(status, 500);
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
        ("clock", "soon\n"),
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
        let mut settings = Settings::new(nsm());
        settings.cid = cid;
        let agent = TestAgent::with(settings);
        for port in ["control", "service"] {
            let mut stream = agent.connect_to(port);
            // The connection may be gone before the message is.
            drop(stream.write_all(ATTEST.as_bytes()));
            let mut all = Vec::new();
            drop(stream.read_to_end(&mut all));
            assert_eq!(all, b"", "CID {cid}, {port}");
        }
        assert!(agent.nsm.asked.lock().unwrap().is_empty());
    }
}

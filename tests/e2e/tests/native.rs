//! The native image, booted once: what it measures is what was printed, and what it says of itself is true.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

use std::io::{BufRead, BufReader};

use abi::boot::Stage;
use abi::events::{Event, Key, Kind};
use attest::UnverifiedDoc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::log::{Record, Source};
use e2e::{Booted, PATIENCE, boot, eif_builder, pcrs, place, said};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha384};

#[test]
fn the_image_boots_and_is_what_was_measured() {
    let out = place("NITRO_OUT_DIR");
    let expected = pcrs(&out.join("native.pcrs.json"));
    let booted = boot(&out.join("native.eif"));
    stages_come_in_order(&booted);
    status_is_true(&booted, &expected);
    the_document_carries_the_measurements(&booted, &expected);
    nothing_else_is_answered(&booted);
    the_service_port_waits_for_init(&booted);
    the_log_is_sent(&booted);
    a_config_is_measured_once(&booted);
    let (status, _) = booted.enclave.stop().unwrap();
    println!("the emulator ended with {status}");
}

fn events(booted: &Booted) -> Vec<Event> {
    booted
        .enclave
        .record()
        .console_lines()
        .iter()
        .filter_map(|line| Event::parse(line).ok())
        .collect()
}

fn stages_come_in_order(booted: &Booted) {
    let events = events(booted);
    let passed: Vec<Stage> = events
        .iter()
        .filter(|e| matches!(e.kind, Kind::Ok | Kind::Skipped))
        .map(|e| e.stage)
        .collect();
    let mut sorted = passed.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(passed, sorted, "each stage once, in order");
    for stage in [
        Stage::Mounts,
        Stage::Nsm,
        Stage::Entropy,
        Stage::Loopback,
        Stage::Heartbeat,
        Stage::Root,
    ] {
        assert!(passed.contains(&stage), "{stage} is missing from {passed:?}");
    }
    let entropy = events
        .iter()
        .find(|e| e.stage == Stage::Entropy && e.kind == Kind::Ok)
        .unwrap();
    assert_eq!(entropy.field(Key::Bytes), Some("1024"));
    assert!(
        booted.enclave.record().wrong_text().is_none(),
        "the heartbeat was one byte, 0xB7"
    );
}

fn status_is_true(booted: &Booted, expected: &[String; 3]) {
    let answer = booted.control(r#"{"operation":"status"}"#);
    assert_eq!(answer["status"], 200, "{answer}");
    let body = &answer["body"];
    for (index, value) in expected.iter().enumerate() {
        assert_eq!(
            body["pcrs"][index.to_string()],
            Value::from(value.as_str()),
            "PCR{index}"
        );
    }
    assert_eq!(body["debug"], false);
    assert_eq!(body["entropy_source"], "nsm-hwrng");
    assert_eq!(body["stage"], "running");
    assert_eq!(body["phase"], "unconfigured");
    assert_eq!(body["signer"]["state"], "absent");
    assert!(body["uptime_ms"].as_u64().unwrap() > 0);
    assert!(body["boot"].as_array().unwrap().len() >= 8, "{body}");
}

fn the_document_carries_the_measurements(booted: &Booted, expected: &[String; 3]) {
    let nonce = "00112233445566778899aabbccddeeff";
    let answer = booted.control(&json!({"operation": "attest", "nonce": nonce}).to_string());
    assert_eq!(answer["status"], 200, "{answer}");
    let text = answer["body"]["attestation_document"].as_str().unwrap();
    let bytes = STANDARD.decode(text).unwrap();
    let document = UnverifiedDoc::parse(&bytes).unwrap();
    let claims = document.unverified_claims();
    for (index, value) in expected.iter().enumerate() {
        let pcr = claims.pcrs.get(u8::try_from(index).unwrap()).unwrap();
        assert_eq!(pcr.to_string(), *value, "PCR{index}");
    }
    assert_eq!(
        claims.nonce.unwrap(),
        (0..16).map(|n| n * 0x11).collect::<Vec<u8>>()
    );
    assert_eq!(claims.public_key, None, "never a public key");
    // The claims travel beside the document, which commits to their bytes as they came.
    let claimed = answer["body"]["claims"].as_str().unwrap();
    assert_eq!(claimed, r#"{"public_keys":[]}"#);
    let hash = <[u8; 48]>::from(Sha384::digest(claimed.as_bytes()));
    assert_eq!(
        claims.user_data.unwrap(),
        control::claims::user_data(&hash).to_vec()
    );

    // QEMU signs nothing, so the auditor's command must refuse what it shows.
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let output = eif_builder(&["attest", "verify", file.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
}

fn nothing_else_is_answered(booted: &Booted) {
    let rows = [
        (
            r#"{"operation":"attest","nonce":"00","public_key":"30"}"#,
            400,
            "unknown-field",
        ),
        (r#"{"operation":"attest","nonce":""}"#, 400, "bad-nonce"),
        (r#"{"operation":"nothing"}"#, 400, "unknown-operation"),
        (r#"{"operation":"init_state"}"#, 400, "wrong-port"),
        (
            r#"{"operation":"remove_keys","public_keys":["0xabababababababababababababababababababababababababababababababababababababababababababababababab"]}"#,
            409,
            "not-initialised",
        ),
        (
            r#"{"operation":"status","operation":"status"}"#,
            400,
            "duplicate-field",
        ),
        ("[]", 400, "not-an-object"),
    ];
    for (message, status, word) in rows {
        let answer = booted.control(message);
        assert_eq!(answer["status"], status, "{message}: {answer}");
        assert!(
            answer["body"]["error"].as_str().unwrap().starts_with(word),
            "{message}: {answer}"
        );
    }
    assert_eq!(
        booted.control(r#"{"operation":"status"}"#)["status"],
        200,
        "still there"
    );
}

/// The agent keeps what it has to say until the parent listens.
fn the_log_is_sent(booted: &Booted) {
    let listener = booted.enclave.listen(abi::vsock::LOG_PORT).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sources = Vec::new();
    for line in BufReader::new(stream).lines() {
        let record: Record = serde_json::from_str(&line.unwrap()).unwrap();
        assert_eq!(record.dropped, 0);
        sources.push((record.source, record.event));
        let running = (Source::Init, "started".to_owned());
        let listening = (Source::Agent, "listening".to_owned());
        if sources.contains(&running) && sources.contains(&listening) {
            return;
        }
    }
    panic!("the log ended: {sources:?}");
}

fn the_service_port_waits_for_init(booted: &Booted) {
    let state = booted.service(br#"{"operation":"init_state"}"#);
    assert_eq!(state, br#"{"body":{"init_state":false},"status":200}"#);
    for closed in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0",
    ] {
        assert_eq!(booted.service(closed), b"", "{closed:?}");
    }
}

/// QEMU's module extends and locks registers as Nitro's does.
fn a_config_is_measured_once(booted: &Booted) {
    let config = |network: &str, store: Value| {
        json!({"operation": "configure", "config": {
            "schema": 1, "region": "eu-central-1", "network": network,
            "kms_key_arn": "arn:aws:kms:eu-central-1:111122223333:key/12345678-0000-4000-8000-00000000000b",
            "stacks": ["0f9e8d7c-0000-4000-8000-00000000000a"], "client_authentication": "known-clients",
            "slashing_store": store,
            "outbound": [{"name": "db.example.org", "port": 5432, "vsock_port": 8101},
                         {"name": "dynamodb.eu-central-1.amazonaws.com", "port": 443, "vsock_port": 8102}],
            "artefact_versions": {"tls_key": 0, "clients": 0, "slashing_credential": 0},
        }})
        .to_string()
    };
    let word = |answer: &Value| {
        answer["body"]["error"]
            .as_str()
            .unwrap()
            .split(':')
            .next()
            .unwrap()
            .to_owned()
    };
    let store = json!({"kind": "postgresql", "host": "db.example.org", "port": 5432, "database": "signer"});
    let memory = booted.control(&config("hoodi", json!({"kind": "memory"})));
    assert_eq!(word(&memory), "not-allowed", "{memory}");
    let configured = booted.control(&config("hoodi", store.clone()));
    assert_eq!(configured["status"], 200, "{configured}");
    assert_eq!(configured["body"]["changed"], true);
    let status = booted.control(r#"{"operation":"status"}"#);
    assert_eq!(status["body"]["pcrs"]["16"], configured["body"]["pcr16"]);
    assert_eq!(status["body"]["phase"], "configured");
    let other = booted.control(&config("mainnet", store.clone()));
    assert_eq!(word(&other), "config-conflict", "{other}");
    assert_eq!(booted.control(&config("hoodi", store))["body"]["changed"], false);
    let answer = booted.control(r#"{"operation":"attest","nonce":"01"}"#);
    let document = STANDARD
        .decode(answer["body"]["attestation_document"].as_str().unwrap())
        .unwrap();
    let document = UnverifiedDoc::parse(&document).unwrap();
    let pcr16 = document.unverified_claims().pcrs.get(16).unwrap().to_string();
    assert_eq!(Value::from(pcr16), configured["body"]["pcr16"]);
}

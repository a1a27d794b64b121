//! The client against a KMS and a proxy that break, lie or keep silent.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};
use kmstool_rs::client::{Client, ClientError, Settings, World};
use kmstool_rs::clock::RandomJitter;
use kmstool_rs::envelope::EnvelopeError;
use kmstool_rs::key_id::KeyId;
use kmstool_rs::reply::ReplyError;
use kmstool_rs::retry::Policy;
use kmstool_rs::service_error::Class;
use kmstool_rs::transport::{Times, TransportError};
use serde_json::json;

use crate::setup::{NOW, Setup, block_on, ciphertext, decrypt, settings, setup, setup_with};
use crate::support::nsm::FakeDevice;
use crate::support::{Act, HandClock, KEY_ARN, Loopback, Server, http};

#[test]
fn garbage_is_malformed() {
    for (bytes, error) in [
        (
            b"\x16\x03\x01 not http at all\r\n\r\n".to_vec(),
            TransportError::NotHttp,
        ),
        (http(200, &"x".repeat(100 * 1024), None), TransportError::TooLong),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{".to_vec(),
            TransportError::TooLong,
        ),
        (
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(100)).into_bytes(),
            TransportError::NotHttp,
        ),
    ] {
        let (result, requests) = decrypt([Act::Raw(bytes)]);
        let failure = result.unwrap_err();
        assert_eq!((failure.class(), requests), (Class::Malformed, 1));
        assert_eq!(failure, ClientError::Transport(error));
    }
    let cut = http(200, "{}", None);
    let (result, requests) = decrypt(vec![Act::Raw(cut[..cut.len() - 1].to_vec()); 9]);
    assert_eq!(
        (result.unwrap_err().class(), requests),
        (Class::Network, 5),
        "a cut answer may have been a broken line"
    );
    let (result, _) = decrypt([Act::Refuse(200, "<html>".to_owned())]);
    assert_eq!(
        result.unwrap_err(),
        ReplyError::Json { line: 1, column: 1 }.into()
    );
}

#[test]
fn substitution_is_refused() {
    let other = crate::support::cms::envelope(
        kmstool_rs::unwrap_key::UnwrapKey::generate()
            .unwrap()
            .public_der(),
        b"forged",
    );
    let other = Base64::encode_string(&other);
    let (result, _) = decrypt([Act::Changed(json!({"CiphertextForRecipient": other}))]);
    assert!(
        matches!(
            result,
            Err(ClientError::Envelope(EnvelopeError::Recipient { .. }))
        ),
        "{result:?}"
    );
    let (result, _) = decrypt([Act::Changed(json!({"Plaintext": "UExBTlRFRA=="}))]);
    assert_eq!(result, Err(ReplyError::Clear.into()));

    let server = Server::start([Act::Changed(json!({"KeyId": KEY_ARN.replace("1111", "9999")}))]);
    let setup = setup(&server);
    let mut pinned = ciphertext("hello");
    pinned.key_id = Some(KeyId::new(KEY_ARN).unwrap());
    let result = block_on(setup.client.call(&pinned)).map(|_| ());
    assert!(
        matches!(result, Err(ClientError::Reply(ReplyError::Key { .. }))),
        "{result:?}"
    );
    assert_eq!(server.seen()[0].body["KeyId"], KEY_ARN);
}

#[test]
fn a_man_in_the_middle_learns_nothing() {
    for (server, trusted) in [
        (Server::with_name("kms.us-east-1.evil.example", []), None),
        (Server::start([]), Some(Server::start([]))),
    ] {
        let settings = settings(trusted.as_ref().unwrap_or(&server));
        let setup = setup_with(server.port, settings);
        let error = block_on(setup.client.call(&ciphertext("hello"))).unwrap_err();
        assert_eq!(error.class(), Class::Tls, "{error:?}");
        assert_eq!(server.seen().len(), 0, "no request, so no credential");
    }
}

#[test]
fn no_proxy() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let server = Server::start([]);
    let setup = setup_with(port, settings(&server));
    let error = block_on(setup.client.call(&ciphertext("hello"))).unwrap_err();
    assert_eq!(
        error,
        TransportError::Connect(io::ErrorKind::ConnectionRefused).into()
    );
    assert_eq!(error.class(), Class::Network);
}

/// A proxy that takes connections and never says anything.
#[test]
fn silence_ends_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start([]);
    let limit = Duration::from_millis(100);
    let times = Times {
        handshake: limit,
        ..Times::DEFAULT
    };
    let policy = Policy {
        attempts: 2,
        ..Policy::DEFAULT
    };
    let setup = setup_with(
        silent.local_addr().unwrap().port(),
        Settings {
            times,
            policy,
            ..settings(&server)
        },
    );
    let started = Instant::now();
    let error = block_on(setup.client.call(&ciphertext("hello"))).unwrap_err();
    assert_eq!(
        error,
        TransportError::Timeout {
            step: "the TLS handshake",
            limit
        }
        .into()
    );
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn deadline_bounds_all_attempts() {
    let server = Server::start(vec![Act::Slow(Duration::from_mins(1)); 9]);
    let policy = Policy {
        attempts: 99,
        deadline: Duration::from_millis(300),
        ..Policy::DEFAULT
    };
    let times = Times {
        request: Duration::from_millis(200),
        ..Times::DEFAULT
    };
    let setup = setup_with(
        server.port,
        Settings {
            times,
            policy,
            ..settings(&server)
        },
    );
    let started = Instant::now();
    let error = block_on(setup.client.call(&ciphertext("hello"))).unwrap_err();
    assert_eq!(error.class(), Class::Network);
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!((1..=3).contains(&server.seen().len()));
}

/// When the proxy is gone, what follows fails quickly instead of running through every attempt.
#[test]
fn a_lost_network_is_not_hammered() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start([]);
    let times = Times {
        handshake: Duration::from_millis(50),
        ..Times::DEFAULT
    };
    let setup = setup_with(
        silent.local_addr().unwrap().port(),
        Settings {
            times,
            ..settings(&server)
        },
    );
    let requests: Vec<_> = (0..10)
        .map(|number| ciphertext(&format!("item {number}")))
        .collect();
    let started = Instant::now();
    let results = block_on(setup.client.decrypt_batch(&requests));
    assert!(results.iter().all(|result| {
        result
            .as_ref()
            .is_err_and(|error| error.class() == Class::Network)
    }));
    // Five attempts for the first, one for each of the others: 14 and not 50 handshakes.
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

/// When it stays gone, what follows is not even tried, but for a probe now and then; an answer ends that.
#[test]
fn a_long_outage_costs_nothing_more() {
    let server = Server::start(vec![Act::Reset; 4]);
    let policy = Policy {
        attempts: 2,
        patience: Duration::from_millis(200),
        probe: Duration::from_millis(400),
        ..Policy::DEFAULT
    };
    let setup = setup_with(
        server.port,
        Settings {
            policy,
            ..settings(&server)
        },
    );
    let call = || block_on_same(&setup);
    let broken = TransportError::Broken("waiting for the answer");
    assert_eq!(call().unwrap_err(), broken.clone().into());
    assert_eq!(server.seen().len(), 2);
    std::thread::sleep(Duration::from_millis(250));
    let untried = call().unwrap_err();
    assert!(
        matches!(untried, ClientError::Transport(TransportError::Lost(since)) if since.as_millis() >= 250),
        "{untried:?}"
    );
    assert_eq!((untried.class(), server.seen().len()), (Class::Network, 2));
    std::thread::sleep(Duration::from_millis(250));
    assert_eq!(call().unwrap_err(), broken.into());
    assert_eq!(server.seen().len(), 3, "a probe is one attempt");
    server.log.lock().unwrap().acts.clear();
    std::thread::sleep(Duration::from_millis(450));
    assert_eq!(call(), Ok(()));
    assert_eq!(call(), Ok(()));
}

fn block_on_same(setup: &Setup) -> Result<(), ClientError> {
    block_on(setup.client.call(&ciphertext("hello"))).map(|_| ())
}

#[test]
fn no_document() {
    let server = Server::start([]);
    let device = FakeDevice {
        broken: true,
        ..FakeDevice::default()
    };
    let world = World {
        connect: Arc::new(Loopback(server.port)),
        nsm: Box::new(device.session()),
        clock: HandClock::at(NOW),
        jitter: Arc::new(RandomJitter),
    };
    let client = Client::new(settings(&server), world).unwrap();
    let error = block_on(client.call(&ciphertext("hello"))).unwrap_err();
    assert_eq!((error.class(), server.sessions()), (Class::Nsm, 0));
}

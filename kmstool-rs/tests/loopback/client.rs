//! The client against a KMS on the loopback that answers, refuses, and misbehaves.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::support::nsm::FakeDevice;
use crate::support::{Act, HandClock, KEY_ARN, Loopback, NoJitter, Server, http};
use base64ct::{Base64, Encoding as _};
use kmstool_rs::client::{Client, ClientError, Settings, World};
use kmstool_rs::clock::RandomJitter;
use kmstool_rs::credentials::Credentials;
use kmstool_rs::endpoint::{Endpoint, Region};
use kmstool_rs::envelope::EnvelopeError;
use kmstool_rs::key_id::KeyId;
use kmstool_rs::ops::{
    DataKeySpec, Decrypt, EncryptionContext, GenerateDataKey, GenerateDataKeyPair, GenerateRandom,
};
use kmstool_rs::recipient::MAX_DOCUMENT_AGE;
use kmstool_rs::reply::ReplyError;
use kmstool_rs::retry::Policy;
use kmstool_rs::secret::Secret;
use kmstool_rs::service_error::Class;
use kmstool_rs::tls;
use kmstool_rs::transport::{Times, TransportError};
use serde_json::json;

/// 2018-11-05T22:16:04Z.
const NOW: u64 = 1_541_456_164;

struct Setup {
    client: Client,
    device: FakeDevice,
    clock: Arc<HandClock>,
}

fn settings(server: &Server) -> Settings {
    let ca = tempfile::NamedTempFile::new().unwrap();
    server.write_ca(ca.path());
    let secret = |text: &str| Secret::new(text.to_owned());
    Settings {
        endpoint: Endpoint::standard(Region::new("us-east-1").unwrap()),
        credentials: Credentials::new(
            secret("AKID"),
            secret("PLANTED-KEY"),
            Some(secret("PLANTED-TOKEN")),
        )
        .unwrap(),
        tls: tls::from_file(ca.path()).unwrap(),
        sessions: 1,
        policy: Policy::DEFAULT,
        times: Times {
            request: Duration::from_millis(500),
            ..Times::DEFAULT
        },
    }
}

fn setup_with(port: u16, settings: Settings) -> Setup {
    let (device, clock) = (FakeDevice::default(), HandClock::at(NOW));
    let world = World {
        connect: Arc::new(Loopback(port)),
        nsm: Box::new(device.session()),
        clock: clock.clone(),
        jitter: Arc::new(NoJitter),
    };
    Setup {
        client: Client::new(settings, world).unwrap(),
        device,
        clock,
    }
}

fn setup(server: &Server) -> Setup {
    setup_with(server.port, settings(server))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn ciphertext(text: &str) -> Decrypt {
    Decrypt::new(text.as_bytes().to_vec()).unwrap()
}

/// One `Decrypt` against a server with these acts: its outcome, and how many requests came.
fn decrypt(acts: impl IntoIterator<Item = Act>) -> (Result<String, ClientError>, usize) {
    let server = Server::start(acts);
    let setup = setup(&server);
    let result = block_on(setup.client.call(&ciphertext("hello")));
    let text = result.map(|decrypted| String::from_utf8(decrypted.plaintext.expose().clone()).unwrap());
    (text, server.seen().len())
}

fn refuse(name: &str) -> Act {
    Act::Refuse(400, format!(r#"{{"__type":"{name}","message":"text"}}"#))
}

#[test]
fn every_operation_over_one_session() {
    let server = Server::start([]);
    let setup = setup(&server);
    block_on(async {
        let decrypted = setup.client.call(&ciphertext("hello")).await.unwrap();
        assert_eq!(
            (
                decrypted.plaintext.expose().as_slice(),
                decrypted.key_arn.as_str()
            ),
            (&b"hello"[..], KEY_ARN)
        );
        let key_id = KeyId::new(KEY_ARN).unwrap();
        let context = EncryptionContext::new([("a".to_owned(), "b".to_owned())].into()).unwrap();
        let ask = GenerateDataKey {
            key_id: key_id.clone(),
            spec: DataKeySpec::Aes256,
            context,
        };
        let key = setup.client.call(&ask).await.unwrap();
        assert_eq!(
            (key.plaintext.expose().as_slice(), key.ciphertext),
            (&[7; 32][..], vec![4, 5, 6])
        );
        let pair = setup
            .client
            .call(&GenerateDataKeyPair::new(key_id, "RSA_2048").unwrap())
            .await
            .unwrap();
        assert_eq!(
            (pair.private_key.expose().len(), pair.public_key),
            (1000, vec![1, 2, 3])
        );
        let random = setup
            .client
            .call(&GenerateRandom::new(1024).unwrap())
            .await
            .unwrap();
        assert_eq!(random.expose().as_slice(), [7; 1024]);
    });
    assert_eq!(server.sessions(), 1);
    let asked = setup.device.asked.lock().unwrap();
    assert_eq!(asked.len(), 1, "one document for all");
    assert!(asked[0].public_key.as_ref().is_some_and(|key| key.len() == 294));
    assert_eq!((&asked[0].user_data, &asked[0].nonce), (&None, &None));
    let seen = server.seen();
    let header = |name: &str| seen[1].headers[name].as_str();
    assert_eq!(header("x-amz-target"), "TrentService.GenerateDataKey");
    assert_eq!(header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(header("host"), "kms.us-east-1.amazonaws.com");
    assert_eq!(header("x-amz-date"), "20181105T221604Z");
    assert_eq!(header("x-amz-security-token"), "PLANTED-TOKEN");
    let signed = "AWS4-HMAC-SHA256 Credential=AKID/20181105/us-east-1/kms/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=";
    assert!(
        header("authorization").starts_with(signed),
        "{}",
        header("authorization")
    );
    assert_eq!(seen[1].body["EncryptionContext"], json!({"a": "b"}));
    assert_eq!(
        seen[1].body["Recipient"]["KeyEncryptionAlgorithm"],
        "RSAES_OAEP_SHA_256"
    );
}

#[test]
fn passing_failures_are_tried_again() {
    for act in [
        refuse("ThrottlingException"),
        Act::Refuse(500, r#"{"__type":"KMSInternalException"}"#.to_owned()),
        Act::Refuse(503, "<html>".to_owned()),
        Act::Reset,
        Act::Slow(Duration::from_secs(2)),
    ] {
        let (result, requests) = decrypt([act.clone(), act.clone()]);
        assert_eq!((result, requests), (Ok("hello".to_owned()), 3), "{act:?}");
    }
    let (result, requests) = decrypt(vec![refuse("ThrottlingException"); 9]);
    assert_eq!((result.unwrap_err().class(), requests), (Class::Throttled, 5));
}

#[test]
fn lasting_failures_are_not() {
    for (name, class) in [
        ("AccessDeniedException", Class::Denied),
        ("InvalidCiphertextException", Class::Refused),
        ("ExpiredTokenException", Class::Credentials),
        ("InvalidSignatureException", Class::Credentials),
    ] {
        let (result, requests) = decrypt([refuse(name)]);
        let error = result.unwrap_err();
        assert_eq!((error.class(), requests), (class, 1), "{name}");
        let service = error.service().unwrap();
        assert_eq!(
            (
                service.name.as_str(),
                service.message.as_str(),
                service.request_id.as_str()
            ),
            (name, "text", "request-1")
        );
    }
}

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

#[test]
fn documents_are_refreshed_before_they_are_stale() {
    let server = Server::start([]);
    let setup = setup(&server);
    let at =
        |seconds: u64| *setup.clock.0.lock().unwrap() = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let documents = || setup.device.asked.lock().unwrap().len();
    block_on(async {
        for (seconds, expected) in [
            (NOW, 1),
            (NOW + MAX_DOCUMENT_AGE.as_secs(), 1),
            (NOW + MAX_DOCUMENT_AGE.as_secs() + 1, 2),
            (NOW, 3),
            (NOW + 1, 3),
        ] {
            at(seconds);
            setup.client.call(&ciphertext("hello")).await.unwrap();
            assert_eq!(documents(), expected, "{}", seconds - NOW);
        }
    });
    let keys: Vec<_> = setup
        .device
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|asked| asked.public_key.clone())
        .collect();
    assert!(
        keys.iter().all(|key| *key == keys[0]),
        "one key for all documents"
    );
}

#[test]
fn clock_skew_is_corrected_once() {
    let message = "Signature expired: 20181105T221604Z is now earlier than 20181105T232104Z (20181105T232604Z - 5 min.)";
    let skewed = Act::Refuse(
        400,
        format!(r#"{{"__type":"InvalidSignatureException","message":"{message}"}}"#),
    );
    let server = Server::start([skewed.clone()]);
    let setup = setup(&server);
    block_on(async {
        setup.client.call(&ciphertext("one")).await.unwrap();
        setup.client.call(&ciphertext("two")).await.unwrap();
    });
    let stamps: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| seen.headers["x-amz-date"].clone())
        .collect();
    assert_eq!(
        stamps,
        ["20181105T221604Z", "20181105T232604Z", "20181105T232604Z"]
    );

    let (result, requests) = decrypt([skewed.clone(), skewed]);
    let error = result.unwrap_err();
    assert_eq!((error.class(), requests), (Class::ClockSkew, 2));
    assert_eq!(
        error.to_string(),
        "KMS refused the request's time: this clock is 4200 s behind the clock of AWS"
    );

    let body = r#"{"__type":"RequestExpired"}"#.to_owned();
    let (result, requests) = decrypt([Act::RefuseAt(400, body.clone(), "Mon, 05 Nov 2018 20:16:04 GMT")]);
    assert_eq!(
        (result, requests),
        (Ok("hello".to_owned()), 2),
        "the Date header serves too"
    );
    let (result, requests) = decrypt([Act::Refuse(400, body)]);
    assert_eq!(
        (result.unwrap_err().class(), requests),
        (Class::ClockSkew, 1),
        "no time to learn from"
    );
}

#[test]
fn batch_keeps_order_and_items_fail_alone() {
    let server = Server::start([
        Act::Answer,
        refuse("InvalidCiphertextException"),
        Act::LastAnswer,
        refuse("ThrottlingException"),
    ]);
    let setup = setup(&server);
    let requests: Vec<_> = (0..20)
        .map(|number| ciphertext(&format!("item {number}")))
        .collect();
    let results = block_on(setup.client.decrypt_batch(&requests));
    for (number, result) in results.iter().enumerate() {
        match (number, result) {
            (1, Err(error)) => assert_eq!(error.class(), Class::Refused),
            (_, Ok(decrypted)) => {
                assert_eq!(decrypted.plaintext.expose(), format!("item {number}").as_bytes());
            }
            (_, Err(error)) => unreachable!("item {number}: {error:?}"),
        }
    }
    assert_eq!(
        (results.len(), server.sessions()),
        (20, 2),
        "a new session only where the server closed one"
    );
    assert_eq!(setup.device.asked.lock().unwrap().len(), 1);
}

#[test]
fn concurrency_is_bounded() {
    let server = Server::start(vec![Act::Slow(Duration::from_millis(20)); 24]);
    let setup = setup_with(
        server.port,
        Settings {
            sessions: 4,
            ..settings(&server)
        },
    );
    let requests: Vec<_> = (0..24)
        .map(|number| ciphertext(&format!("item {number}")))
        .collect();
    let results = block_on(setup.client.decrypt_batch(&requests));
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(server.sessions(), 4);
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

#[test]
fn nothing_secret_is_printable() {
    let server = Server::start([Act::Refuse(
        400,
        r#"{"__type":"X","message":"PLANTED-TOKEN PLANTED-KEY"}"#.to_owned(),
    )]);
    let setup = setup(&server);
    let error = block_on(setup.client.call(&ciphertext("hello"))).unwrap_err();
    let decrypted = block_on(setup.client.call(&ciphertext("PLANTED-TEXT"))).unwrap();
    let shown = format!("{:?} {error:?} {error} {decrypted:?}", setup.client);
    assert!(!shown.contains("PLANTED"), "{shown}");
    assert!(shown.contains("[redacted] [redacted]"));
}

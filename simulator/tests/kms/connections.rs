//! Sockets, TLS and HTTP: who is trusted, what is left over, and bytes that are no request.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use serde_json::json;
use simulator::kms::pki::{Ca, names};
use simulator::kms::server::{Listen, Server, ServerError};

use crate::client::{Connection, HOST, trusting};
use crate::setup::{Setup, simulated};

fn describe(setup: &Setup) -> serde_json::Value {
    json!({"KeyId": setup.key_arn})
}

/// Waits for numbers that another thread writes.
fn wait_until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(20), "it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn every_name_of_kms_is_served_on_tcp_and_unix() {
    let setup = simulated();
    let address = setup.server.tcp().unwrap();
    for name in [
        HOST,
        "kms-fips.us-east-1.amazonaws.com",
        "vpce-1.kms.us-east-1.vpce.amazonaws.com",
        "localhost",
        "127.0.0.1",
    ] {
        let mut client = Connection::tcp(address, &setup.tls, name);
        let answer = client.call(&setup.admin, "DescribeKey", &describe(&setup));
        assert_eq!(answer.status, 200, "{name}");
    }
    assert_eq!(setup.admin("DescribeKey", &describe(&setup)).status, 200);
}

/// A client that refuses the certificate has sent nothing that could be used.
#[test]
fn no_credential_is_seen_before_the_certificate_is_believed() {
    let setup = simulated();
    let headers = setup.admin.headers("DescribeKey", b"{}");
    let other_ca = trusting(Ca::new().unwrap().pem());
    let refused = Connection::unix(setup.server.unix().unwrap(), &other_ca).send(&headers, b"{}");
    refused.unwrap_err();
    let address = setup.server.tcp().unwrap();
    let wrong_name =
        Connection::tcp(address, &setup.tls, "kms.eu-west-1.amazonaws.com").send(&headers, b"{}");
    wrong_name.unwrap_err();
    wait_until(|| setup.kms().counts().tls_failures == 2);
    let counts = setup.kms().counts();
    assert_eq!(
        (
            counts.tls_sessions,
            counts.credentials_seen,
            counts.cleartext_connections
        ),
        (0, 0, 0)
    );
}

#[test]
fn cleartext_is_noticed_and_not_answered() {
    let setup = simulated();
    let mut stream = TcpStream::connect(setup.server.tcp().unwrap()).unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: kms\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // The server may also reset what it has not read.
    drop(stream.read_to_end(&mut answer));
    assert!(!answer.starts_with(b"HTTP"));
    wait_until(|| setup.kms().counts().cleartext_connections == 1);
}

#[test]
fn one_connection_carries_many_calls() {
    let setup = simulated();
    let mut client = setup.connect();
    for _ in 0..50 {
        assert_eq!(
            client.call(&setup.admin, "DescribeKey", &describe(&setup)).status,
            200
        );
    }
    assert_eq!(setup.kms().counts().tls_sessions, 1);
}

#[test]
fn what_is_no_request_is_refused_and_harms_nobody() {
    let setup = simulated();
    let head = |rest: &str| format!("POST / HTTP/1.1\r\nhost: {HOST}\r\n{rest}\r\n");
    let mut long_head = "x: ".to_owned();
    long_head += &"y".repeat(100_000);
    long_head += "\r\n";
    let requests: Vec<Vec<u8>> = vec![
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        head("content-length: -1\r\n").into_bytes(),
        head("content-length: 1\r\ncontent-length: 2\r\n").into_bytes(),
        head("content-length: 99999999999999999999\r\n").into_bytes(),
        head("transfer-encoding: chunked\r\n").into_bytes(),
        [head("transfer-encoding: chunked\r\n").as_bytes(), b"zz\r\n"].concat(),
        [head("content-length: 2000000\r\n").as_bytes(), &[b'x'; 1_500_000]].concat(),
        head("no colon\r\n").into_bytes(),
        head(&long_head).into_bytes(),
        [head("content-length: 2\r\n").as_bytes(), b"{}"].concat(),
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"POST /%2e?a=b HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
    ];
    for request in &requests {
        for cut in [request.len(), request.len() / 2, 1] {
            let mut stream = Connection::unix(setup.server.unix().unwrap(), &setup.tls);
            let status = stream.raw_then_close(&request[..cut]);
            assert!(status.is_none_or(|status| status >= 400), "{status:?}");
        }
    }
    assert_eq!(setup.admin("DescribeKey", &describe(&setup)).status, 200);
}

/// Signed by a caller who may call, and no JSON of the operation.
#[test]
fn bodies_that_are_no_input_are_refused() {
    let setup = simulated();
    let deep = "[".repeat(100_000);
    let long_key = format!(r#"{{"KeyId":"{}"}}"#, "k".repeat(900_000));
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        br#"{"KeyId": 5}"#,
        br#"{"KeyId": "a", "KeyId": "b"}"#,
        deep.as_bytes(),
        long_key.as_bytes(),
    ];
    let mut client = setup.connect();
    for operation in [
        "DescribeKey",
        "Decrypt",
        "Encrypt",
        "PutKeyPolicy",
        "GenerateRandom",
        "CreateKey",
    ] {
        for body in bodies {
            let headers = setup.admin.headers(operation, body);
            let answer = client.send(&headers, body).unwrap();
            let error = answer.error();
            let good = match operation {
                // Fields that an operation does not read are ignored.
                "CreateKey" => body.len() > 500_000 || error == "SerializationException",
                _ => ["SerializationException", "ValidationException"].contains(&error.as_str()),
            };
            assert!(good, "{operation} {}: {error}", body.len());
        }
    }
}

/// A good request, cut at every length.
#[test]
fn a_body_cut_short_is_never_a_call() {
    let setup = simulated();
    let body = json!({"KeyId": setup.key_arn, "EncryptionContext": {"a": "b"}}).to_string();
    let mut client = setup.connect();
    for cut in 0..body.len() {
        let part = &body.as_bytes()[..cut];
        let headers = setup.admin.headers("DescribeKey", part);
        assert_eq!(
            client.send(&headers, part).unwrap().error(),
            "SerializationException",
            "{cut}"
        );
    }
}

#[test]
fn a_socket_that_is_left_over_is_replaced_and_one_in_use_is_not() {
    let setup = simulated();
    let identity = Ca::new().unwrap().identity(&names("us-east-1")).unwrap();
    let start = |path: &std::path::Path| {
        let listen = Listen {
            tcp: None,
            unix: Some(path.to_owned()),
        };
        Server::start(setup.server.kms().clone(), identity.clone(), &listen)
    };
    let used = setup.server.unix().unwrap();
    assert!(matches!(start(used), Err(ServerError::InUse { .. })));
    let file = setup.dir.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    assert!(matches!(start(&file), Err(ServerError::InUse { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");

    let stale = setup.dir.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    assert!(std::fs::metadata(&stale).unwrap().file_type().is_socket());
    let second = start(&stale).unwrap();
    UnixStream::connect(&stale).unwrap();
    second.stop();
    assert!(!stale.exists());
}

#[test]
fn a_stop_ends_open_connections() {
    let setup = simulated();
    let mut client = setup.connect();
    assert_eq!(
        client.call(&setup.admin, "DescribeKey", &describe(&setup)).status,
        200
    );
    let Setup {
        server,
        admin,
        key_arn,
        dir,
        ..
    } = setup;
    server.stop();
    let body = json!({"KeyId": key_arn}).to_string();
    let sent = client.send(&admin.headers("DescribeKey", body.as_bytes()), body.as_bytes());
    sent.unwrap_err();
    assert!(!dir.path().join("vsock_8000").exists());
}

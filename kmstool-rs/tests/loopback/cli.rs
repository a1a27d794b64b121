//! The program's `run` against the KMS on the loopback: output, exit codes, batches, and no secret where none belongs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use kmstool_rs::cli::{Outside, run};
use kmstool_rs::clock::RandomJitter;
use serde_json::{Value, json};

use crate::support::nsm::{Asked, FakeDevice, MARK};
use crate::support::{Act, HandClock, KEY_ARN, Loopback, Server};

const KEYS: [&str; 6] = ["-k", "AKID", "-s", "PLANTED-KEY", "-t", "PLANTED-TOKEN"];

pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    device: FakeDevice,
}

/// Runs the program with credentials and the server's CA.
fn run_with(
    server: &Server,
    arguments: &[&str],
    stdin: Box<dyn BufRead + Send>,
    stdout: &mut dyn Write,
) -> (u8, String, FakeDevice) {
    let ca = tempfile::NamedTempFile::new().unwrap();
    server.write_ca(ca.path());
    let ca = ca.path().to_str().unwrap().to_owned();
    let attest = arguments.first() == Some(&"attest");
    let more: &[&str] = if attest { &[] } else { &["--ca-file", &ca] };
    let arguments = [arguments, more].concat();
    let device = FakeDevice::default();
    let mut stderr = Vec::new();
    let code = run(
        arguments.iter().map(OsString::from).collect(),
        Outside {
            variable: &|name| Some(format!("PLANTED-{name}")),
            stdin,
            stdout,
            stderr: &mut stderr,
            clock: HandClock::at(1_541_456_164),
            jitter: Arc::new(RandomJitter),
            nsm: &|| Ok(Box::new(device.session())),
            proxy: &|port| {
                assert_eq!(port, 8000);
                Arc::new(Loopback(server.port))
            },
        },
    );
    (code, String::from_utf8(stderr).unwrap(), device)
}

pub(crate) fn ran(server: &Server, arguments: &[&str], input: &str) -> Ran {
    let mut stdout = Vec::new();
    let input = Box::new(Cursor::new(input.to_owned().into_bytes()));
    let (code, stderr, device) = run_with(server, arguments, input, &mut stdout);
    assert!(!stderr.contains("PLANTED"), "{arguments:?}: {stderr}");
    Ran {
        code,
        stdout: String::from_utf8(stdout).unwrap(),
        stderr,
        device,
    }
}

pub(crate) fn with<'a>(verb: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[verb][..], &KEYS, more].concat()
}

fn blob(text: &str) -> String {
    Base64::encode_string(text.as_bytes())
}

#[test]
fn output_lines_are_the_contract() {
    let server = Server::start([]);
    let ciphertext = blob("PLANTED-TEXT");
    let sevens = |length: usize| Base64::encode_string(&vec![7; length]);
    for (arguments, expected) in [
        (
            with("decrypt", &["-c", &ciphertext]),
            format!("PLAINTEXT: {ciphertext}\n"),
        ),
        (
            with("genkey", &["-K", KEY_ARN, "-p", "AES-128"]),
            format!("CIPHERTEXT: BAUG\nPLAINTEXT: {}\n", sevens(16)),
        ),
        (
            with("genkey", &["-K", "alias/a", "-p", "AES-256"]),
            format!("CIPHERTEXT: BAUG\nPLAINTEXT: {}\n", sevens(32)),
        ),
        (
            with("genrandom", &["-l", "1024"]),
            format!("PLAINTEXT: {}\n", sevens(1024)),
        ),
        (
            with(
                "generate-data-key-pair",
                &["-K", KEY_ARN, "--key-pair-spec", "RSA_2048"],
            ),
            format!(
                "PUBLIC_KEY: AQID\nCIPHERTEXT: BAUG\nPLAINTEXT: {}\n",
                sevens(1000)
            ),
        ),
    ] {
        let ran = ran(&server, &arguments, "");
        assert_eq!(
            (ran.code, ran.stdout, ran.stderr.as_str()),
            (0, expected, ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn what_decrypt_sends() {
    let server = Server::start([]);
    let ciphertext = blob("text");
    for (more, expected) in [
        (&["-a", "SYMMETRIC_DEFAULT"][..], json!({})),
        (&["-K", KEY_ARN], json!({"KeyId": KEY_ARN})),
        (
            &["-K", KEY_ARN, "-a", "SYMMETRIC_DEFAULT"],
            json!({"KeyId": KEY_ARN, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}),
        ),
        (
            &["--encryption-context", "a=1=2", "--encryption-context=b="],
            json!({"EncryptionContext": {"a": "1=2", "b": ""}}),
        ),
    ] {
        let ran = ran(
            &server,
            &with("decrypt", &[&["-c", &ciphertext][..], more].concat()),
            "",
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let mut body = server.seen().last().unwrap().body.clone();
        let body = body.as_object_mut().unwrap();
        assert!(body.remove("Recipient").is_some());
        assert_eq!(
            body.remove("CiphertextBlob"),
            Some(Value::from(ciphertext.as_str()))
        );
        assert_eq!(Value::Object(body.clone()), expected);
    }
}

#[test]
fn failures_say_why_and_print_nothing() {
    let denied = r#"{"__type":"AccessDeniedException","Message":"not for PLANTED-TOKEN"}"#;
    let refuse = |body: &str| Act::Refuse(400, body.to_owned());
    for (act, code, line) in [
        (
            refuse(denied),
            4,
            "KMS refused the request: AccessDeniedException (HTTP 400, request id request-1): not for [redacted]",
        ),
        (
            refuse(r#"{"__type":"ExpiredTokenException"}"#),
            3,
            "KMS refused the request: ExpiredTokenException (HTTP 400, request id request-1)",
        ),
        (
            refuse(r#"{"__type":"InvalidCiphertextException"}"#),
            9,
            "KMS refused the request: InvalidCiphertextException (HTTP 400, request id request-1)",
        ),
        (
            refuse(r#"{"__type":"RequestExpired"}"#),
            12,
            "KMS refused the request: RequestExpired (HTTP 400, request id request-1)",
        ),
        (
            refuse("<html>"),
            8,
            "KMS refused the request: no error name (HTTP 400, request id request-1)",
        ),
        (
            Act::Changed(json!({"Plaintext": "UExBTlRFRA=="})),
            8,
            "cannot use the answer of KMS: KMS answered with a plaintext in the clear",
        ),
        (
            Act::Changed(json!({"CiphertextForRecipient": "MIAGCSqGSIb3DQEHA6CAMIACAQI="})),
            8,
            "cannot open the envelope in the answer of KMS: enveloped data is malformed: offset 20: 1 more bytes expected, 0 left",
        ),
    ] {
        let server = Server::start([act.clone(), act]);
        let arguments = with("decrypt", &["-c", "AQID"]);
        let compat = ran(&server, &arguments, "");
        assert_eq!((compat.code, compat.stdout.as_str()), (255, ""));
        assert_eq!(compat.stderr, format!("{line}\nCould not decrypt\n"));
        let detailed = ran(
            &server,
            &[&arguments[..], &["--exit-codes", "detailed"]].concat(),
            "",
        );
        assert_eq!((detailed.code, detailed.stdout.as_str()), (code, ""), "{line}");
    }
    let server = Server::with_name("kms.us-east-1.evil.example", []);
    let ran = ran(
        &server,
        &with(
            "generate-data-key-pair",
            &["-K", "k", "--key-pair-spec", "RSA_2048"],
        ),
        "",
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (6, ""));
    assert!(
        ran.stderr.starts_with("cannot talk to KMS: TLS: "),
        "{}",
        ran.stderr
    );
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn credentials_from_elsewhere() {
    let server = Server::start([]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(
        br#"{"Code":"Success","AccessKeyId":"FILE","SecretAccessKey":"PLANTED","Token":"PLANTED-F"}"#,
    )
    .unwrap();
    let file = format!("file:{}", file.path().display());
    for (source, id, token) in [
        (file.as_str(), "Credential=FILE/", "PLANTED-F"),
        (
            "env",
            "Credential=PLANTED-AWS_ACCESS_KEY_ID/",
            "PLANTED-AWS_SESSION_TOKEN",
        ),
    ] {
        let ran = ran(&server, &["decrypt", "-c", "AQID", "--credentials", source], "");
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (0, "PLAINTEXT: AQID\n"),
            "{}",
            ran.stderr
        );
        let headers = server.seen().last().unwrap().headers.clone();
        assert!(headers["authorization"].contains(id));
        assert_eq!(headers["x-amz-security-token"], token);
    }
}

/// Only the KMS client ever sets a public key, or the security module becomes a decryption oracle.
#[test]
fn attest_never_has_a_public_key() {
    let server = Server::start([]);
    for (arguments, nonce, user_data) in [
        (&["attest"][..], None, None),
        (
            &["attest", "--nonce", "00ff", "--user-data=0102"],
            Some(vec![0, 0xFF]),
            Some(vec![1, 2]),
        ),
    ] {
        let ran = ran(&server, arguments, "");
        assert_eq!(
            (ran.code, ran.stdout),
            (0, format!("DOCUMENT: {}\n", Base64::encode_string(MARK)))
        );
        assert_eq!(
            *ran.device.asked.lock().unwrap(),
            [Asked {
                public_key: None,
                user_data,
                nonce
            }]
        );
    }
    assert_eq!(server.sessions(), 0);
}

fn outcomes(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn batch() {
    let server = Server::start([
        Act::Answer,
        Act::Refuse(
            400,
            r#"{"__type":"AccessDeniedException","message":"PLANTED-TOKEN"}"#.to_owned(),
        ),
        Act::Refuse(400, r#"{"__type":"ThrottlingException"}"#.to_owned()),
    ]);
    let item = |id: &str| json!({"id": id, "ciphertext": blob(id)}).to_string();
    let input = format!(
        "{}\n\nnot json\n{}\n{}\n{}",
        item("PLANTED-one"),
        item("two"),
        json!({"ciphertext": "*"}),
        item("three")
    );
    let arguments = with(
        "decrypt",
        &[
            "--batch",
            "--key-id",
            KEY_ARN,
            "--encryption-context",
            "a=b",
            "--exit-codes=detailed",
        ],
    );
    let ran = ran(&server, &arguments, &input);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (13, "3 of 5 items failed\nCould not decrypt\n")
    );
    let good =
        |line: u32, id: &str| json!({"line": line, "id": id, "plaintext": blob(id), "key_id": KEY_ARN});
    let bad =
        |line: u32, message: &str| json!({"line": line, "error": {"class": "usage", "message": message}});
    let denied =
        "KMS refused the request: AccessDeniedException (HTTP 400, request id request-1): [redacted]";
    let expected = [
        good(1, "PLANTED-one"),
        bad(3, "not a JSON object of a batch item: column 2"),
        json!({"line": 4, "id": "two", "error": {"class": "denied", "name": "AccessDeniedException", "message": denied, "request_id": "request-1"}}),
        bad(5, "Ciphertext not a base64 string"),
        good(6, "three"),
    ];
    assert_eq!(outcomes(&ran.stdout), expected);
    assert_eq!(
        (server.sessions(), ran.device.asked.lock().unwrap().len()),
        (1, 1),
        "one session, one document"
    );
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.body["EncryptionContext"] == json!({"a": "b"}) && seen.body["KeyId"] == KEY_ARN)
    );
}

#[test]
fn batch_with_concurrency_keeps_order() {
    let server = Server::start([
        Act::Slow(Duration::from_millis(300)),
        Act::Slow(Duration::from_millis(100)),
    ]);
    let items = (0..40).map(|number| json!({"ciphertext": blob(&number.to_string())}).to_string());
    let input = items.collect::<Vec<_>>().join(
        "
",
    );
    let ran = ran(
        &server,
        &with("decrypt", &["--batch", "--concurrency", "4"]),
        &input,
    );
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let plaintexts: Vec<_> = outcomes(&ran.stdout)
        .iter()
        .map(|outcome| outcome["plaintext"].clone())
        .collect();
    let expected: Vec<_> = (0..40)
        .map(|number| Value::from(blob(&number.to_string())))
        .collect();
    assert_eq!(plaintexts, expected);
    assert_eq!(server.sessions(), 4);
    let ran = self::ran(&server, &with("decrypt", &["--batch"]), "");
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", ""),
        "an empty batch is a good one"
    );
}

/// An answer comes without waiting for the next line.
#[test]
fn batch_is_interactive() {
    let server = Server::start([]);
    let (input_reader, mut input) = std::io::pipe().unwrap();
    let (output, mut output_writer) = std::io::pipe().unwrap();
    let thread = std::thread::spawn(move || {
        let input = Box::new(BufReader::new(input_reader));
        run_with(&server, &with("decrypt", &["--batch"]), input, &mut output_writer).0
    });
    let mut lines = BufReader::new(output).lines();
    for text in ["one", "two"] {
        writeln!(input, "{}", json!({"ciphertext": blob(text)})).unwrap();
        let outcome: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(outcome["plaintext"], blob(text));
    }
    drop(input);
    assert_eq!(thread.join().unwrap(), 0);
}

/// Output that cannot be written ends the batch; what could be is whole.
#[test]
fn batch_with_a_broken_output() {
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let server = Server::start([]);
    let input = Box::new(Cursor::new(
        format!("{}\n", json!({"ciphertext": "AQID"})).repeat(9),
    ));
    let arguments = with("decrypt", &["--batch", "--exit-codes=detailed"]);
    let (code, stderr, _) = run_with(&server, &arguments, input, &mut Full(2));
    assert_eq!(
        (code, stderr.as_str()),
        (1, "cannot write an answer: no storage space\nCould not decrypt\n")
    );
    assert!(server.seen().len() < 9);
}

/// The server goes away in mid-batch: what was answered stays, the rest is reported, quickly.
#[test]
fn batch_reports_the_rest_when_the_network_is_lost() {
    let server = Server::start([]);
    let mut acts = vec![Act::Answer; 3];
    acts.extend(vec![Act::Reset; 400]);
    server.log.lock().unwrap().acts = acts.into();
    let input = format!("{}\n", json!({"ciphertext": "AQID"})).repeat(50);
    let ran = ran(
        &server,
        &with("decrypt", &["--batch", "--exit-codes=detailed"]),
        &input,
    );
    assert_eq!(ran.code, 13);
    let mut classes = BTreeMap::new();
    for outcome in outcomes(&ran.stdout) {
        let class = outcome["error"]["class"].as_str().unwrap_or("good").to_owned();
        *classes.entry(class).or_insert(0) += 1;
    }
    assert_eq!(
        classes,
        BTreeMap::from([("good".to_owned(), 3), ("network".to_owned(), 47)])
    );
}

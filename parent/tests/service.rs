//! Health, attestation and `status` of a service with TLS, through the https-proxy.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use control::Surface;
use control::request::Request;
use parent::attest::Relay;
use parent::health;
use parent::https_proxy::HttpsProxy;
use parent::metrics::Metrics;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use support::agent::Agent;
use support::{Folder, answer, get, handler, http, listener, message, number, status, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

#[expect(dead_code, reason = "each test file uses its part")]
mod support;

const NAME: &str = "signer.example.internal";

struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: PrivateKeyDer<'static>,
    key_pem: String,
}

fn identity(params: &CertificateParams, issuer: Option<&CertifiedIssuer<'_, KeyPair>>) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    Identity {
        certificate: certificate.der().clone(),
        pem: certificate.pem(),
        key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        key_pem: key.serialize_pem(),
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "test authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn server_params(names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

/// The certificate of the published guidance: self-signed, a common name, nothing else.
fn guidance_params() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "ip-10-0-0-1.ec2.internal");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A signer with two keys that wants a client certificate of this authority; an agent that says it is healthy.
fn enclave(server: Identity, clients: &CertificateDer<'static>) -> Folder {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.certificate], server.key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Folder::start(handler(move |port, mut stream| {
        let acceptor = acceptor.clone();
        async move {
            if port == 5000 {
                signer(acceptor, stream).await;
            } else if let Some(Request::Status) = message(&mut stream, Surface::Control).await {
                answer(&mut stream, 200, status("initialised", "healthy", 2)).await;
            }
        }
    }))
}

async fn signer(acceptor: TlsAcceptor, stream: UnixStream) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let keys = format!("[\"0x{}\",\"0x{}\"]", "bb".repeat(48), "aa".repeat(48));
    let head = String::from_utf8(head).unwrap();
    let (code, body) = match head.split(' ').nth(1).unwrap() {
        "/upcheck" => (200, "OK"),
        "/api/v1/eth2/publicKeys" => (200, keys.as_str()),
        _ => (404, ""),
    };
    let text = format!(
        "HTTP/1.1 {code} X\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.ok();
}

async fn proxy(folder: &Folder) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(
        HttpsProxy::new(
            folder.dialer(),
            parent::config::Limits::default(),
            &Metrics::default(),
        )
        .serve(listener),
    );
    address
}

struct Files<'a> {
    folder: &'a Path,
    address: SocketAddr,
    name: &'a str,
    trust: &'a str,
    client: Option<&'a Identity>,
}

/// Runs `parent status`.
fn ask(files: &Files<'_>, flags: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf { support::write(dir.path().join(name), text) };
    let quoted = |path: &Path| format!("{:?}", path.to_str().unwrap());
    let mut lines = vec![
        "[transport]".to_owned(),
        format!("folder = {}", quoted(files.folder)),
        "[service]".to_owned(),
        format!("address = \"{}\"", files.address),
        format!("server_name = \"{}\"", files.name),
        format!("trust = {}", quoted(&file("trust.pem", files.trust))),
    ];
    if let Some(client) = files.client {
        lines.push(format!(
            "client_certificate = {}",
            quoted(&file("client.pem", &client.pem))
        ));
        lines.push(format!(
            "client_key = {}",
            quoted(&file("client.key", &client.key_pem))
        ));
    }
    let config = lines.join("\n");
    let config = file("parent.toml", &config);
    Command::new(env!("CARGO_BIN_EXE_parent"))
        .arg("status")
        .args(flags)
        .arg("--config")
        .arg(config)
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_the_service_through_the_proxy() {
    let (servers, clients) = (authority(), authority());
    let server = identity(&server_params(&[NAME]), Some(&servers));
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = identity(&params, Some(&clients));
    let stranger = identity(&params, Some(&authority()));
    let folder = enclave(server, clients.der());
    let address = proxy(&folder).await;
    let trust = servers.pem();
    let good = Files {
        folder: folder.path(),
        address,
        name: NAME,
        trust: &trust,
        client: Some(&client),
    };

    let output = ask(&good, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let keys = format!(
        "service        upcheck good\npublic keys    2\n               0x{}\n               0x{}\n",
        "aa".repeat(48),
        "bb".repeat(48)
    );
    assert!(
        text.contains("ready          yes\n") && text.ends_with(&keys),
        "{text}"
    );

    let output = ask(&good, &["--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (
            &json["service"]["upcheck"],
            &json["enclave"]["keys"],
            &json["not_ready"]
        ),
        (&json!(true), &json!(2), &Value::Null)
    );

    let other = authority().pem();
    for (what, files, expected) in [
        (
            "another authority",
            Files {
                trust: &other,
                ..good
            },
            "certificate",
        ),
        (
            "another name",
            Files {
                name: "other.example.internal",
                ..good
            },
            "certificate",
        ),
        ("no client certificate", Files { client: None, ..good }, ""),
        (
            "a stranger's certificate",
            Files {
                client: Some(&stranger),
                ..good
            },
            "",
        ),
    ] {
        let output = ask(&files, &["--json"]);
        assert_eq!(output.status.code(), Some(5), "{what}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let error = json["service"]["error"].as_str().unwrap();
        assert!(
            error.contains("no TLS connection to the signer") && error.contains(expected),
            "{what}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guidances_certificate_is_accepted_as_itself_only() {
    let clients = authority();
    let server = identity(&guidance_params(), None);
    let (pem, other) = (server.pem.clone(), identity(&guidance_params(), None).pem);
    let client = identity(&CertificateParams::new(Vec::new()).unwrap(), Some(&clients));
    let folder = enclave(server, clients.der());
    let address = proxy(&folder).await;
    let good = Files {
        folder: folder.path(),
        address,
        name: NAME,
        trust: &pem,
        client: Some(&client),
    };
    let output = ask(&good, &[]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let output = ask(
        &Files {
            trust: &other,
            ..good
        },
        &[],
    );
    assert_eq!(output.status.code(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_how_far_it_works() {
    let dir = tempfile::tempdir().unwrap();
    let run = |folder: &Path| {
        let config = support::write(
            dir.path().join("parent.toml"),
            format!("[transport]\nfolder = \"{}\"\n", folder.display()),
        );
        let output = Command::new(env!("CARGO_BIN_EXE_parent"))
            .args(["status", "--config"])
            .arg(config)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(run(dir.path()).0, Some(3));
    let agent = Agent::new("init-failed");
    let folder = agent.serve();
    let (code, text) = run(folder.path());
    assert_eq!(code, Some(4));
    assert!(
        text.contains("ready          the enclave is init-failed"),
        "{text}"
    );
    agent.with(|state| state.phase = "initialised");
    let (code, text) = run(folder.path());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("not asked: set service.address"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_port_follows_the_status() {
    let agent = Agent::new("configured");
    let folder = agent.serve();
    let (listener, address) = listener().await;
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(health::serve_health(listener, receiver));
    assert_eq!(http(address, &get("/healthz")).await.0, 503, "nothing is known");
    tokio::spawn(health::follow(folder.dialer(), Duration::from_millis(50), sender));
    let becomes = async |expected: u16| {
        for _ in 0..200 {
            if http(address, &get("/healthz")).await.0 == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(http(address, &get("/healthz")).await.0, expected);
    };
    becomes(503).await;
    agent.with(|state| state.phase = "initialised");
    becomes(200).await;
    agent.with(|state| state.signer = "unhealthy");
    becomes(503).await;
    assert_eq!(http(address, &get("/metrics")).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn auditors_can_ask_for_a_document_and_nothing_else() {
    let agent = Agent::new("initialised");
    let folder = agent.serve();
    let (listener, address) = listener().await;
    let metrics = Metrics::default();
    tokio::spawn(Relay::new(folder.dialer(), &metrics).serve(listener));
    let document = (
        200,
        json!({ "attestation_document": "aGVsbG8=", "claims": "00ff" }).to_string(),
    );
    assert_eq!(http(address, &get("/attest?nonce=00FF")).await, document);
    let post = |body: &str| {
        let length = body.len();
        format!(
            "POST /attest HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    };
    assert_eq!(http(address, &post(r#"{"nonce":"00ff"}"#)).await, document);
    let long = "00".repeat(65);
    for bad in [
        get("/attest"),
        get("/attest?nonce="),
        get("/attest?nonce=0"),
        get("/attest?nonce=00&public_key=00"),
        get(&format!("/attest?nonce={long}")),
        post(r#"{"nonce":"00","public_key":"00"}"#),
        post(r#"{"nonce":"00","nonce":"01"}"#),
        post(r#"{"operation":"init_state"}"#),
        post(&format!("{{\"nonce\":\"{}\"}}", "0".repeat(600))),
    ] {
        assert_eq!(http(address, &bad).await.0, 400, "{bad}");
    }
    assert_eq!(http(address, &get("/")).await.0, 404);
    assert_eq!(
        http(address, &get("/attest?nonce=00").replace("GET", "PUT"))
            .await
            .0,
        405
    );
    assert_eq!(
        agent.operations(),
        ["attest", "attest"],
        "nothing bad reached the enclave"
    );
    // Two of four are used; a burst gets what is left and what a second gives.
    let mut codes = Vec::new();
    for _ in 0..12 {
        codes.push(http(address, &get("/attest?nonce=00")).await.0);
    }
    assert!(codes[..2] == [200, 200] && codes.contains(&429), "{codes:?}");
    assert!(agent.operations().len() <= 7, "{codes:?}");
    until("refusals are counted", || {
        number(&metrics.text(), "parent_attest_refused_total") >= 15
    })
    .await;
}

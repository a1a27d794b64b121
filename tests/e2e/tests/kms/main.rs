//! The attested way to the keys, from inside an enclave: `kmstool_enclave_cli` in a booted image, over vsock to the simulated
//! KMS, under the key policy that `eif-builder policy` prints for that image.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed step is a failed test"
)]

mod guest;
mod proxy;
mod service;
mod without_recipient;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use attest::UnverifiedDoc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Booted, PATIENCE, boot, build_image, eif_builder, pcrs, said, scratch_in_tree, top};
use serde_json::{Value, json};
use simulator::kms::fault::{Fault, Kind};

use guest::Guest;
use proxy::Proxy;
use service::Service;

/// Both images, one after the other, so that this machine emulates one at a time.
#[test]
fn an_enclave_and_its_kms() {
    let out = build_image(&top().join("rootfs/e2e/image.toml"));
    let measured = pcrs(&out.join("e2e.pcrs.json"));
    let service = Service::start(&out.join("e2e.pcrs.json"));
    let booted = boot(&out.join("e2e.eif"));
    let guest = Guest::new(&booted, &service);
    let proxy = Proxy::start(booted.enclave.listen(8000).unwrap(), service.address());

    a_document_never_carries_a_public_key(&guest, &measured);
    the_measured_image_decrypts(&guest, &service, &measured);
    a_wrong_encryption_context_fails(&guest, &service);
    who_shows_no_document_is_refused(&service);
    a_data_key_and_a_key_pair(&guest, &service);
    a_batch_uses_one_session_and_one_document(&guest, &service);
    a_man_in_the_middle_gets_nothing(&guest, &service, &proxy);
    a_killed_proxy_loses_nothing_that_was_answered(&guest, &booted, &service, proxy);
    booted.enclave.stop().unwrap();

    an_image_with_one_other_byte_is_denied(&service, &measured);
}

/// One secret of the service, as base64.
fn secret(service: &Service, text: &str, context: &[(&str, &str)]) -> String {
    STANDARD.encode(service.encrypt(text.as_bytes(), context))
}

fn plaintext_line(text: &str) -> String {
    format!("PLAINTEXT: {}\n", STANDARD.encode(text))
}

/// Only the KMS client sets one, or the security module would be a decryption oracle for whoever asks `attest`.
fn a_document_never_carries_a_public_key(guest: &Guest<'_>, measured: &[String; 3]) {
    for (arguments, nonce, user_data) in [
        (&["attest"][..], None, None),
        (
            &["attest", "--nonce", "00ff", "--user-data", "0102"],
            Some(&[0, 0xFF][..]),
            Some(&[1, 2][..]),
        ),
    ] {
        let ran = guest.run(arguments, b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
        let text = ran.stdout.strip_prefix("DOCUMENT: ").unwrap().trim_end();
        let bytes = STANDARD.decode(text).unwrap();
        let document = UnverifiedDoc::parse(&bytes).unwrap();
        let claims = document.unverified_claims();
        assert_eq!(claims.public_key, None);
        assert_eq!((claims.nonce, claims.user_data), (nonce, user_data));
        let pcr0 = claims.pcrs.get(0).unwrap().to_string();
        assert_eq!(pcr0, measured[0], "the document is of this image");
    }
    let refused = guest.run(&["attest", "--public-key", "00"], b"");
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
}

fn the_measured_image_decrypts(guest: &Guest<'_>, service: &Service, measured: &[String; 3]) {
    let ciphertext = secret(service, "a signing key", &[]);
    let started = Instant::now();
    let ran = guest.kms(&["decrypt", "--ciphertext", &ciphertext, "--key-id", service.key()]);
    println!("decrypt in the emulated enclave: {:?}", started.elapsed());
    assert_eq!(
        (ran.code, ran.stdout, ran.stderr.as_str()),
        (0, plaintext_line("a signing key"), "")
    );
    let entry = service.last_entry();
    assert_eq!(entry.error, None);
    assert_eq!(entry.pcr0.as_ref(), Some(&measured[0]), "the NSM's own document");
    assert!(entry.allowed_by.is_some(), "{entry:?}");
    // The C tool's way: credentials on the command line, its three flags, its exit code.
    let [id, key, token] = service::CREDENTIALS;
    let old = [
        "decrypt",
        "--region",
        "us-east-1",
        "--proxy-port",
        "8000",
        "--aws-access-key-id",
        id,
        "--aws-secret-access-key",
        key,
        "--aws-session-token",
        token,
        "--ciphertext",
        &ciphertext,
    ];
    let ran = guest.run(&[&old[..], &["--ca-file", guest::CA]].concat(), b"");
    assert_eq!((ran.code, ran.stdout), (0, plaintext_line("a signing key")));
    // Another key than the pinned one.
    let other = service.key().replace("111122223333", "999999999999");
    let ran = guest.kms(&["decrypt", "--ciphertext", &ciphertext, "--key-id", &other]);
    assert_ne!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
}

fn a_wrong_encryption_context_fails(guest: &Guest<'_>, service: &Service) {
    let ciphertext = secret(service, "bound", &[("stack", "a"), ("kind", "bls")]);
    let call = ["decrypt", "--ciphertext", &ciphertext];
    for context in [
        &[][..],
        &["--encryption-context", "stack=a"],
        &[
            "--encryption-context",
            "stack=b",
            "--encryption-context",
            "kind=bls",
        ],
    ] {
        let ran = guest.kms(&[&call[..], context].concat());
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (9, ""),
            "{context:?}: {}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains("InvalidCiphertextException"),
            "{}",
            ran.stderr
        );
    }
    let right = ["--encryption-context", "kind=bls", "--encryption-context=stack=a"];
    let ran = guest.kms(&[&call[..], &right].concat());
    assert_eq!(
        (ran.code, ran.stdout),
        (0, plaintext_line("bound")),
        "{}",
        ran.stderr
    );
}

/// The parent has the same credentials as its enclave. Without a document they open nothing.
fn who_shows_no_document_is_refused(service: &Service) {
    let ciphertext = secret(service, "not for the parent", &[]);
    let (status, body) = without_recipient::decrypt(service, &ciphertext);
    assert_eq!(
        (status, body["__type"].as_str()),
        (400, Some("AccessDeniedException")),
        "{body}"
    );
    assert_eq!(body.get("Plaintext"), None);
    let entry = service.last_entry();
    assert!(
        entry.principal.is_some(),
        "the signature held, so it was the policy"
    );
    assert_eq!((entry.error, entry.pcr0), (Some("AccessDeniedException"), None));
}

fn a_data_key_and_a_key_pair(guest: &Guest<'_>, service: &Service) {
    let value = |line: &str, name: &str| {
        let text = line
            .strip_prefix(name)
            .unwrap_or_else(|| panic!("no {name} in {line}"));
        STANDARD.decode(text).unwrap()
    };
    let ran = guest.kms(&["genkey", "--key-id", service.key(), "--key-spec", "AES-256"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<_> = ran.stdout.lines().collect();
    let (ciphertext, key) = (value(lines[0], "CIPHERTEXT: "), value(lines[1], "PLAINTEXT: "));
    assert_eq!((lines.len(), key.len()), (2, 32));
    // What was wrapped opens to the same key.
    let ran = guest.kms(&["decrypt", "--ciphertext", &STANDARD.encode(ciphertext)]);
    assert_eq!(ran.stdout, format!("PLAINTEXT: {}\n", STANDARD.encode(&key)));

    let ran = guest.kms(&[
        "generate-data-key-pair",
        "--key-id",
        service.key(),
        "--key-pair-spec",
        "ECC_NIST_P256",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<_> = ran.stdout.lines().collect();
    let public = value(lines[0], "PUBLIC_KEY: ");
    let private = value(lines[2], "PLAINTEXT: ");
    let point = &public[public.len() - 64..];
    assert!(
        private.windows(64).any(|bytes| bytes == point),
        "the private key holds its public half"
    );
}

/// A line for each text, with the text as its id.
fn batch(service: &Service, texts: &[String]) -> Vec<u8> {
    let lines = texts.iter().map(|text| {
        let ciphertext = secret(service, text, &[]);
        json!({ "id": text, "ciphertext": ciphertext }).to_string() + "\n"
    });
    lines.collect::<String>().into_bytes()
}

fn outcomes(stdout: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    stdout.lines().map(parse).collect()
}

fn a_batch_uses_one_session_and_one_document(guest: &Guest<'_>, service: &Service) {
    let texts: Vec<String> = (0..30).map(|number| format!("key {number}")).collect();
    let mut input = batch(service, &texts);
    input.extend(b"{\"id\":\"bad\",\"ciphertext\":\"AQID\"}\n");
    let before = service.counts();
    let ran = guest.kms_with(&["decrypt", "--batch", "--key-id", service.key()], &input);
    let after = service.counts();
    assert_eq!(ran.code, 13, "{}", ran.stderr);
    let outcomes = outcomes(&ran.stdout);
    assert_eq!(outcomes.len(), 31);
    for (text, outcome) in texts.iter().zip(&outcomes) {
        assert_eq!(outcome["id"], text.as_str());
        assert_eq!(outcome["plaintext"], STANDARD.encode(text));
    }
    assert_eq!(outcomes[30]["error"]["name"], "InvalidCiphertextException");
    assert_eq!(after.tls_sessions - before.tls_sessions, 1);
    assert_eq!(after.distinct_documents - before.distinct_documents, 1);
    assert_eq!(after.documents_seen - before.documents_seen, 31);
}

/// Another KMS of the same name, with a certificate that the client's CA did not sign.
fn a_man_in_the_middle_gets_nothing(guest: &Guest<'_>, service: &Service, proxy: &Proxy) {
    let ciphertext = secret(service, "not for him", &[]);
    let impostor = service.impostor();
    proxy.lead_to(impostor.tcp().unwrap());
    let ran = guest.kms(&["decrypt", "--ciphertext", &ciphertext]);
    proxy.lead_to(service.address());
    assert_eq!((ran.code, ran.stdout.as_str()), (6, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("TLS"), "{}", ran.stderr);
    let counts = impostor.kms().counts();
    assert!(counts.connections >= 1, "he was asked");
    assert_eq!(
        (
            counts.credentials_seen,
            counts.documents_seen,
            counts.tls_sessions
        ),
        (0, 0, 0)
    );
    assert_eq!(counts.cleartext_connections, 0);
    let again = guest.kms(&["decrypt", "--ciphertext", &ciphertext]);
    assert_eq!(again.stdout, plaintext_line("not for him"), "{}", again.stderr);
}

/// What the proxy had brought stays; all the rest is reported, each item by its id, and soon.
fn a_killed_proxy_loses_nothing_that_was_answered(
    guest: &Guest<'_>,
    booted: &Booted,
    service: &Service,
    proxy: Proxy,
) {
    let texts: Vec<String> = (0..60).map(|number| format!("item {number}")).collect();
    let input = batch(service, &texts);
    let before = service.counts().answers_of("ok");
    service
        .kms()
        .add_fault(Fault::next(Kind::Slow(Duration::from_millis(100)), 60));
    let ran = std::thread::scope(|scope| {
        let running = scope.spawn(|| guest.kms_with(&["decrypt", "--batch"], &input));
        let started = Instant::now();
        while service.counts().answers_of("ok") - before < 8 {
            assert!(started.elapsed() < PATIENCE, "the batch does not run");
            std::thread::sleep(Duration::from_millis(10));
        }
        proxy.kill();
        running.join().unwrap()
    });
    service.kms().clear_faults();
    assert_eq!(ran.code, 13, "{}", ran.stderr);
    let outcomes = outcomes(&ran.stdout);
    assert_eq!(outcomes.len(), 60, "every item has an outcome");
    let mut classes: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, (text, outcome)) in texts.iter().zip(&outcomes).enumerate() {
        assert_eq!(
            (&outcome["id"], &outcome["line"]),
            (&json!(text), &json!(number + 1))
        );
        let class = outcome["error"]["class"].as_str().unwrap_or("good");
        if class == "good" {
            assert_eq!(outcome["plaintext"], STANDARD.encode(text));
            assert_eq!(classes.get("network"), None, "nothing is answered after the end");
        }
        *classes.entry(class).or_default() += 1;
    }
    println!("after the proxy was killed: {classes:?}");
    // The eighth answer was being sent when the proxy was killed.
    assert!(classes["good"] >= 7, "{classes:?}");
    assert_eq!(classes["good"] + classes["network"], 60, "{classes:?}");

    // A proxy of the same port, started again, serves the next call.
    let again = Proxy::start(booted.enclave.listen(8000).unwrap(), service.address());
    let ciphertext = secret(service, "afterwards", &[]);
    let ran = guest.kms(&["decrypt", "--ciphertext", &ciphertext]);
    assert_eq!(ran.stdout, plaintext_line("afterwards"), "{}", ran.stderr);
    again.kill();
    let ran = guest.kms(&["decrypt", "--ciphertext", &ciphertext]);
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""), "{}", ran.stderr);
}

/// The same request, the same key, the same policy: one letter in one file of the image is another.
fn an_image_with_one_other_byte_is_denied(service: &Service, measured: &[String; 3]) {
    let tree = scratch_in_tree();
    let image = tree.path().join("rootfs/image");
    fs::create_dir_all(tree.path().join("rootfs/seccomp")).unwrap();
    fs::create_dir_all(&image).unwrap();
    for file in ["image.toml", "image.lock", "probe.json"] {
        fs::copy(top().join("rootfs/e2e").join(file), image.join(file)).unwrap();
    }
    let filter = "rootfs/seccomp/agent.json";
    fs::copy(top().join(filter), tree.path().join(filter)).unwrap();
    let manifest = image.join("image.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let changed = text.replacen("for the agent only", "for the agent onlY", 1);
    assert_ne!(text, changed);
    fs::write(&manifest, changed).unwrap();
    let out = tree.path().join("out");
    let built = eif_builder(&[
        "build",
        manifest.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(built.status.success(), "{}", said(&built));
    let other = pcrs(&out.join("e2e.pcrs.json"));
    assert_ne!(other[0], measured[0]);
    assert_eq!(other[1], measured[1]);

    let booted = boot(&out.join("e2e.eif"));
    let guest = Guest::new(&booted, service);
    let proxy = Proxy::start(booted.enclave.listen(8000).unwrap(), service.address());
    let ciphertext = secret(service, "for another image", &[]);
    let call = ["decrypt", "--ciphertext", &ciphertext, "--key-id", service.key()];
    let ran = guest.kms(&call);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("AccessDeniedException"), "{}", ran.stderr);
    let entry = service.last_entry();
    assert_eq!(
        (entry.error, entry.pcr0.as_ref()),
        (Some("AccessDeniedException"), Some(&other[0]))
    );
    // With the C tool's codes.
    let ran = guest.kms(&[&call[..], &["--exit-codes", "compat"]].concat());
    assert_eq!((ran.code, ran.stdout.as_str()), (255, ""));
    assert!(ran.stderr.ends_with("\nCould not decrypt\n"), "{}", ran.stderr);
    proxy.kill();
    booted.enclave.stop().unwrap();
}

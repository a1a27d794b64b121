//! Every operation: what it answers, its limits, and its errors.

use serde_json::{Value, json};
use simulator::kms::operation::Operation;

use crate::setup::{NOW, base64, policy, recipient, rsa, simulated, unbase64, unsigned};

fn error(answer: &crate::client::Answer) -> (u16, String) {
    (answer.status, answer.error())
}

#[test]
fn what_is_encrypted_decrypts_under_the_same_context_only() {
    let setup = simulated();
    let body =
        json!({"KeyId": setup.key_arn, "Plaintext": base64(b"hello"), "EncryptionContext": {"a": "b"}});
    let encrypted = setup.admin("Encrypt", &body).json();
    assert_eq!(encrypted["KeyId"], setup.key_arn);
    assert_eq!(encrypted["EncryptionAlgorithm"], "SYMMETRIC_DEFAULT");
    let decrypt = |context: Value| {
        let body = json!({"CiphertextBlob": encrypted["CiphertextBlob"], "EncryptionContext": context});
        setup.admin("Decrypt", &body)
    };
    let good = decrypt(json!({"a": "b"})).json();
    assert_eq!(unbase64(&good["Plaintext"]), b"hello");
    assert_eq!(
        (&good["KeyId"], good.get("CiphertextForRecipient")),
        (&encrypted["KeyId"], None)
    );
    for other in [
        json!({}),
        json!({"a": "c"}),
        json!({"A": "b"}),
        json!({"a": "b", "c": "d"}),
        Value::Null,
    ] {
        let refused = decrypt(other);
        assert_eq!(error(&refused), (400, "InvalidCiphertextException".to_owned()));
        assert_eq!(refused.json(), json!({"__type": "InvalidCiphertextException"}));
    }
}

#[test]
fn keys_are_named_in_every_way_and_pinned() {
    let setup = simulated();
    let id = setup.key_arn.rsplit('/').next().unwrap();
    let create = json!({"AliasName": "alias/a", "TargetKeyId": id});
    assert_eq!(setup.admin("CreateAlias", &create).json(), json!({}));
    assert_eq!(
        setup.admin("CreateAlias", &create).error(),
        "AlreadyExistsException"
    );
    let alias_arn = "arn:aws:kms:us-east-1:111122223333:alias/a";
    for name in [id, &setup.key_arn, "alias/a", alias_arn] {
        let described = setup.admin("DescribeKey", &json!({"KeyId": name})).json();
        assert_eq!(described["KeyMetadata"]["Arn"], setup.key_arn, "{name}");
    }
    let other = setup.kms().add_key(&policy().to_string()).unwrap();
    let blob = setup.ciphertext(b"x", &[]);
    let decrypt = |key: &str| setup.admin("Decrypt", &json!({"CiphertextBlob": blob, "KeyId": key}));
    assert_eq!(decrypt(alias_arn).status, 200);
    assert_eq!(error(&decrypt(&other)), (400, "IncorrectKeyException".to_owned()));

    let delete = json!({"AliasName": "alias/a"});
    assert_eq!(setup.admin("DeleteAlias", &delete).status, 200);
    for (name, text) in [
        (
            "alias/a",
            "Alias arn:aws:kms:us-east-1:111122223333:alias/a is not found.",
        ),
        ("nonsense", "Invalid keyId 'nonsense'"),
        (
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "Key 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab' does not exist",
        ),
        ("arn:aws:kms:us-west-2:111122223333:key/1", "Invalid arn"),
        (
            "arn:aws:kms:us-east-1:111122223333:1234abcd-12ab-34cd-56ef-1234567890ab",
            "Invalid keyId",
        ),
    ] {
        let answer = setup.admin("DescribeKey", &json!({"KeyId": name}));
        assert_eq!(answer.error(), "NotFoundException", "{name}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(text), "{message}");
    }
}

#[test]
fn ciphertexts_of_nobody_are_refused() {
    let setup = simulated();
    let decrypt = |blob: &[u8]| setup.admin("Decrypt", &json!({"CiphertextBlob": base64(blob)}));
    assert_eq!(decrypt(&[1; 100]).error(), "InvalidCiphertextException");
    // A blob of this KMS, under a key that is not here.
    let foreign = [&b"simkms\x00\x01"[..], &[9; 60]].concat();
    let refused = decrypt(&foreign);
    assert_eq!(refused.error(), "AccessDeniedException");
    let message = refused.json()["Message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("The ciphertext refers to a customer master key that does not exist"),
        "{message}"
    );
}

#[test]
fn data_keys_come_with_their_ciphertext() {
    let setup = simulated();
    for (spec, length) in [
        (json!({"KeySpec": "AES_256"}), 32),
        (json!({"KeySpec": "AES_128"}), 16),
        (json!({"NumberOfBytes": 1024}), 1024),
    ] {
        let mut body = spec;
        body["KeyId"] = json!(setup.key_arn);
        body["EncryptionContext"] = json!({"a": "b"});
        let key = setup.admin("GenerateDataKey", &body).json();
        let plaintext = unbase64(&key["Plaintext"]);
        assert_eq!(plaintext.len(), length);
        let decrypt = json!({"CiphertextBlob": key["CiphertextBlob"], "EncryptionContext": {"a": "b"}});
        let again = setup.admin("Decrypt", &decrypt).json();
        assert_eq!(unbase64(&again["Plaintext"]), plaintext);
        let hidden = setup.admin("GenerateDataKeyWithoutPlaintext", &body).json();
        assert_eq!(hidden.get("Plaintext"), None);
        assert!(hidden["CiphertextBlob"].is_string());
    }
}

#[test]
fn key_pairs_are_pairs() {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::KeyPair as _;
    let setup = simulated();
    for spec in [
        "RSA_2048",
        "ECC_NIST_P256",
        "ECC_NIST_P384",
        "ECC_NIST_P521",
        "ECC_SECG_P256K1",
    ] {
        let body = json!({"KeyId": setup.key_arn, "KeyPairSpec": spec});
        let pair = setup.admin("GenerateDataKeyPair", &body).json();
        assert_eq!(pair["KeyPairSpec"], spec);
        let private = unbase64(&pair["PrivateKeyPlaintext"]);
        let decrypt = json!({"CiphertextBlob": pair["PrivateKeyCiphertextBlob"]});
        assert_eq!(
            unbase64(&setup.admin("Decrypt", &decrypt).json()["Plaintext"]),
            private
        );
        if spec == "RSA_2048" {
            let key = aws_lc_rs::rsa::KeyPair::from_pkcs8(&private).unwrap();
            assert_eq!(
                key.public_key().as_der().unwrap().as_ref(),
                unbase64(&pair["PublicKey"])
            );
        }
    }
    let body = json!({"KeyId": setup.key_arn, "KeyPairSpec": "ECC_NIST_P256"});
    let hidden = setup.admin("GenerateDataKeyPairWithoutPlaintext", &body).json();
    assert_eq!(hidden.get("PrivateKeyPlaintext"), None);
}

#[test]
fn every_plaintext_can_go_to_an_enclave_instead() {
    let setup = simulated();
    let (_, spki) = rsa();
    let recipient = recipient(&unsigned(1, Some(&spki), NOW));
    let key = setup.key_arn.as_str();
    for (operation, mut body, plaintext) in [
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256"}),
            "Plaintext",
        ),
        (
            "GenerateDataKeyPair",
            json!({"KeyId": key, "KeyPairSpec": "ECC_NIST_P256"}),
            "PrivateKeyPlaintext",
        ),
    ] {
        body["Recipient"] = recipient.clone();
        let answer = setup.enclave(operation, &body).json();
        assert!(answer["CiphertextForRecipient"].is_string(), "{answer}");
        assert_eq!(answer.get(plaintext), None);
    }
    // GenerateRandom has no key: the enclave's role would need IAM policies of its own.
    let body = json!({"NumberOfBytes": 32, "Recipient": recipient});
    assert_eq!(
        setup.enclave("GenerateRandom", &body).error(),
        "AccessDeniedException"
    );
    let answer = setup.admin("GenerateRandom", &body).json();
    assert!(answer["CiphertextForRecipient"].is_string() && answer.get("Plaintext").is_none());
    let answer = setup
        .admin("GenerateRandom", &json!({"NumberOfBytes": 32}))
        .json();
    assert_eq!(unbase64(&answer["Plaintext"]).len(), 32);
}

#[test]
fn limits_of_encrypt_are_those_of_the_api() {
    let setup = simulated();
    let key = setup.key_arn.as_str();
    let blob = |length: usize| base64(&vec![0; length]);
    for (operation, body, name) in [
        ("Encrypt", json!({"KeyId": key, "Plaintext": blob(4096)}), ""),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": blob(4097)}),
            "ValidationException",
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": ""}),
            "ValidationException",
        ),
        ("Encrypt", json!({"KeyId": key}), "ValidationException"),
        ("Encrypt", json!({"Plaintext": blob(1)}), "ValidationException"),
        (
            "Encrypt",
            json!({"KeyId": "", "Plaintext": blob(1)}),
            "ValidationException",
        ),
        (
            "Encrypt",
            json!({"KeyId": "k".repeat(2049), "Plaintext": blob(1)}),
            "ValidationException",
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": blob(1), "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}),
            "InvalidKeyUsageException",
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": blob(1), "EncryptionContext": {"a": "b".repeat(9000)}}),
            "ValidationException",
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": blob(1), "GrantTokens": ["t"]}),
            "InvalidGrantTokenException",
        ),
        (
            "Encrypt",
            json!({"KeyId": key, "Plaintext": blob(1), "DryRun": true}),
            "DryRunOperationException",
        ),
    ] {
        let answer = setup.admin(operation, &body);
        assert_eq!(answer.error(), name, "{operation} {body}");
    }
}

#[test]
fn limits_of_the_rest_are_those_of_the_api() {
    let setup = simulated();
    let key = setup.key_arn.as_str();
    let blob = |length: usize| base64(&vec![0; length]);
    for (operation, body, name) in [
        (
            "Decrypt",
            json!({"CiphertextBlob": blob(6145)}),
            "ValidationException",
        ),
        (
            "Decrypt",
            json!({"CiphertextBlob": "not base64!"}),
            "SerializationException",
        ),
        ("Decrypt", json!({"CiphertextBlob": 5}), "SerializationException"),
        ("Decrypt", json!({}), "ValidationException"),
        ("GenerateDataKey", json!({"KeyId": key}), "ValidationException"),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES_256", "NumberOfBytes": 1}),
            "ValidationException",
        ),
        (
            "GenerateDataKey",
            json!({"KeyId": key, "KeySpec": "AES-256"}),
            "ValidationException",
        ),
        (
            "GenerateRandom",
            json!({"NumberOfBytes": 0}),
            "ValidationException",
        ),
        (
            "GenerateRandom",
            json!({"NumberOfBytes": 1025}),
            "ValidationException",
        ),
        (
            "GenerateRandom",
            json!({"NumberOfBytes": -1}),
            "ValidationException",
        ),
        ("GenerateRandom", json!({}), "ValidationException"),
        (
            "GenerateDataKeyPair",
            json!({"KeyId": key, "KeyPairSpec": "DSA"}),
            "ValidationException",
        ),
        (
            "Decrypt",
            json!({"CiphertextBlob": blob(1), "Recipient": {"AttestationDocument": blob(1)}}),
            "ValidationException",
        ),
        (
            "Decrypt",
            json!({"CiphertextBlob": blob(1), "Recipient": {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_1"}}),
            "ValidationException",
        ),
        (
            "CreateKey",
            json!({"KeySpec": "RSA_2048"}),
            "UnsupportedOperationException",
        ),
    ] {
        let answer = setup.admin(operation, &body);
        assert_eq!(answer.error(), name, "{operation} {body}");
    }
}

#[test]
fn what_is_no_operation_is_said() {
    let setup = simulated();
    for operation in ["Sign", "decrypt", "", "ListKeys"] {
        assert_eq!(
            error(&setup.admin(operation, &json!({}))),
            (400, "UnknownOperationException".to_owned()),
            "{operation}"
        );
    }
    assert!(setup.kms().counts().calls.is_empty());
}

#[test]
fn a_key_can_be_switched_off() {
    let setup = simulated();
    let key = json!({"KeyId": setup.key_arn});
    let encrypt = || {
        let body = json!({"KeyId": setup.key_arn, "Plaintext": base64(b"x")});
        setup.admin("Encrypt", &body).error()
    };
    let state = || setup.admin("DescribeKey", &key).json()["KeyMetadata"]["KeyState"].clone();
    assert_eq!(
        (setup.admin("DisableKey", &key).status, encrypt().as_str()),
        (200, "DisabledException")
    );
    assert_eq!(
        (setup.admin("EnableKey", &key).status, encrypt().as_str()),
        (200, "")
    );
    let scheduled = setup
        .admin(
            "ScheduleKeyDeletion",
            &json!({"KeyId": setup.key_arn, "PendingWindowInDays": 7}),
        )
        .json();
    assert_eq!(scheduled["DeletionDate"], 1_542_060_964.0);
    assert_eq!(
        (encrypt().as_str(), state()),
        ("KMSInvalidStateException", json!("PendingDeletion"))
    );
    for operation in ["EnableKey", "DisableKey", "ScheduleKeyDeletion"] {
        assert_eq!(setup.admin(operation, &key).error(), "KMSInvalidStateException");
    }
    assert_eq!(setup.admin("CancelKeyDeletion", &key).status, 200);
    assert_eq!(state(), json!("Disabled"));
    assert_eq!(
        setup.admin("CancelKeyDeletion", &key).error(),
        "KMSInvalidStateException"
    );
}

#[test]
fn calls_are_counted_by_operation() {
    let setup = simulated();
    let mut client = setup.connect();
    for _ in 0..3 {
        client.call(&setup.admin, "DescribeKey", &json!({"KeyId": setup.key_arn}));
    }
    client.call(&setup.enclave, "DescribeKey", &json!({"KeyId": setup.key_arn}));
    let counts = setup.kms().counts();
    assert_eq!(
        (counts.connections, counts.tls_sessions, counts.credentials_seen),
        (1, 1, 4)
    );
    assert_eq!(counts.calls_of(Operation::DescribeKey), 4);
    assert_eq!(
        (
            counts.answers_of("ok"),
            counts.answers_of("AccessDeniedException")
        ),
        (3, 1)
    );
    assert_eq!(counts.documents_seen, 0);
}

//! Key policies: evaluated on every call, in force at once, and not to be locked out of.

use serde_json::{Value, json};

use crate::setup::{NOW, base64, policy, recipient, rsa, simulated, unsigned};

#[test]
fn a_new_policy_is_in_force_at_once() {
    let setup = simulated();
    let (_, spki) = rsa();
    let mut client = setup.connect();
    let body = json!({
        "CiphertextBlob": setup.ciphertext(b"x", &[]),
        "Recipient": recipient(&unsigned(1, Some(&spki), NOW)),
    });
    assert_eq!(client.call(&setup.enclave, "Decrypt", &body).error(), "");
    let mut changed = policy();
    changed["Statement"][1]["Condition"]["StringEqualsIgnoreCase"]["kms:RecipientAttestation:ImageSha384"] =
        json!("AB".repeat(48));
    let text = changed.to_string();
    let put = json!({"KeyId": setup.key_arn, "Policy": text});
    assert_eq!(setup.admin("PutKeyPolicy", &put).json(), json!({}));
    assert_eq!(
        client.call(&setup.enclave, "Decrypt", &body).error(),
        "AccessDeniedException"
    );
    let got = setup.admin(
        "GetKeyPolicy",
        &json!({"KeyId": setup.key_arn, "PolicyName": "default"}),
    );
    assert_eq!(got.json(), json!({"Policy": text, "PolicyName": "default"}));

    // Hex in the policy may be in either case.
    let body = json!({
        "CiphertextBlob": setup.ciphertext(b"x", &[]),
        "Recipient": recipient(&unsigned(0xab, Some(&spki), NOW)),
    });
    assert_eq!(client.call(&setup.enclave, "Decrypt", &body).error(), "");
}

#[test]
fn nobody_is_locked_out_by_mistake() {
    let setup = simulated();
    let locked = json!({"Version": "2012-10-17", "Statement": [policy()["Statement"][1]]}).to_string();
    let mut put = json!({"KeyId": setup.key_arn, "Policy": locked});
    let refused = setup.admin("PutKeyPolicy", &put);
    assert_eq!(refused.error(), "MalformedPolicyDocumentException");
    assert_eq!(
        refused.json()["message"],
        "The new key policy will not allow you to update the key policy in the future."
    );
    put["BypassPolicyLockoutSafetyCheck"] = json!(true);
    assert_eq!(setup.admin("PutKeyPolicy", &put).status, 200);
    assert_eq!(setup.admin("PutKeyPolicy", &put).error(), "AccessDeniedException");
}

#[test]
fn policies_that_are_not_understood_are_refused() {
    let setup = simulated();
    let put = |policy: &str| {
        let answer = setup.admin("PutKeyPolicy", &json!({"KeyId": setup.key_arn, "Policy": policy}));
        answer.error()
    };
    let mut numeric = policy();
    numeric["Statement"][1]["Condition"] = json!({"NumericLessThan": {"kms:x": "1"}});
    for (text, name) in [
        ("", "LimitExceededException".to_owned()),
        (&" ".repeat(40_000), "LimitExceededException".to_owned()),
        ("{", "MalformedPolicyDocumentException".to_owned()),
        ("{}", "MalformedPolicyDocumentException".to_owned()),
        (
            &numeric.to_string(),
            "MalformedPolicyDocumentException".to_owned(),
        ),
    ] {
        assert_eq!(put(text), name, "{text:.60}");
    }
    let body = json!({"KeyId": setup.key_arn, "PolicyName": "other"});
    assert_eq!(setup.admin("GetKeyPolicy", &body).error(), "NotFoundException");
}

#[test]
fn new_keys_have_the_default_policy_or_their_own() {
    let setup = simulated();
    let created = setup.admin("CreateKey", &json!({"Description": "d"})).json();
    let metadata = &created["KeyMetadata"];
    for (name, value) in [
        ("Description", json!("d")),
        ("KeyState", json!("Enabled")),
        ("Enabled", json!(true)),
        ("KeySpec", json!("SYMMETRIC_DEFAULT")),
        ("KeyUsage", json!("ENCRYPT_DECRYPT")),
        ("AWSAccountId", json!("111122223333")),
        ("CreationDate", json!(1_541_456_164.0)),
    ] {
        assert_eq!(metadata[name], value, "{name}");
    }
    // The default policy leaves it to the caller's IAM policies, and the administrator's allow no Encrypt.
    let encrypt = |key: &Value| {
        let body = json!({"KeyId": key, "Plaintext": base64(b"x")});
        setup.admin("Encrypt", &body).error()
    };
    assert_eq!(encrypt(&metadata["KeyId"]), "AccessDeniedException");
    let own = setup
        .admin("CreateKey", &json!({"Policy": policy().to_string()}))
        .json();
    assert_eq!(encrypt(&own["KeyMetadata"]["Arn"]), "");
    assert_eq!(
        setup.enclave("CreateKey", &json!({})).error(),
        "AccessDeniedException"
    );
}

#[test]
fn the_encryption_context_can_be_demanded() {
    let setup = simulated();
    let mut demanding = policy();
    demanding["Statement"][0]["Condition"] = json!({"StringEquals": {"kms:EncryptionContext:stack": "a"}});
    demanding["Statement"].as_array_mut().unwrap().push(json!({
        "Sid": "OnlyKnownNames",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "kms:Encrypt",
        "Resource": "*",
        "Condition": {"ForAnyValue:StringNotEquals": {"kms:EncryptionContextKeys": ["stack", "kind"]}},
    }));
    setup
        .kms()
        .put_policy(&setup.key_arn, &demanding.to_string())
        .unwrap();
    let encrypt = |context: Value| {
        let body = json!({"KeyId": setup.key_arn, "Plaintext": base64(b"x"), "EncryptionContext": context});
        setup.admin("Encrypt", &body)
    };
    assert_eq!(encrypt(json!({"stack": "a"})).error(), "");
    assert_eq!(encrypt(json!({"stack": "a", "kind": "k"})).error(), "");
    for other in [json!({}), json!({"stack": "b"}), json!({"kind": "a"})] {
        assert_eq!(encrypt(other).error(), "AccessDeniedException");
    }
    let denied = encrypt(json!({"stack": "a", "other": "x"})).json();
    let message = denied["Message"].as_str().unwrap();
    assert!(
        message.ends_with("with an explicit deny in a resource-based policy"),
        "{message}"
    );
    // Two names that differ in case are one condition key with two values: no decision, so no.
    assert_eq!(
        encrypt(json!({"stack": "a", "Stack": "b"})).error(),
        "AccessDeniedException"
    );
}

#[test]
fn a_statement_may_name_the_key() {
    let setup = simulated();
    let mut named = policy();
    named["Statement"][0]["Resource"] = json!(setup.key_arn);
    let other = setup.kms().add_key(&named.to_string()).unwrap();
    setup
        .kms()
        .put_policy(&setup.key_arn, &named.to_string())
        .unwrap();
    let describe = |key: &str| setup.admin("DescribeKey", &json!({"KeyId": key})).error();
    assert_eq!(describe(&setup.key_arn), "");
    assert_eq!(describe(&other), "AccessDeniedException");
}

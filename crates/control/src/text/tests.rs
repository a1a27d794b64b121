//! Forms of texts: what is read, in which form it is kept, what is refused.

use super::*;

fn kept<T: FromStr + AsStr>(text: &str) -> Option<String> {
    text.parse::<T>().ok().map(|text| text.as_text().to_owned())
}

trait AsStr {
    fn as_text(&self) -> &str;
}

macro_rules! as_str {
    ($($name:ident)+) => {$( impl AsStr for $name { fn as_text(&self) -> &str { self.as_str() } } )+};
}
as_str! { StackId PublicKey Region Network HostName KeyArn TableArn DatabaseName Sha384Hex Sha256Hex Nonce Ciphertext }

fn check<T: FromStr + AsStr>(good: &[(&str, &str)], bad: &[&str]) {
    for (text, expected) in good {
        assert_eq!(kept::<T>(text).as_deref(), Some(*expected), "{text}");
    }
    for text in bad.iter().chain(&["", " ", "\n", "\"", "\\", "\0", "é"]) {
        assert_eq!(kept::<T>(text), None, "{text:?}");
    }
    for (text, _) in good {
        for character in ["\"", "\\", "\n", " ", "\u{7f}", "é"] {
            for at in 0..=text.len() {
                let (before, after) = text.split_at(at);
                assert_eq!(
                    kept::<T>(&format!("{before}{character}{after}")),
                    None,
                    "{text} with {character:?} at {at}"
                );
            }
        }
    }
}

#[test]
fn ids_and_names() {
    let uuid = "0f9e8d7c-0000-4000-8000-00000000000a";
    check::<StackId>(
        &[(uuid, uuid), ("0F9E8D7C-0000-4000-8000-00000000000A", uuid)],
        &[
            "0f9e8d7c00004000800000000000000a",
            "0f9e8d7c-0000-4000-8000-00000000000",
            "0f9e8d7c-0000-4000-8000-00000000000g",
        ],
    );
    check::<Region>(
        &[
            ("eu-central-1", "eu-central-1"),
            ("us-gov-west-1", "us-gov-west-1"),
        ],
        &["EU-CENTRAL-1", "-a", "a-", "a.b", "a/b", &"a".repeat(33)],
    );
    check::<Network>(&[("mainnet", "mainnet")], &["/etc/passwd", "http://x"]);
    check::<HostName>(
        &[
            ("kms.eu-central-1.amazonaws.com", "kms.eu-central-1.amazonaws.com"),
            ("a.b", "a.b"),
        ],
        &[
            "localhost",
            "a.b.",
            ".a.b",
            "a..b",
            "127.0.0.1",
            "::1",
            "A.b",
            "a_b.c",
            "a.-b",
            &format!("{}.b", "a".repeat(64)),
        ],
    );
    check::<DatabaseName>(
        &[("Web3_signer-1", "Web3_signer-1")],
        &["a;b", "a b", &"a".repeat(64)],
    );
}

#[test]
fn arns() {
    let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    let multi = "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
    check::<KeyArn>(
        &[(key, key), (multi, multi)],
        &[
            "arn:aws:kms:eu-central-1:111122223333:alias/x",
            "arn:aws:kms:eu-central-1:11112222333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:s3:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:evil:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
        ],
    );
    assert_eq!(key.parse::<KeyArn>().unwrap().region(), "eu-central-1");
    let table = "arn:aws:dynamodb:eu-central-1:111122223333:table/slashing_1.a-B";
    check::<TableArn>(
        &[(table, table)],
        &[
            "arn:aws:dynamodb:eu-central-1:111122223333:table/ab",
            "arn:aws:dynamodb:eu-central-1:111122223333:table/a/index/b",
        ],
    );
    assert_eq!(table.parse::<TableArn>().unwrap().region(), "eu-central-1");
}

#[test]
fn hexadecimal_texts() {
    let key = "ab".repeat(48);
    let kept = format!("0x{key}");
    check::<PublicKey>(
        &[(&key, &kept), (&kept, &kept), (&key.to_uppercase(), &kept)],
        &["0x", &key[1..], &format!("0x{}", &key[2..]), &format!("0X{key}")],
    );
    check::<Sha384Hex>(&[(&key.to_uppercase(), &key)], &[&key[2..]]);
    check::<Sha256Hex>(&[(&key[..64], &key[..64])], &[&key]);
    check::<Nonce>(
        &[("00fF", "00ff"), (&"00".repeat(64), &"00".repeat(64))],
        &["0", "0x00", &"00".repeat(65)],
    );
    assert_eq!(Nonce::from_bytes(&[0, 0xff]).unwrap().as_str(), "00ff");
    assert_eq!("00fF".parse::<Nonce>().unwrap().to_bytes(), [0, 0xff]);
    assert_eq!(Nonce::from_bytes(&[]).ok(), None);
    assert_eq!(Nonce::from_bytes(&[0; 65]).ok(), None);
}

#[test]
fn ciphertexts() {
    let most = "A".repeat(8192);
    check::<Ciphertext>(
        &[
            ("QQ==", "QQ=="),
            ("QUI=", "QUI="),
            ("QUJD", "QUJD"),
            ("+/+/", "+/+/"),
            (&most, &most),
        ],
        &["QQ", "QQ=", "Q===", "====", "QQ==QQ==", "QQ-_", &"A".repeat(8196)],
    );
    assert_eq!(
        format!("{:?}", "QUJD".parse::<Ciphertext>().unwrap()),
        "Ciphertext(4 characters)"
    );
}

#[test]
fn an_error_does_not_repeat_the_text() {
    let error = "wJalrXUtnFEMI".parse::<PublicKey>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "public key: expected 96 hexadecimal digits with or without 0x before them"
    );
}

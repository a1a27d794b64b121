//! SigV4: AWS's own vectors, and what AWS says when something is missing, unknown, late or wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use attest::UnixMs;
use serde_json::{Value, json};
use simulator::kms::clock::{Clock, earlier, later};
use simulator::kms::error::KmsError;
use simulator::kms::principal::{Principal, Principals};
use simulator::kms::sigv4::{Scope, Signed, verify};
use simulator::kms::trust::Trust;

use crate::client::Signer;
use crate::setup::{NOW, settings, simulated, start};

/// AWS's vectors, copied into `kmstool-rs` with their source; here those for path `/` without a query.
fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kmstool-rs/tests/data/sigv4")
}

/// 2015-08-30T12:36:00Z, the time of every vector.
const VECTOR_TIME: UnixMs = UnixMs::new(1_440_938_160_000);

const VECTORS: [&str; 12] = [
    "get-header-key-duplicate",
    "get-header-value-order",
    "get-header-value-trim",
    "get-slash-normalized",
    "get-vanilla",
    "get-vanilla-with-session-token",
    "post-header-key-case",
    "post-header-key-sort",
    "post-header-value-case",
    "post-vanilla",
    "post-x-www-form-urlencoded",
    "post-x-www-form-urlencoded-parameters",
];

struct Vector {
    method: String,
    headers: Vec<(String, String)>,
    body: String,
    principals: Principals,
}

fn vector(name: &str) -> Vector {
    let read = |file: &str| std::fs::read_to_string(vectors().join(name).join(file)).unwrap();
    let context: Value = serde_json::from_str(&read("context.json")).unwrap();
    let signed = read("header-signed-request.txt");
    let (head, body) = signed
        .split_once("\n\n")
        .unwrap_or_else(|| (signed.trim_end(), ""));
    let mut lines = head.lines();
    let method = lines.next().unwrap().split(' ').next().unwrap().to_owned();
    let headers = lines
        .map(|line| line.split_once(':').unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let credentials = |key: &str| context["credentials"][key].as_str();
    let (access, secret) = (
        credentials("access_key_id").unwrap(),
        credentials("secret_access_key").unwrap(),
    );
    let user = "arn:aws:iam::111122223333:user/u";
    let role = "arn:aws:iam::111122223333:role/r";
    let principal = match credentials("token") {
        None => Principal::user(access, secret, user),
        Some(token) => Principal::role_session(access, secret, token, role, "s1"),
    };
    Vector {
        method,
        headers,
        body: body.to_owned(),
        principals: Principals::new([principal.unwrap()]).unwrap(),
    }
}

impl Vector {
    fn verify(&self) -> Result<(), KmsError> {
        let scope = Scope {
            region: "us-east-1",
            service: "service",
        };
        let request = Signed {
            method: &self.method,
            headers: &self.headers,
            body: self.body.as_bytes(),
        };
        verify(&request, &self.principals, scope, VECTOR_TIME).map(drop)
    }
}

#[test]
fn vectors_of_aws_hold_and_every_change_is_noticed() {
    for name in VECTORS {
        let good = vector(name);
        assert_eq!(good.verify(), Ok(()), "{name}");
        let mut bad = vector(name);
        bad.body.push('x');
        assert_eq!(
            bad.verify().unwrap_err().name,
            "InvalidSignatureException",
            "{name}"
        );
        let mut bad = vector(name);
        bad.method.push('X');
        assert_eq!(
            bad.verify().unwrap_err().name,
            "InvalidSignatureException",
            "{name}"
        );
        for at in 0..good.headers.len() {
            let mut bad = vector(name);
            bad.headers[at].1.push('x');
            assert!(bad.verify().is_err(), "{name}: {}", good.headers[at].0);
        }
    }
}

/// The error's name and message for a signer and a change of its headers.
fn refused(signer: &Signer, change: impl FnOnce(&mut Vec<(String, String)>)) -> (u16, String, String) {
    let setup = simulated();
    let body = json!({"KeyId": setup.key_arn}).to_string();
    let mut headers = signer.headers("DescribeKey", body.as_bytes());
    change(&mut headers);
    let answer = setup.connect().send(&headers, body.as_bytes()).unwrap();
    let json = answer.json();
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(setup.kms().counts().answers_of(&text("__type")), 1);
    assert!(setup.kms().counts().calls.is_empty());
    (answer.status, text("__type"), text("message"))
}

fn admin() -> Signer {
    Signer::new("AKIAADMIN", None, NOW)
}

fn drop_header(name: &'static str) -> impl FnOnce(&mut Vec<(String, String)>) {
    move |headers| headers.retain(|(known, _)| known != name)
}

fn edit(name: &'static str, from: &'static str, to: &'static str) -> impl FnOnce(&mut Vec<(String, String)>) {
    move |headers| {
        let header = headers.iter_mut().find(|(known, _)| known == name).unwrap();
        assert!(header.1.contains(from), "{}", header.1);
        header.1 = header.1.replace(from, to);
    }
}

#[test]
fn a_good_signature_is_taken() {
    let setup = simulated();
    let answer = setup.admin("DescribeKey", &json!({"KeyId": setup.key_arn}));
    assert_eq!(answer.status, 200, "{}", answer.json());
    assert_eq!(answer.header("date"), "Mon, 05 Nov 2018 22:16:04 GMT");
    assert_eq!(answer.header("content-type"), "application/x-amz-json-1.1");
    assert_eq!(answer.header("x-amzn-requestid").len(), 36);
}

type Change = Box<dyn FnOnce(&mut Vec<(String, String)>)>;

#[test]
fn what_is_missing_is_named() {
    let expect = |change, name: &str, text: &str| {
        let (status, error, message) = refused(&admin(), change);
        assert_eq!((status, error.as_str()), (400, name));
        assert!(message.starts_with(text), "{message}");
    };
    let cases: [(Change, &str, &str); 9] = [
        (
            Box::new(drop_header("authorization")),
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        ),
        (
            Box::new(drop_header("x-amz-date")),
            "IncompleteSignatureException",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        ),
        (
            Box::new(edit("authorization", "Signature=", "Sig=")),
            "IncompleteSignatureException",
            "Authorization header requires 'Signature' parameter.",
        ),
        (
            Box::new(edit("authorization", "SignedHeaders=", "S=")),
            "IncompleteSignatureException",
            "Authorization header requires 'SignedHeaders' parameter.",
        ),
        (
            Box::new(edit("authorization", "AKIAADMIN/", "")),
            "IncompleteSignatureException",
            "Credential must have exactly 5 slash-delimited elements",
        ),
        (
            Box::new(edit("authorization", "AWS4-HMAC-SHA256", "Bearer")),
            "IncompleteSignatureException",
            "Unsupported AWS 'algorithm'",
        ),
        (
            Box::new(edit("x-amz-date", "T", " ")),
            "IncompleteSignatureException",
            "Date must be in ISO-8601 'basic format'.",
        ),
        (
            Box::new(edit("authorization", "host;", "")),
            "InvalidSignatureException",
            "'Host' or ':authority' must be a 'SignedHeader'",
        ),
        (
            Box::new(edit("authorization", "us-east-1", "us-west-2")),
            "InvalidSignatureException",
            "Credential should be scoped to a valid region, not 'us-west-2'.",
        ),
    ];
    for (change, name, text) in cases {
        expect(change, name, text);
    }
}

/// Cut at every length, and with every byte changed: refused, whatever is left of it.
#[test]
fn damaged_authorizations_are_refused() {
    let good = vector("post-vanilla");
    let at = good
        .headers
        .iter()
        .position(|(name, _)| name == "authorization")
        .unwrap();
    let header = good.headers[at].1.clone();
    let refused = |text: String| {
        let mut bad = vector("post-vanilla");
        bad.headers[at].1 = text;
        bad.verify().map_err(|error| error.status)
    };
    for cut in 0..header.len() {
        assert_eq!(refused(header[..cut].to_owned()), Err(400), "cut at {cut}");
        for other in ["\u{fffd}", "/", "=", ","] {
            let changed = format!("{}{other}{}", &header[..cut], &header[cut + 1..]);
            // A comma in the place of a space after one changes nothing.
            let same = changed == header || changed.replace(",,", ", ") == header;
            assert_eq!(
                refused(changed),
                if same { Ok(()) } else { Err(400) },
                "{other} at {cut}"
            );
        }
    }
    let date = good
        .headers
        .iter()
        .position(|(name, _)| name == "x-amz-date")
        .unwrap();
    for cut in 0..16 {
        let mut bad = vector("post-vanilla");
        bad.headers[date].1.truncate(cut);
        assert_eq!(bad.verify().map_err(|error| error.status), Err(400), "{cut}");
    }
}

/// No error repeats what could be used: a signature that may still be good, a token.
#[test]
fn errors_repeat_no_credentials() {
    let (_, _, message) = refused(&admin(), edit("authorization", "Signature=", "Signed="));
    assert!(!message.contains("Signed="), "{message}");
}

#[test]
fn wrong_credentials_are_told_apart() {
    let mut wrong_secret = admin();
    wrong_secret.secret.push('x');
    let unknown = "The security token included in the request is invalid.";
    let cases = [
        (
            wrong_secret,
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided.",
        ),
        (
            Signer::new("AKIANOBODY", None, NOW),
            "UnrecognizedClientException",
            unknown,
        ),
        (
            Signer::new("ASIAENCLAVE", Some("OTHER"), NOW),
            "UnrecognizedClientException",
            unknown,
        ),
        (
            Signer::new("ASIAENCLAVE", None, NOW),
            "UnrecognizedClientException",
            unknown,
        ),
        (
            Signer::new("AKIAADMIN", Some("TOKEN"), NOW),
            "UnrecognizedClientException",
            unknown,
        ),
        (
            Signer::new("ASIAEXPIRED", Some("TOKEN"), NOW),
            "ExpiredTokenException",
            "The security token included in the request is expired",
        ),
    ];
    for (signer, name, text) in cases {
        let (status, error, message) = refused(&signer, |_| {});
        assert_eq!((status, error.as_str()), (400, name));
        assert!(message.starts_with(text), "{message}");
    }
}

#[test]
fn a_clock_may_be_five_minutes_off_and_no_more() {
    let setup = simulated();
    let five = Duration::from_mins(5);
    let second = Duration::from_secs(1);
    let at = |now: UnixMs| Signer::new("AKIAADMIN", None, now);
    for near in [earlier(NOW, five), later(NOW, five)] {
        let answer = setup
            .connect()
            .call(&at(near), "DescribeKey", &json!({"KeyId": setup.key_arn}));
        assert_eq!(answer.status, 200, "{}", answer.json());
    }
    let (_, error, message) = refused(&at(earlier(NOW, five + second)), |_| {});
    assert_eq!(
        (error.as_str(), message.as_str()),
        (
            "InvalidSignatureException",
            "Signature expired: 20181105T221103Z is now earlier than 20181105T221104Z (20181105T221604Z - 5 min.)"
        )
    );
    let (_, error, message) = refused(&at(later(NOW, five + second)), |_| {});
    assert_eq!(
        (error.as_str(), message.as_str()),
        (
            "InvalidSignatureException",
            "Signature not yet current: 20181105T222105Z is still later than 20181105T222104Z (20181105T221604Z + 5 \
             min.)"
        )
    );
}

/// A captured request cannot be turned into another one.
#[test]
fn the_operation_is_under_the_signature() {
    let (_, error, _) = refused(&admin(), edit("x-amz-target", "DescribeKey", "DisableKey"));
    assert_eq!(error, "InvalidSignatureException");
    let setup = start(settings(
        Trust::aws(),
        simulator::kms::envelope::ContentForm::Primitive,
    ));
    let signer = Signer::new("AKIAADMIN", None, NOW);
    let mut headers = signer.headers("DescribeKey", b"{}");
    edit("authorization", ";x-amz-target", "")(&mut headers);
    let answer = setup.connect().send(&headers, b"{}").unwrap();
    assert_eq!(answer.error(), "InvalidSignatureException");
}

#[test]
fn a_slow_clock_of_the_kms_is_seen_in_its_date() {
    let mut settings = settings(Trust::aws(), simulator::kms::envelope::ContentForm::Primitive);
    settings.clock = Clock::fixed(UnixMs::new(0));
    let setup = start(settings);
    let mut client = setup.connect();
    let answer = client.call(&Signer::new("AKIAADMIN", None, NOW), "DescribeKey", &json!({}));
    assert_eq!(
        (answer.error().as_str(), answer.header("date")),
        ("InvalidSignatureException", "Thu, 01 Jan 1970 00:00:00 GMT")
    );
}

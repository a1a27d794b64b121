//! Error answers as KMS, proxies and others send them.

use std::time::Duration;

use super::*;

fn read(status: u16, body: &str) -> ServiceError {
    let raw = RawError {
        status,
        body: body.as_bytes(),
        ..RawError::default()
    };
    ServiceError::read(&raw)
}

#[test]
fn names_and_messages() {
    for (body, name, message) in [
        (
            r#"{"__type":"InvalidCiphertextException"}"#,
            "InvalidCiphertextException",
            "",
        ),
        (
            r#"{"__type":"com.amazonaws.kms#NotFoundException","message":"m"}"#,
            "NotFoundException",
            "m",
        ),
        (
            r#"{"__type":"AccessDeniedException","Message":"M"}"#,
            "AccessDeniedException",
            "M",
        ),
        (r#"{"message":"m","Message":"M","other":{"a":[1]}}"#, "", "m"),
        ("", "", ""),
        ("<html>502</html>", "", ""),
        (r#"{"__type":"a b\u001b[31m"}"#, "", ""),
        (
            r#"{"__type":"X","message":"one\u0007 two\nthree"}"#,
            "X",
            "one  two",
        ),
    ] {
        let error = read(400, body);
        assert_eq!(
            (error.name.as_str(), error.message.as_str()),
            (name, message),
            "{body}"
        );
    }
    let raw = RawError {
        status: 400,
        type_header: Some("ThrottlingException:http://internal.amazon.com/"),
        request_id: Some("id-1"),
        date: Some("Mon, 05 Nov 2018 22:16:04 GMT"),
        body: b"",
    };
    let error = ServiceError::read(&raw);
    assert_eq!(
        error.to_string(),
        "ThrottlingException (HTTP 400, request id id-1)"
    );
    assert_eq!(
        error.server_time,
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1_541_456_164))
    );
    assert_eq!(read(503, "").to_string(), "no error name (HTTP 503)");
    assert_eq!(
        read(400, &format!(r#"{{"message":"{}"}}"#, "é".repeat(5000)))
            .message
            .len(),
        1024
    );
}

#[test]
fn classes() {
    for (status, name, class) in [
        (400, "AccessDeniedException", Class::Denied),
        (400, "ThrottlingException", Class::Throttled),
        (429, "", Class::Throttled),
        (400, "InvalidSignatureException", Class::Credentials),
        (400, "UnrecognizedClientException", Class::Credentials),
        (400, "ExpiredTokenException", Class::Credentials),
        (403, "RequestExpired", Class::ClockSkew),
        (400, "KeyUnavailableException", Class::Unavailable),
        (500, "KMSInternalException", Class::Unavailable),
        (502, "", Class::Unavailable),
        (400, "InvalidCiphertextException", Class::Refused),
        (400, "ValidationException", Class::Refused),
        (404, "", Class::Malformed),
        (301, "", Class::Malformed),
    ] {
        assert_eq!(
            read(status, &format!(r#"{{"__type":"{name}"}}"#)).class(),
            class,
            "{status} {name}"
        );
    }
}

#[test]
fn clock_skew() {
    let server = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1_541_456_164));
    for message in [
        "Signature expired: 20181105T215603Z is now earlier than 20181105T221104Z (20181105T221604Z - 5 min.)",
        "Signature not yet current: 20181105T224103Z is still later than 20181105T222104Z (20181105T221604Z + 5 min.)",
    ] {
        let body = format!(r#"{{"__type":"InvalidSignatureException","message":"{message}"}}"#);
        let error = read(400, &body);
        assert_eq!((error.class(), error.server_time), (Class::ClockSkew, server));
        for length in 0..body.len() {
            assert_eq!(read(400, &body[..length]).server_time, None);
        }
    }
    let other = read(
        400,
        r#"{"__type":"InvalidSignatureException","message":"no (20181105T221604Z - 5 min.)"}"#,
    );
    assert_eq!((other.class(), other.server_time), (Class::Credentials, None));
}

/// AWS answers a wrong signature with the canonical request, and that holds the session token.
#[test]
fn the_canonical_request_is_not_kept() {
    let body = r#"{"__type":"InvalidSignatureException","message":"The request signature we calculated does not match.\n\nThe Canonical String should have been\n'POST\nx-amz-security-token:PLANTED'"}"#;
    assert!(!format!("{:?}", read(403, body)).contains("PLANTED"));
    let mut error = read(403, r#"{"__type":"X","message":"token PLANTED is expired"}"#);
    error.redact("PLANTED");
    error.redact("");
    assert_eq!(error.message, "token [redacted] is expired");
}

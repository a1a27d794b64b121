//! Which host the program talks to, whose credentials it signs with, and how it ends when the host does not answer.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use crate::cli::{ran, with};
use crate::support::{Act, Server};

/// The certificate, the `Host` header and the signature are all for the endpoint that was named, and only for it.
#[test]
fn every_kind_of_endpoint() {
    let vpc = "vpce-0123456789abcdef0-abcdefgh.kms-fips.eu-central-1.vpce.amazonaws.com";
    for (host, region, more) in [
        ("kms.cn-north-1.amazonaws.com.cn", "cn-north-1", &[][..]),
        ("kms.us-gov-west-1.amazonaws.com", "us-gov-west-1", &[]),
        (
            "kms-fips.us-gov-west-1.amazonaws.com",
            "us-gov-west-1",
            &["--fips"],
        ),
        ("kms-fips.ca-central-1.amazonaws.com", "ca-central-1", &["--fips"]),
        (vpc, "eu-central-1", &["--vpc-endpoint", vpc]),
    ] {
        let server = Server::with_name(host, []);
        let arguments = [&["-c", "AQID", "--region", region][..], more].concat();
        let good = ran(&server, &with("decrypt", &arguments), "");
        assert_eq!((good.code, good.stderr.as_str()), (0, ""), "{host}");
        let seen = server.seen();
        let headers = &seen.last().unwrap().headers;
        assert_eq!(headers["host"], host);
        let scope = format!("/{region}/kms/aws4_request");
        assert!(headers["authorization"].contains(&scope), "{host}: {scope}");

        let elsewhere = Server::with_name("kms.us-east-1.amazonaws.com", []);
        let refused = ran(&elsewhere, &with("decrypt", &arguments), "");
        assert_eq!((refused.code, refused.stdout.as_str()), (255, ""), "{host}");
        assert_eq!(elsewhere.seen().len(), 0, "no credential to another host");
    }
}

#[test]
fn credentials_from_a_descriptor() {
    let server = Server::start([]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer
        .write_all(br#"{"AccessKeyId":"PIPE","SecretAccessKey":"PLANTED","Token":"PLANTED-P"}"#)
        .unwrap();
    drop(writer);
    let source = format!("fd:{}", reader.as_raw_fd());
    let arguments = ["decrypt", "-c", "AQID", "--credentials", &source];
    let good = ran(&server, &arguments, "");
    assert_eq!(
        (good.code, good.stdout.as_str()),
        (0, "PLAINTEXT: AQID\n"),
        "{}",
        good.stderr
    );
    assert!(server.seen()[0].headers["authorization"].contains("Credential=PIPE/"));
    // What was read is gone.
    let again = [&arguments[..], &["--exit-codes", "detailed"]].concat();
    assert_eq!(ran(&server, &again, "").code, 3);
}

/// What is tried again ends with a code of its own when it does not pass.
#[test]
fn codes_of_what_does_not_pass() {
    let refuse = |status, name: &str| Act::Refuse(status, format!(r#"{{"__type":"{name}"}}"#));
    for (act, code) in [
        (Act::Reset, 5),
        (refuse(400, "ThrottlingException"), 10),
        (refuse(500, "KMSInternalException"), 11),
        (refuse(503, ""), 11),
    ] {
        let server = Server::start(vec![act.clone(); 5]);
        let ran = ran(
            &server,
            &with("genrandom", &["-l", "8", "--exit-codes", "detailed"]),
            "",
        );
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (code, ""),
            "{act:?}: {}",
            ran.stderr
        );
        assert!(
            ran.stderr.ends_with("\nCould not generate random bytes\n"),
            "{}",
            ran.stderr
        );
        assert_eq!(server.seen().len(), 5, "{act:?}");
    }
}

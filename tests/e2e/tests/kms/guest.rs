//! The tool inside the enclave, run through the probe of the test image.

use e2e::Booted;

use crate::service::{self, Service};

/// Where the probe listens that may attest.
const PORT: u32 = 7001;
/// Files inside the enclave.
pub(crate) const CA: &str = "/run/kms/ca.pem";
const CREDENTIALS: &str = "/run/kms/credentials.json";

/// How the tool ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// An enclave that has the service's CA and credentials.
pub(crate) struct Guest<'a> {
    booted: &'a Booted,
}

impl<'a> Guest<'a> {
    pub(crate) fn new(booted: &'a Booted, service: &Service) -> Self {
        let guest = Self { booted };
        for (path, text) in [
            (CA, service.ca_pem().to_owned()),
            (CREDENTIALS, service::credentials_json()),
        ] {
            let answer = guest.ask(&format!("write {path}"), text.as_bytes());
            assert_eq!(answer, b"ok ", "{path}");
        }
        guest
    }

    /// The tool with these arguments and nothing else.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let answer = self.ask(&format!("kmstool {}", arguments.join("\t")), input);
        let text = String::from_utf8(answer).unwrap();
        let (head, rest) = text.split_once('\n').unwrap_or_else(|| panic!("{text}"));
        let numbers: Vec<&str> = head.split(' ').collect();
        let ["ok", code, length] = numbers[..] else {
            panic!("{text}")
        };
        let (stdout, stderr) = rest.split_at(length.parse().unwrap());
        Ran {
            code: code.parse().unwrap(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        }
    }

    /// The tool with credentials, CA and detailed exit codes.
    pub(crate) fn kms(&self, arguments: &[&str]) -> Ran {
        self.kms_with(arguments, b"")
    }

    /// As above, with an input.
    pub(crate) fn kms_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let (verb, rest) = arguments.split_first().unwrap();
        let source = format!("file:{CREDENTIALS}");
        let common = [
            "--credentials",
            &source,
            "--ca-file",
            CA,
            "--exit-codes",
            "detailed",
        ];
        self.run(&[&[*verb][..], &common, rest].concat(), input)
    }

    fn ask(&self, line: &str, input: &[u8]) -> Vec<u8> {
        e2e::probe::ask(self.booted.connect(PORT), line, input)
    }
}

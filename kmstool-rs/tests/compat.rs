//! The real program's answers to command lines, as the C tool gives them, and as our additions have them.
//! There is no security module here, so a command line that is good ends at that.
#![expect(clippy::unwrap_used, reason = "a failed assumption should fail the test")]

use std::process::{Command, Output, Stdio};

const CREDENTIALS: [&str; 6] = [
    "--aws-access-key-id",
    "PLANTED-ID",
    "--aws-secret-access-key",
    "PLANTED-KEY",
    "--aws-session-token",
    "PLANTED-TOKEN",
];

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kmstool_enclave_cli"))
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// First line on standard error, and the exit code. Standard output must be empty, and no secret may be shown.
fn refused(arguments: &[&str]) -> (String, i32) {
    let output = run(arguments);
    assert_eq!(output.stdout, b"", "{arguments:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("PLANTED"), "{arguments:?}: {text}");
    (
        text.lines().next().unwrap_or_default().to_owned(),
        output.status.code().unwrap(),
    )
}

/// `verb`, the credentials, and `more`.
fn with<'a>(verb: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[verb][..], &CREDENTIALS, more].concat()
}

const COMMANDS: &str = "usage: kmstool_enclave_cli COMMAND [OPTIONS]";
const DECRYPT: &str = "usage: kmstool_enclave_cli decrypt [OPTIONS]";
const GENKEY: &str = "usage: kmstool_enclave_cli genkey [OPTIONS]";
const GENRANDOM: &str = "usage: kmstool_enclave_cli genrandom [OPTIONS]";

#[test]
fn as_the_c_tool() {
    for (arguments, line) in [
        (vec![], COMMANDS),
        (vec!["--help"], "--aws-access-key-id must be set"),
        (vec!["Decrypt"], "--aws-access-key-id must be set"),
        (with("frobnicate", &["--length", "1"]), COMMANDS),
        (with("frobnicate", &["--help"]), COMMANDS),
        (vec!["decrypt", "--help"], DECRYPT),
        (vec!["genkey", "-h"], GENKEY),
        (vec!["genrandom", "-help"], GENRANDOM),
        (vec!["decrypt"], "--aws-access-key-id must be set"),
        (vec!["decrypt", "-k", "a"], "--aws-secret-access-key must be set"),
        (vec!["decrypt", "-s", "a"], "--aws-access-key-id must be set"),
        (
            vec!["genkey", "-k", "a", "-s", "b"],
            "--aws-session-token must be set",
        ),
        (with("decrypt", &[]), "--ciphertext must be set"),
        (with("decrypt", &["--region=eu-west-1"]), "Unknown option: (null)"),
        (
            with("decrypt", &["--ciphertex", "AQID"]),
            "Unknown option: (null)",
        ),
        (with("decrypt", &["stray"]), "Unknown option: (null)"),
        (with("decrypt", &["--"]), "Unknown option: (null)"),
        (with("decrypt", &["--ciphertext"]), "Unknown option: (null)"),
        (with("decrypt", &["--length", "5"]), "Unknown option: 5"),
        (
            with("decrypt", &["--key-spec", "AES-256"]),
            "Unknown option: AES-256",
        ),
        (vec!["decrypt", "--length", "5"], "Unknown option: 5"),
        (with("genkey", &[]), "--key-id must be set"),
        (with("genkey", &["--key-id", "k"]), "--key-spec must be set"),
        (with("genkey", &["--key-id"]), "--key-id must be set"),
        (
            with("genkey", &["--foo", "stray", "-Z", "--length", "5"]),
            "--key-id must be set",
        ),
        (
            vec!["genkey", "--key-spec", "AES_256"],
            "Unknown key spec: AES_256",
        ),
        (with("genrandom", &[]), "--length must be set"),
        (with("genrandom", &["--length", "-1"]), "--length must be set"),
        (
            with("genrandom", &["--length", "0"]),
            "--length must be greater than 0",
        ),
        (
            with("genrandom", &["--length", "x"]),
            "--length must be greater than 0",
        ),
        (
            with("genrandom", &["--length", "-5"]),
            "--length must be smaller or equal to 1024",
        ),
        (
            with("genrandom", &["--length", "1025"]),
            "--length must be smaller or equal to 1024",
        ),
        (
            with("genrandom", &["--length", "5", "-l", "0"]),
            "--length must be greater than 0",
        ),
        (
            with("genrandom", &["--ciphertext", "AQID"]),
            "--length must be set",
        ),
    ] {
        assert_eq!(refused(&arguments), (line.to_owned(), 1), "{arguments:?}");
    }
}

#[test]
fn operational_failures_are_255() {
    for (arguments, line, last) in [
        (
            with("decrypt", &["-c", "AQI"]),
            "Ciphertext not a base64 string",
            "Could not decrypt",
        ),
        (
            with("decrypt", &["-c", "AQID", "-K", "k", "-a", "RSA"]),
            "Invalid encryption algorithm",
            "Could not decrypt",
        ),
        (
            with("genkey", &["-K", "k k", "-p", "AES-128"]),
            "the key id is not 1 to 2048 visible ASCII characters",
            "Could not generate data key",
        ),
        (
            with("genrandom", &["-l", "1", "-r", "A"]),
            "\"A\" is not a region name (lower-case letters, digits and hyphens, at most 32)",
            "Could not generate random bytes",
        ),
    ] {
        let output = run(&arguments);
        let text = format!("{line}\n{last}\n");
        assert_eq!(
            (String::from_utf8(output.stderr).unwrap(), output.status.code()),
            (text, Some(255)),
            "{arguments:?}"
        );
        assert_eq!(output.stdout, b"");
    }
}

/// Without `--key-id` the algorithm is not even looked at; with it alone, only the key is sent. Both get as far as the
/// security module, which is absent here.
#[test]
fn good_command_lines_reach_the_module() {
    let ca = tempfile::NamedTempFile::new().unwrap();
    let pem = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()])
        .unwrap()
        .cert
        .pem();
    std::fs::write(ca.path(), pem).unwrap();
    let ca = ca.path().to_str().unwrap();
    for (verb, more) in [
        ("decrypt", &["-c", "AQID", "-a", "nonsense"][..]),
        ("decrypt", &["-c", "AQID", "-K", "k"]),
        ("decrypt", &["-cfoo", "AQID", "-t", ""]),
        ("decrypt", &["--batch"]),
        ("genkey", &["-K", "k", "-p", "AES-256", "-p", "AES-128"]),
        ("genrandom", &["-l", " 12x", "-x", "garbage"]),
        (
            "generate-data-key-pair",
            &["-K", "k", "--key-pair-spec", "RSA_2048"],
        ),
    ] {
        let compat = with(
            verb,
            &[more, &["--ca-file", ca, "--exit-codes", "compat"]].concat(),
        )
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
        let compat: Vec<_> = compat.iter().map(String::as_str).collect();
        let line = "cannot open /dev/nsm: error number 2".to_owned();
        assert_eq!(refused(&compat), (line.clone(), 255), "{compat:?}");
        let detailed = [&compat[..], &["--exit-codes=detailed"]].concat();
        assert_eq!(refused(&detailed), (line, 7), "{detailed:?}");
    }
    assert_eq!(
        refused(&["attest"]),
        ("cannot open /dev/nsm: error number 2".to_owned(), 7)
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn our_own_options() {
    let long = "00".repeat(513);
    for (arguments, line, code) in [
        (
            vec!["attest", "--nonce", "0g"],
            "--nonce must be hexadecimal, at most 512 bytes",
            2,
        ),
        (
            vec!["attest", "--user-data", &long],
            "--user-data must be hexadecimal, at most 512 bytes",
            2,
        ),
        (
            vec!["attest", "--public-key", "00"],
            "Unknown option: --public-key",
            2,
        ),
        (vec!["attest", "--region", "x"], "Unknown option: --region", 2),
        (
            vec!["attest", "--help"],
            "usage: kmstool_enclave_cli attest [OPTIONS]",
            0,
        ),
        (
            vec!["generate-data-key-pair"],
            "--aws-access-key-id must be set",
            2,
        ),
        (
            with("generate-data-key-pair", &["-K", "k"]),
            "--key-pair-spec must be set",
            2,
        ),
        (
            with("generate-data-key-pair", &["--key-pair-spec", "X"]),
            "--key-id must be set",
            2,
        ),
        (
            with("generate-data-key-pair", &["stray"]),
            "Unknown option: argument",
            2,
        ),
        (
            with("decrypt", &["--exit-codes=detailed"]),
            "--ciphertext must be set",
            2,
        ),
        (
            with("decrypt", &["--exit-codes", "loud"]),
            "--exit-codes must be compat or detailed",
            1,
        ),
        (
            with("decrypt", &["--batch", "-c", "AQID"]),
            "--batch and --ciphertext exclude each other",
            1,
        ),
        (
            with("decrypt", &["--concurrency", "0"]),
            "--concurrency must be 1 to 16",
            1,
        ),
        (
            with("decrypt", &["--concurrency=17"]),
            "--concurrency must be 1 to 16",
            1,
        ),
        (
            with("decrypt", &["--encryption-context", "novalue"]),
            "--encryption-context must be NAME=VALUE",
            1,
        ),
        (
            with("decrypt", &["--encryption-context", "=v"]),
            "--encryption-context must be NAME=VALUE",
            1,
        ),
        (
            with(
                "decrypt",
                &["--encryption-context", "a=1", "--encryption-context=a=2"],
            ),
            "--encryption-context names \"a\" twice",
            1,
        ),
        (with("decrypt", &["--nonce", "00"]), "Unknown option: --nonce", 1),
        (
            with(
                "decrypt",
                &[
                    "--fips",
                    "--vpc-endpoint",
                    "vpce-1.kms.us-east-1.vpce.amazonaws.com",
                ],
            ),
            "--fips and --vpc-endpoint exclude each other: give the FIPS name of the endpoint",
            1,
        ),
        (
            with("decrypt", &["-c", "AQID", "--vpc-endpoint", "evil.example"]),
            "\"evil.example\" is not a VPC endpoint of KMS: expected vpce-….kms.us-east-1.vpce.amazonaws.com",
            255,
        ),
        (
            with("decrypt", &["-c", "AQID", "--credentials", "env"]),
            "--credentials and credentials on the command line exclude each other",
            1,
        ),
        (
            vec!["decrypt", "-c", "AQID", "--credentials", "fd:x"],
            "--credentials must be fd:N, file:PATH or env",
            1,
        ),
        (
            vec!["decrypt", "--batch", "--credentials", "fd:0"],
            "--batch and --credentials fd:0 both read standard input",
            1,
        ),
        (
            vec![
                "decrypt",
                "-c",
                "AQID",
                "--credentials",
                "env",
                "--exit-codes=detailed",
            ],
            "cannot use the credentials: no AWS_ACCESS_KEY_ID among the credentials",
            3,
        ),
        (
            vec![
                "decrypt",
                "-c",
                "AQID",
                "--credentials",
                "file:/nonexistent",
                "--exit-codes=detailed",
            ],
            "cannot use the credentials: cannot read credentials: entity not found",
            3,
        ),
        (
            with(
                "decrypt",
                &["-c", "AQID", "--ca-file", "/nonexistent", "--exit-codes=detailed"],
            ),
            "cannot read certificates from /nonexistent: entity not found",
            6,
        ),
        // With one of our options in it the line is no script for the C tool, and a misspelt option must not get lost.
        (
            with(
                "genkey",
                &["-K", "k", "-p", "AES-256", "--encryption-contex", "a=b", "--fips"],
            ),
            "Unknown option: --encryption-contex",
            1,
        ),
        (
            with("genrandom", &["-l", "1", "--batch"]),
            "Unknown option: --batch",
            1,
        ),
    ] {
        assert_eq!(refused(&arguments), (line.to_owned(), code), "{arguments:?}");
    }
}

#[test]
fn arguments_that_are_no_text() {
    use std::os::unix::ffi::OsStrExt as _;
    for (before, after, code) in [
        (&["decrypt", "-c"][..], &[][..], 1),
        (&["attest", "--nonce"], &[], 2),
        (&["decrypt", "-c"], &["--exit-codes", "detailed"], 2),
        (&["attest", "--exit-codes=compat", "--nonce"], &[], 1),
        (&[], &["decrypt"], 1),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_kmstool_enclave_cli"))
            .args(before)
            .arg(std::ffi::OsStr::from_bytes(b"\xFF"))
            .args(after)
            .output()
            .unwrap();
        assert_eq!(
            (output.stderr.as_slice(), output.status.code()),
            (&b"arguments must be UTF-8 text\n"[..], Some(code)),
            "{before:?} {after:?}"
        );
    }
}

/// The codes that are asked for hold for the whole line, wherever on it they are asked for.
#[test]
fn exit_codes_do_not_depend_on_the_place_of_the_option() {
    let detailed = "--exit-codes=detailed";
    for (arguments, code) in [
        (with("decrypt", &["--bogus", detailed]), 2),
        (with("decrypt", &[detailed, "--bogus"]), 2),
        (with("genkey", &["--key-spec", "AES", detailed]), 2),
        (
            with("decrypt", &["--concurrency", "0", "--exit-codes", "detailed"]),
            2,
        ),
        (
            with("decrypt", &[detailed, "--bogus", "--exit-codes", "compat"]),
            1,
        ),
        (vec!["attest", "--bogus", "--exit-codes", "compat"], 1),
        // A value is no option.
        (with("decrypt", &["--bogus", "--region", detailed]), 1),
        (with("frobnicate", &[detailed]), 1),
    ] {
        assert_eq!(refused(&arguments).1, code, "{arguments:?}");
    }
}

/// What the README and the table of options name, the help names.
#[test]
fn help_lists_every_option() {
    let common = [
        "--help",
        "--region",
        "--proxy-port",
        "--aws-access-key-id",
        "--aws-secret-access-key",
        "--aws-session-token",
        "--credentials",
        "--ca-file",
        "--fips",
        "--vpc-endpoint",
        "--exit-codes",
    ];
    for (verb, own, code) in [
        (
            "decrypt",
            &[
                "--ciphertext",
                "--key-id",
                "--encryption-algorithm",
                "--encryption-context",
                "--batch",
                "--concurrency",
            ][..],
            1,
        ),
        ("genkey", &["--key-id", "--key-spec", "--encryption-context"], 1),
        ("genrandom", &["--length"], 1),
        (
            "generate-data-key-pair",
            &["--key-id", "--key-pair-spec", "--encryption-context"],
            0,
        ),
    ] {
        let output = run(&[verb, "--help"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{verb}");
        for option in common.iter().chain(own) {
            assert!(text.contains(&format!("  {option}")), "{verb}: no {option}");
        }
    }
}

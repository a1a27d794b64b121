//! Texts: key policies, measurements, bills of materials, locks, certificates and keys, attestation documents.

use super::Case;
use crate::support::Parts;

fn image() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::read(Parts::default().write(dir.path(), "a")).unwrap()
}

fn policy(statement: &str) -> String {
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{statement}]}}")
}

fn statement(effect: &str, more: &str) -> String {
    policy(&format!(
        "{{\"Effect\":\"{effect}\",\"Principal\":\"*\",\"Action\":\"kms:Decrypt\",\"Resource\":\"*\"{more}}}"
    ))
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut lint = |name: &str, text: Vec<u8>, code, word| {
        cases.push(Case::new(name, &["policy", "lint", "p.json"], code, word).file("p.json", text));
    };
    lint("no policy", Vec::new(), 3, "not JSON");
    lint("a policy that is not UTF-8", vec![0xff; 10], 3, "not JSON");
    lint(
        "a policy nested 100000 deep",
        vec![b'['; 30_000],
        3,
        "nested deeper",
    );
    lint(
        "a policy of 1 MiB",
        vec![b' '; 1 << 20],
        1,
        "more than 65536 bytes",
    );
    lint(
        "a policy cut off",
        statement("Allow", "").into_bytes()[..60].to_vec(),
        3,
        "not JSON",
    );
    lint(
        "a key twice",
        b"{\"Version\":\"2012-10-17\",\"Version\":\"2012-10-17\"}".to_vec(),
        3,
        "stands twice",
    );
    lint("a list for a policy", b"[]".to_vec(), 3, "is no key policy");
    lint(
        "a number for statements",
        b"{\"Version\":\"2012-10-17\",\"Statement\":9}".to_vec(),
        3,
        "Statement",
    );
    lint(
        "a maybe for an effect",
        statement("Maybe", "").into_bytes(),
        3,
        "Maybe",
    );
    lint(
        "an unknown element",
        statement("Allow", ",\"Evil\":1").into_bytes(),
        3,
        "Evil",
    );
    lint(
        "an element with escapes",
        statement("Allow", ",\"\\u001b[2J\":1").into_bytes(),
        3,
        "unknown element",
    );
    lint(
        "an allow for all but one",
        policy("{\"Effect\":\"Allow\",\"NotPrincipal\":\"*\",\"Action\":\"kms:*\",\"Resource\":\"*\"}")
            .into_bytes(),
        3,
        "NotPrincipal",
    );
    lint(
        "an unknown operator",
        statement("Allow", ",\"Condition\":{\"StringSomething\":{\"a\":\"b\"}}").into_bytes(),
        3,
        "condition",
    );
    lint(
        "ten thousand stars",
        policy(&format!(
            "{{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:{}\",\"Resource\":\"*\"}}",
            "*a".repeat(10_000)
        ))
        .into_bytes(),
        3,
        "",
    );
    let register = "00112233".repeat(12);
    let measurements = |pcr0: &str, more: &str| {
        format!(
            "{{\"Measurements\":{{\"HashAlgorithm\":\"Sha384 {{ ... }}\",\"PCR0\":\"{pcr0}\",\"PCR1\":\"{register}\",\
             \"PCR2\":\"{register}\"{more}}}}}"
        )
    };
    let mut verify = |name: &str, text: String, code, word| {
        let args = ["verify", "x.eif", "--pcrs", "p.json"];
        cases.push(
            Case::new(name, &args, code, word)
                .file("x.eif", image())
                .file("p.json", text),
        );
    };
    verify("no measurements", String::new(), 2, "not the Measurements");
    verify(
        "measurements of another image",
        measurements(&register, ""),
        3,
        "not as published",
    );
    verify(
        "all-zero measurements",
        measurements(&"0".repeat(96), ""),
        2,
        "all-zero PCR0",
    );
    verify(
        "a register of 2 digits",
        measurements("00", ""),
        2,
        "96 hex characters",
    );
    verify(
        "a register that is not hex",
        measurements(&"x".repeat(96), ""),
        2,
        "hexadecimal",
    );
    verify(
        "a register twice",
        measurements(&register, &format!(",\"PCR0\":\"{register}\"")),
        2,
        "not the Measurements",
    );
    verify(
        "an unknown register",
        measurements(&register, ",\"PCR9\":\"\""),
        2,
        "not the Measurements",
    );
    verify(
        "measurements of 1 MiB",
        " ".repeat(1 << 20),
        1,
        "more than 65536 bytes",
    );
    verify(
        "measurements nested deeply",
        "[".repeat(60_000),
        2,
        "not the Measurements",
    );
    let mut report = |name: &str, text: Vec<u8>, word| {
        let args = ["report", "x.eif", "-o", "page.html", "--sbom", "s.json"];
        cases.push(
            Case::new(name, &args, 1, word)
                .file("x.eif", image())
                .file("s.json", text),
        );
    };
    report("no bill of materials", Vec::new(), "s.json");
    report("a bill nested deeply", vec![b'['; 100_000], "s.json");
    report(
        "a bill of another kind",
        b"{\"bomFormat\":\"Evil\"}".to_vec(),
        "s.json",
    );
    report("a bill of 100 MiB", vec![b' '; 100 << 20], "s.json");
    report(
        "a bill of another image",
        b"{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\",\"components\":[]}".to_vec(),
        "s.json",
    );
    let mut sign = |name: &str, certificate: &str, key: &str, word| {
        let args = [
            "sign",
            "x.eif",
            "--signing-certificate",
            "c.pem",
            "--signing-key",
            "k.pem",
        ];
        let case = Case::new(name, &args, 1, word).file("x.eif", image());
        cases.push(case.file("c.pem", certificate).file("k.pem", key));
    };
    let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    sign("no key", &pem("AAAA"), "", "no private key");
    sign("a key that is none", &pem("AAAA"), no_key, "not a P-384 key");
    sign(
        "a key of 1 MiB",
        &pem("AAAA"),
        &"x".repeat(1 << 20),
        "more than 16384 bytes",
    );
    for (name, text, word) in [
        ("no lock", "", "root.toml"),
        (
            "a lock of schema 99",
            "schema = 99\nrequest_sha256 = \"00\"\n",
            "root.toml",
        ),
        ("a lock that is not TOML", "[[[[", "root.toml"),
        ("a lock of unknown keys", "evil = 1\n", "root.toml"),
    ] {
        cases.push(
            Case::new(name, &["lock", "--check", "root.toml"], 3, word)
                .file(
                    "root.toml",
                    "[inputs]\nsuite = \"trixie\"\nclosure = [\"evil\"]\n",
                )
                .file("root.lock", text),
        );
    }
    for (name, bytes) in [
        ("no document", &b""[..]),
        ("a document of 2^63 bytes", b"\x84\x5b\x80\0\0\0\0\0\0\0"),
        ("a document nested deeply", &[0x81; 10_000]),
    ] {
        cases.push(Case::new(name, &["attest", "verify", "d.cbor"], 3, "REFUSED").file("d.cbor", bytes));
    }
    cases
}

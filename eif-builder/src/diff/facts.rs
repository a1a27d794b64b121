//! What is compared value by value: registers, header, command line, metadata, signature.

use std::collections::BTreeMap;

use eif::{Measurements, Pcr, SectionKind, Signature};
use serde_json::Value;

use super::{Change, DiffError, Register, Side};
use crate::cpio_read::printable;
use crate::sign::certificate::SigningCertificate;

/// Longest command line that is compared word by word; the kernel takes 2048 bytes.
const MAX_CMDLINE_BYTES: u64 = 64 * 1024;
/// Longest metadata that is compared key by key.
const MAX_METADATA_BYTES: u64 = 1024 * 1024;
/// Most changes that are listed of one section.
const MAX_CHANGES: usize = 1000;
/// What stands for a value that is not there.
const ABSENT: &str = "-";

pub(super) fn registers(a: &Measurements, b: &Measurements) -> Vec<Register> {
    let text = |pcr: Option<Pcr>| pcr.map_or_else(|| ABSENT.to_owned(), |pcr| pcr.to_string());
    let pairs = [
        ("PCR0", Some(a.pcr0), Some(b.pcr0)),
        ("PCR1", Some(a.pcr1), Some(b.pcr1)),
        ("PCR2", Some(a.pcr2), Some(b.pcr2)),
        ("PCR8", a.pcr8, b.pcr8),
    ];
    let register = |(name, a, b)| Register {
        name,
        same: a == b,
        a: text(a),
        b: text(b),
    };
    pairs.into_iter().map(register).collect()
}

pub(super) fn header(a: &Side<'_>, b: &Side<'_>) -> Vec<Change> {
    let (of_a, of_b) = (a.image.header(), b.image.header());
    let order = |side: &Side<'_>| {
        let kinds = side.image.sections().iter().map(|section| section.kind);
        kinds.map(SectionKind::name).collect::<Vec<_>>().join(" ")
    };
    let crc = |side: &Side<'_>| {
        let (stored, computed) = (side.image.header().crc, side.measured.crc);
        if stored == computed {
            "right".to_owned()
        } else {
            format!("WRONG ({stored:08x})")
        }
    };
    let changes = [
        Change::of("version", of_a.version, of_b.version),
        Change::of("architecture", of_a.architecture.name(), of_b.architecture.name()),
        Change::of("default memory", of_a.default_mem, of_b.default_mem),
        Change::of("default CPUs", of_a.default_cpus, of_b.default_cpus),
        Change::of("order of sections", order(a), order(b)),
        Change::of("CRC", crc(a), crc(b)),
    ];
    changes.into_iter().flatten().collect()
}

/// Words that only one of them has, or another order.
pub(super) fn cmdline(
    a: &mut Side<'_>,
    at_a: usize,
    b: &mut Side<'_>,
    at_b: usize,
) -> Result<Vec<Change>, DiffError> {
    let of_a = printable(&a.bytes(at_a, MAX_CMDLINE_BYTES)?);
    let of_b = printable(&b.bytes(at_b, MAX_CMDLINE_BYTES)?);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (words_a, words_b) = (words(&of_a), words(&of_b));
    let mut changes = Vec::new();
    let only_a = words_a.iter().filter(|word| !words_b.contains(word));
    changes.extend(only_a.filter_map(|word| Change::of("word", word, ABSENT)));
    let only_b = words_b.iter().filter(|word| !words_a.contains(word));
    changes.extend(only_b.filter_map(|word| Change::of("word", ABSENT, word)));
    if changes.is_empty() {
        changes.extend(Change::of(
            "the same words in another order or spacing",
            of_a,
            of_b,
        ));
    }
    changes.truncate(MAX_CHANGES);
    Ok(changes)
}

/// Key by key where both are JSON.
pub(super) fn metadata(
    a: &mut Side<'_>,
    at_a: usize,
    b: &mut Side<'_>,
    at_b: usize,
) -> Result<Vec<Change>, DiffError> {
    let (of_a, of_b) = (
        a.bytes(at_a, MAX_METADATA_BYTES)?,
        b.bytes(at_b, MAX_METADATA_BYTES)?,
    );
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let (Some(json_a), Some(json_b)) = (parse(&of_a), parse(&of_b)) else {
        let state = |bytes: &[u8]| {
            if parse(bytes).is_some() {
                "JSON"
            } else {
                "not JSON"
            }
        };
        return Ok(Change::of("form", state(&of_a), state(&of_b))
            .into_iter()
            .collect());
    };
    let (mut leaves_a, mut leaves_b) = (BTreeMap::new(), BTreeMap::new());
    leaves(String::new(), &json_a, &mut leaves_a);
    leaves(String::new(), &json_b, &mut leaves_b);
    let keys: std::collections::BTreeSet<_> = leaves_a.keys().chain(leaves_b.keys()).collect();
    let value =
        |of: &BTreeMap<String, String>, key: &String| of.get(key).map_or(ABSENT, String::as_str).to_owned();
    let mut changes: Vec<_> = keys
        .into_iter()
        .filter_map(|key| Change::of(key, value(&leaves_a, key), value(&leaves_b, key)))
        .take(MAX_CHANGES)
        .collect();
    if changes.is_empty() {
        changes.push(Change {
            what: "the same values, written differently".to_owned(),
            a: format!("{} bytes", of_a.len()),
            b: format!("{} bytes", of_b.len()),
        });
    }
    Ok(changes)
}

/// Every value that holds no other, by its path.
fn leaves(path: String, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                let key = printable(key.as_bytes());
                let below = if path.is_empty() {
                    key
                } else {
                    format!("{path}.{key}")
                };
                leaves(below, member, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                leaves(format!("{path}[{index}]"), item, out);
            }
        }
        leaf => {
            out.insert(path, printable(leaf.to_string().as_bytes()));
        }
    }
}

/// One property of a certificate, as text.
type Show = fn(&SigningCertificate) -> String;

/// Whose signature it is, and until when.
pub(super) fn signature(a: &Side<'_>, b: &Side<'_>) -> Vec<Change> {
    let (of_a, of_b) = (a.image.signature(), b.image.signature());
    let count = |signature: Option<&Signature>| signature.map_or(0, |s| s.signatures().len());
    let mut changes: Vec<_> = Change::of("signatures", count(of_a), count(of_b))
        .into_iter()
        .collect();
    let certificate = |signature: Option<&Signature>| {
        let first = signature.map(Signature::signatures).and_then(<[_]>::first);
        first.and_then(|first| SigningCertificate::from_pem(&first.certificate_pem).ok())
    };
    let (of_a, of_b) = (certificate(of_a), certificate(of_b));
    let value = |certificate: &Option<SigningCertificate>, show: Show| {
        certificate.as_ref().map_or_else(|| ABSENT.to_owned(), show)
    };
    let shown: [(&str, Show); 5] = [
        ("certificate, SHA-256", |c| c.sha256.to_string()),
        ("subject", |c| c.subject.clone()),
        ("valid from", |c| c.not_before.to_string()),
        ("valid to", |c| c.not_after.to_string()),
        ("algorithm", |c| c.algorithm.name().to_owned()),
    ];
    changes.extend(
        shown
            .into_iter()
            .filter_map(|(what, show)| Change::of(what, value(&of_a, show), value(&of_b, show))),
    );
    if changes.is_empty() {
        changes.push(Change {
            what: "the signature's bytes alone: signing twice gives two signatures, or PCR0 differs"
                .to_owned(),
            a: "one".to_owned(),
            b: "another".to_owned(),
        });
    }
    changes
}

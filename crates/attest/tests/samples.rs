//! Every row of the sample manifests: accepted, or refused with the error that names its fault.
#![expect(clippy::panic, reason = "tests")]

mod support;

use attest::chain::{ChainError, Position};
use attest::{CertError, CoseError, DocError, Field, Moment, Part, Policy, UnixMs, VerifyError, verify};
use support::{Row, data, manifest, root};

/// Whether `error` is the one that names the fault with this code of the manifests.
fn names(code: &str, error: &VerifyError) -> bool {
    match error {
        VerifyError::Envelope(error) => code == envelope_code(error),
        VerifyError::Payload(DocError::Missing { field }) => code == format!("missing-{field}"),
        VerifyError::Payload(error) => code == payload_code(error),
        VerifyError::Chain(error) => code == chain_code(error) || code == "chain",
        VerifyError::Signature => code == "cose-signature",
        _ => false,
    }
}

fn envelope_code(error: &CoseError) -> &'static str {
    match error {
        CoseError::Cbor {
            part: Part::Document, ..
        } => "cose-cbor",
        CoseError::Cbor {
            part: Part::Protected,
            ..
        } => "protected-cbor",
        CoseError::Tag { .. } => "cose-tag",
        CoseError::ElementCount { .. } | CoseError::NotArray { .. } => "cose-shape",
        CoseError::WrongType { .. } => "cose-types",
        CoseError::Algorithm { .. } => "protected-alg",
        CoseError::SignatureLength { .. } => "signature-length",
        other => panic!("no row has {other:?}"),
    }
}

fn payload_code(error: &DocError) -> &'static str {
    match error {
        DocError::Cbor(_) => "payload-cbor",
        DocError::NotMap { .. } => "payload-map",
        DocError::Digest => "digest",
        DocError::Timestamp
        | DocError::WrongType {
            field: Field::Timestamp,
            ..
        } => "timestamp",
        DocError::PcrCount { .. }
        | DocError::WrongType {
            field: Field::Pcrs, ..
        } => "pcrs",
        DocError::PcrIndex { .. } => "pcr-index",
        DocError::Length {
            field: Field::Pcrs, ..
        } => "pcr-length",
        DocError::BundleCount { .. } => "cabundle",
        DocError::Length {
            field: Field::Cabundle,
            ..
        } => "cabundle-entry",
        DocError::Length {
            field: Field::UserData,
            ..
        } => "user_data-size",
        other => panic!("no row has {other:?}"),
    }
}

fn chain_code(error: &ChainError) -> &'static str {
    match error {
        ChainError::RootMismatch { .. } => "root-mismatch",
        ChainError::Time { .. } => "cert-time",
        ChainError::Certificate {
            source: CertError::SignatureAlgorithm { .. },
            ..
        } => "cert-sigalg",
        _ => "chain",
    }
}

/// Whether `error` is the one of this row; the code `chain` covers several faults.
fn chain_fault(file: &str, error: &ChainError) -> bool {
    use ChainError::{Certificate, Issuer, LeafIsCa, LeafUsage, PathLen, RootMismatch, Signature};
    let path_len = |n, below| PathLen {
        position: Position::Bundle(n),
        allowed: 0,
        below,
    };
    match file {
        "a03_cabundle_swap_0_3.cbor" => matches!(error, RootMismatch { .. }),
        "a04_cabundle_swap_1_2.cbor" => {
            *error
                == Issuer {
                    position: Position::Bundle(1),
                }
        }
        "a24_foreign_leaf.cbor" => {
            *error
                == Issuer {
                    position: Position::Leaf,
                }
        }
        "chain_region_pathlen_0.cbor" => *error == path_len(1, 2),
        "chain_zone_pathlen_0.cbor" => *error == path_len(2, 1),
        "chain_leaf_is_ca.cbor" => *error == LeafIsCa,
        "chain_leaf_no_digitalsignature.cbor" => *error == LeafUsage,
        "chain_leaf_no_keyusage.cbor" => matches!(
            error,
            Certificate {
                position: Position::Leaf,
                source: CertError::MissingExtension {
                    name: "key usage",
                    ..
                }
            }
        ),
        "chain_zone_wrong_issuer_name.cbor" => {
            *error
                == Issuer {
                    position: Position::Bundle(2),
                }
        }
        "chain_true_root_forged_rest.cbor" => {
            *error
                == Signature {
                    position: Position::Bundle(1),
                }
        }
        other => panic!("no fault is known for {other}"),
    }
}

/// The rows that leave a choice, as ADR 5 decides them: `None` is accepted, else the error.
fn decided(file: &str) -> Option<fn(&VerifyError) -> bool> {
    match file {
        "a90_unprotected_nonempty.cbor" => {
            Some(|e| *e == VerifyError::Envelope(CoseError::UnprotectedNotEmpty))
        }
        "a91_outer_indefinite.cbor" | "nonce_1024.cbor" | "protected_indefinite.cbor" => None,
        "a93_nonminimal_ok.cbor" => Some(|e| names("cose-cbor", e)),
        "chain_root_twice.cbor" => Some(|e| {
            *e == VerifyError::Chain(ChainError::SelfIssued {
                position: Position::Bundle(1),
            })
        }),
        other => panic!("ADR 5 does not decide {other}"),
    }
}

fn check(row: &Row) {
    let document = data(&row.file);
    let name = row.file.rsplit('/').next().unwrap_or_default();
    let root = root(&row.root);
    let moment = Moment::Now(UnixMs::new(row.at_ms));
    let result = verify(&document, &root, moment, &Policy::new().allow_debug());
    let context = format!("{} at {}: {}: {result:?}", row.file, row.at_ms, row.note);
    match (row.expect.as_str(), &result) {
        ("accept", Ok(_)) => {}
        ("reject", Err(error)) => {
            assert!(names(&row.code, error), "{context}");
            if row.code == "chain" {
                let VerifyError::Chain(error) = error else {
                    panic!("{context}")
                };
                assert!(chain_fault(name, error), "{context}");
            }
        }
        ("either", result) => match (decided(name), result) {
            (None, Ok(_)) => {}
            (Some(expected), Err(error)) => assert!(expected(error), "{context}"),
            _ => panic!("{context}"),
        },
        _ => panic!("{context}"),
    }
}

#[test]
fn nitro() {
    let rows = manifest("nitro");
    assert_eq!(rows.len(), 56);
    rows.iter().for_each(check);
}

#[test]
fn synthetic() {
    let rows = manifest("synthetic");
    assert_eq!(rows.len(), 52);
    rows.iter().for_each(check);
}

/// No sample lies beside the manifests unasserted.
#[test]
fn every_file_has_a_row() {
    for folder in ["nitro", "synthetic"] {
        let rows = manifest(folder);
        for kind in ["valid", "invalid"] {
            let path = format!("{}/tests/data/{folder}/{kind}", env!("CARGO_MANIFEST_DIR"));
            #[expect(clippy::disallowed_methods, reason = "the order does not matter here")]
            let entries = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            for entry in entries {
                let name = entry.map(|entry| entry.file_name()).unwrap_or_default();
                let file = format!("{folder}/{kind}/{}", name.to_string_lossy());
                assert!(rows.iter().any(|row| row.file == file), "{file} has no row");
            }
        }
    }
}

/// The genuine production documents need no leave for debug mode; the debug ones do.
#[test]
fn debug_documents_are_refused_by_default() {
    for row in manifest("nitro").iter().filter(|row| row.expect == "accept") {
        let document = data(&row.file);
        let moment = Moment::Now(UnixMs::new(row.at_ms));
        let result = verify(&document, &root(&row.root), moment, &Policy::new());
        if row.file.contains("debug") {
            let refused = VerifyError::Policy(attest::PolicyError::Debug);
            assert!(result.is_err_and(|error| error == refused), "{}", row.file);
        } else {
            assert!(result.is_ok_and(|doc| !doc.claims().is_debug()), "{}", row.file);
        }
    }
}

//! Jobs and outcomes: there and back, bounded, and without secrets in their debug text.

use super::*;
use crate::answer::ItemCode;
use crate::config::RawConfig;

fn config() -> DeploymentConfig {
    let raw: RawConfig = serde_json::from_str(
        r#"{"schema":1,"region":"eu-central-1","kms_key_arn":"arn:aws:kms:eu-central-1:111122223333:key/12345678-0000-4000-8000-00000000000b",
        "stacks":["0f9e8d7c-0000-4000-8000-00000000000a"],"network":"mainnet","client_authentication":"known-clients",
        "slashing_store":{"kind":"memory"},"outbound":[],"artefact_versions":{"tls_key":0,"clients":0,"slashing_credential":0}}"#,
    )
    .unwrap();
    raw.try_into().unwrap()
}

fn sealed() -> Sealed {
    Sealed {
        kind: Kind::ValidatorKey,
        index: 3,
        ciphertext: "AAAA".parse().unwrap(),
        binding: Binding::Bound {
            stack: "0f9e8d7c-0000-4000-8000-00000000000a".parse().unwrap(),
            pubkey: Some("ab".repeat(48).parse().unwrap()),
        },
    }
}

fn credential() -> Credential {
    Credential::new(
        "AKIAIDIDID".to_owned(),
        "planted/secret".to_owned(),
        String::new(),
    )
    .unwrap()
}

fn jobs() -> Vec<Job> {
    let legacy = Sealed {
        kind: Kind::TlsKey,
        binding: Binding::None {},
        ..sealed()
    };
    let works = [
        Work::Init {
            credential: credential(),
            artefacts: vec![sealed(), legacy],
        },
        Work::AddKeys {
            credential: credential(),
            artefacts: vec![sealed()],
        },
        Work::SetClients {
            credential: credential(),
            artefact: sealed(),
        },
        Work::RemoveKeys {
            public_keys: vec!["ab".repeat(48).parse().unwrap()],
        },
        Work::Rollback,
        Work::Recover,
    ];
    works
        .into_iter()
        .map(|work| Job {
            config: (work != Work::Recover).then(|| Box::new(config())),
            work,
        })
        .collect()
}

fn state() -> State {
    State {
        config: config(),
        public_keys: vec!["ab".repeat(48).parse().unwrap()],
        tls: TlsCertificate {
            certificate: "MIIB".parse().unwrap(),
            sha256: "01".repeat(32).parse().unwrap(),
            public_key_sha256: "02".repeat(32).parse().unwrap(),
            not_after_unix_s: 1_900_000_000,
        },
        artefact_versions: ArtefactVersions::default(),
        health: HealthClient {
            certificate: "MIIC".parse().unwrap(),
            private_key: Zeroizing::new("cGxhbnRlZA==".to_owned()),
        },
    }
}

#[test]
fn jobs_and_outcomes_go_there_and_back() {
    for job in jobs() {
        let bytes = frame(&job, MAX_JOB_BYTES).unwrap();
        let (prefix, rest) = bytes.split_first_chunk().unwrap();
        assert_eq!(length(*prefix, MAX_JOB_BYTES).unwrap(), rest.len());
        assert_eq!(content::<Job>(rest).unwrap(), job);
        let text = std::str::from_utf8(rest).unwrap();
        assert!(
            text.contains(&format!("\"mode\":\"{}\"", job.work.name())),
            "{text}"
        );
        for cut in 0..rest.len() {
            assert!(
                matches!(content::<Job>(&rest[..cut]), Err(FrameError::Form { .. })),
                "{cut}"
            );
        }
    }
    let item = Item {
        kind: Kind::ValidatorKey,
        index: 3,
        pubkey: None,
        code: ItemCode::Keystore,
    };
    let outcomes = [
        Outcome::Done {
            items: vec![item.clone()],
            state: Some(Box::new(state())),
        },
        Outcome::Done {
            items: Vec::new(),
            state: None,
        },
        Outcome::Refused {
            refusal: Refusal {
                error: "items-failed: 1 of 2".to_owned(),
                items: vec![item],
                failed: 1,
            },
        },
    ];
    for outcome in outcomes {
        let bytes = frame(&outcome, MAX_OUTCOME_BYTES).unwrap();
        assert_eq!(content::<Outcome>(&bytes[PREFIX_BYTES..]).unwrap(), outcome);
    }
}

#[test]
fn lengths_are_bounded_both_ways() {
    assert_eq!(length([0, 0, 1, 0], 256).unwrap(), 256);
    for (prefix, most) in [([0; 4], 256), ([0, 0, 1, 1], 256), ([255; 4], MAX_JOB_BYTES)] {
        assert!(
            matches!(length(prefix, most), Err(FrameError::Length { .. })),
            "{prefix:?}"
        );
    }
    assert!(matches!(
        frame(&"12345678", 9),
        Err(FrameError::Length { found: 10, most: 9 })
    ));
    assert_eq!(frame(&"12345678", 10).unwrap().len(), 14);
}

#[test]
fn unknown_words_are_refused() {
    for bad in [
        r#"{"work":{"mode":"recover"},"x":1}"#,
        r#"{"work":{"mode":"erase"}}"#,
        r#"{"work":{"mode":"remove-keys"}}"#,
        r#"{"work":{"mode":"recover"}} {}"#,
    ] {
        assert!(
            matches!(content::<Job>(bad.as_bytes()), Err(FrameError::Form { .. })),
            "{bad}"
        );
    }
}

#[test]
fn secrets_are_not_shown() {
    for job in jobs() {
        assert!(!format!("{job:?}").contains("planted"), "{job:?}");
    }
    assert!(!format!("{:?}", state()).contains("cGxhbnRlZA"), "{:?}", state());
}

#[test]
fn a_full_enclave_fits() {
    let mut full = state();
    full.public_keys = (0..crate::MAX_KEYS)
        .map(|n| format!("{n:096x}").parse().unwrap())
        .collect();
    let outcome = Outcome::Done {
        items: Vec::new(),
        state: Some(Box::new(full)),
    };
    assert!(frame(&outcome, MAX_OUTCOME_BYTES).unwrap().len() > 1_600_000);
}

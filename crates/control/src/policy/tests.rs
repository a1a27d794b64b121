//! The image policy: its one text, and what is refused.

use super::*;
use crate::config::RawConfig;

fn policy() -> ImagePolicy {
    ImagePolicy {
        schema: SCHEMA,
        trust: Trust::default(),
        deployment: None,
        signer: Signer::default(),
        users: Users {
            agent: 101,
            signer: Some(102),
        },
    }
}

fn config(clients: &str, store: &str) -> DeploymentConfig {
    let text = format!(
        r#"{{"schema":1,"region":"eu-central-1","kms_key_arn":"arn:aws:kms:eu-central-1:111122223333:key/12345678-0000-4000-8000-00000000000b",
        "stacks":["0f9e8d7c-0000-4000-8000-00000000000a"],"network":"mainnet","client_authentication":"{clients}",
        "slashing_store":{store},"outbound":[{{"name":"db.example.org","port":5432,"vsock_port":8001}}],
        "artefact_versions":{{"tls_key":0,"clients":0,"slashing_credential":0}}}}"#
    );
    serde_json::from_str::<RawConfig>(&text)
        .unwrap()
        .try_into()
        .unwrap()
}

const STORE: &str = r#"{"kind":"postgresql","host":"db.example.org","port":5432,"database":"signer"}"#;
const MEMORY: &str = r#"{"kind":"memory"}"#;

#[test]
fn the_text_is_fixed_and_read_back() {
    let text = policy().canonical().unwrap();
    assert_eq!(
        text,
        r#"{"schema":1,"signer":{"distribution":"native","start_within_s":120,"upcheck_every_s":5,"upcheck_within_s":3},"trust":{"allow_any_client":false,"legacy_no_context":false,"memory_slashing":false},"users":{"agent":101,"signer":102}}"#
    );
    assert_eq!(ImagePolicy::parse(text.as_bytes()).unwrap(), policy());
    let full = ImagePolicy {
        trust: Trust {
            allow_any_client: true,
            memory_slashing: true,
            legacy_no_context: true,
            kms_ca: vec!["MIIB".parse().unwrap()],
        },
        deployment: Some(Box::new(config("any-client", MEMORY))),
        ..policy()
    };
    let text = full.canonical().unwrap();
    assert_eq!(ImagePolicy::parse(text.as_bytes()).unwrap(), full);
    assert_eq!(
        full.trust.weakened(),
        [
            "allow_any_client",
            "kms_ca",
            "legacy_no_context",
            "memory_slashing",
        ]
    );
    assert!(policy().trust.weakened().is_empty());
}

#[test]
fn other_texts_are_refused() {
    let good = policy().canonical().unwrap();
    for cut in 0..good.len() {
        let parsed = ImagePolicy::parse(&good.as_bytes()[..cut]);
        assert!(matches!(parsed, Err(PolicyError::Form { .. })), "{cut}");
    }
    let refused = |text: &str| ImagePolicy::parse(text.as_bytes()).unwrap_err();
    assert_eq!(refused(&format!("{good}\n")), PolicyError::NotCanonical);
    assert_eq!(
        refused(&good.replace(r#","memory_slashing":false"#, "")),
        PolicyError::NotCanonical
    );
    assert_eq!(
        refused(&good.replace(r#""schema":1"#, r#""schema":2"#)),
        PolicyError::Schema { found: 2 }
    );
    for (from, to) in [
        (r#""schema":1"#, r#""schema":1,"x":1"#),
        (
            r#""memory_slashing":false"#,
            r#""memory_slashing":false,"trust_all":true"#,
        ),
        (r#""native""#, r#""other""#),
        (r#""signer":102"#, r#""signer":null,"root":0"#),
    ] {
        assert!(
            matches!(refused(&good.replace(from, to)), PolicyError::Form { .. }),
            "{to}"
        );
    }
    for (from, to) in [
        ("120", "0"),
        ("120", "601"),
        (r#"within_s":3"#, r#"within_s":61"#),
        ("101", "0"),
        ("102", "101"),
        ("102", "4294967295"),
    ] {
        assert!(
            matches!(refused(&good.replace(from, to)), PolicyError::Value { .. }),
            "{to}"
        );
    }
    let long = vec![b' '; MAX_BYTES + 1];
    assert!(matches!(
        ImagePolicy::parse(&long),
        Err(PolicyError::TooLong { .. })
    ));
}

#[test]
fn a_config_may_only_ask_for_what_the_image_allows() {
    let open = |any, memory| ImagePolicy {
        trust: Trust {
            allow_any_client: any,
            memory_slashing: memory,
            ..Trust::default()
        },
        ..policy()
    };
    for (clients, store, any, memory, missing) in [
        ("known-clients", STORE, false, false, None),
        ("client-ca", STORE, false, false, None),
        ("any-client", STORE, false, true, Some("allow_any_client")),
        ("any-client", STORE, true, false, None),
        ("known-clients", MEMORY, true, false, Some("memory_slashing")),
        ("known-clients", MEMORY, false, true, None),
        ("any-client", MEMORY, true, true, None),
    ] {
        let image = open(any, memory);
        let config = config(clients, store);
        let found = image.allows(&config).err().map(|refused| refused.key);
        assert_eq!(found, missing, "{clients} {store}");
        let with = ImagePolicy {
            deployment: Some(Box::new(config)),
            ..image
        };
        assert_eq!(with.check().is_err(), missing.is_some(), "{clients} {store}");
    }
}

//! The networks: known by name, from a configuration file, and with fork epochs of one's own.
#![expect(clippy::unreadable_literal, reason = "written as the sources write them")]
#![expect(clippy::panic, reason = "helpers of tests do not count as tests")]

use std::fmt::Write as _;

use web3signer_rs::consensus::network::{ConfigError, MAX_CONFIG_LEN, NEVER};
use web3signer_rs::consensus::{Fork, Network, NetworkError};

/// What the sources say, written a second time: name, slots per epoch, genesis version, epochs since Altair.
const FACTS: [(&str, u64, &str, [u64; 7]); 10] = [
    (
        "mainnet",
        32,
        "00000000",
        [74240, 144896, 194048, 269568, 364032, 411392, NEVER],
    ),
    (
        "sepolia",
        32,
        "90000069",
        [50, 100, 56832, 132608, 222464, 272640, 353024],
    ),
    (
        "holesky",
        32,
        "01017000",
        [0, 0, 256, 29696, 115968, 165120, NEVER],
    ),
    ("hoodi", 32, "10000910", [0, 0, 0, 0, 2048, 50688, NEVER]),
    (
        "gnosis",
        16,
        "00000064",
        [512, 385536, 648704, 889856, 1337856, 1714688, NEVER],
    ),
    (
        "chiado",
        16,
        "0000006f",
        [90, 180, 244224, 516608, 948224, 1353216, NEVER],
    ),
    (
        "lukso",
        32,
        "42000001",
        [0, 0, 8100, 123075, 190800, NEVER, NEVER],
    ),
    ("minimal", 8, "00000001", [NEVER; 7]),
    (
        "swift",
        4,
        "00000001",
        [0, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER],
    ),
    (
        "less-swift",
        4,
        "00000001",
        [0, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER],
    ),
];

#[test]
fn every_known_network_has_the_facts_of_the_sources() {
    assert_eq!(Network::names().collect::<Vec<_>>(), FACTS.map(|(name, ..)| name));
    for (name, slots, genesis, epochs) in FACTS {
        let network = Network::from_option(&name.to_uppercase()).unwrap();
        assert_eq!(network.name(), name);
        assert_eq!(network.slots_per_epoch(), slots, "{name}");
        assert_eq!(hex::encode(network.genesis_fork_version()), genesis, "{name}");
        assert_eq!(network.fork_epoch(Fork::Phase0), Some(0), "{name}");
        for (fork, epoch) in Fork::ALL.into_iter().skip(1).zip(epochs) {
            assert_eq!(
                network.fork_epoch(fork),
                Some(epoch).filter(|epoch| *epoch != NEVER),
                "{name} {fork:?}"
            );
            if epoch != NEVER {
                assert!(network.fork_at_slot(epoch * slots) >= fork, "{name} {fork:?}");
                assert!(
                    epoch == 0 || network.fork_at_slot(epoch * slots - 1) < fork,
                    "{name} {fork:?}"
                );
            }
        }
        let last = Fork::ALL
            .into_iter()
            .rfind(|fork| network.fork_epoch(*fork).is_some())
            .unwrap();
        assert_eq!(network.fork_at_epoch(u64::MAX), last, "{name}");
        assert_eq!(network.epoch_of(u64::MAX), u64::MAX / slots, "{name}");
    }
}

/// The roots that the requests of the shared vectors carry for their networks.
#[test]
fn genesis_validators_roots_are_those_of_the_vectors() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("data/sign/computed_other_networks.json")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for case in file["cases"].as_array().unwrap() {
        let Some(root) = case["request"]["fork_info"]["genesis_validators_root"].as_str() else {
            continue;
        };
        let name = case["network"].as_str().unwrap();
        let known = Network::from_option(name)
            .unwrap()
            .genesis_validators_root()
            .unwrap();
        assert_eq!(format!("0x{}", hex::encode(known)), root, "{name}");
        seen.insert(name);
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["gnosis", "holesky", "hoodi", "sepolia"]
    );
    let known = |name| {
        Network::from_option(name)
            .unwrap()
            .genesis_validators_root()
            .map(hex::encode)
    };
    let mainnet = "4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95";
    assert_eq!(known("mainnet").as_deref(), Some(mainnet));
    for unknown in ["lukso", "minimal", "swift", "less-swift"] {
        assert_eq!(known(unknown), None, "{unknown}");
    }
}

#[test]
fn other_names_are_refused_with_the_reason() {
    assert!(matches!(
        Network::from_option("ephemery"),
        Err(NetworkError::Ephemery)
    ));
    for url in [
        "https://example.org/config.yaml",
        "HTTP://x",
        "file:///etc/config.yaml",
    ] {
        assert!(
            matches!(Network::from_option(url), Err(NetworkError::Url { .. })),
            "{url}"
        );
    }
    for unknown in ["", "goerli", "main net", "mainnet ", "/no/such/file", "/"] {
        let error = Network::from_option(unknown).unwrap_err();
        assert!(
            matches!(error, NetworkError::Unknown { .. }),
            "{unknown}: {error:?}"
        );
    }
}

#[test]
fn fork_epochs_can_be_replaced_in_order_only() {
    let minimal = || Network::from_option("minimal").unwrap();
    let network = minimal()
        .with_fork_epochs([(Fork::Altair, 0), (Fork::Bellatrix, 5), (Fork::Altair, 5)])
        .unwrap();
    assert_eq!(network.fork_at_epoch(4), Fork::Phase0);
    assert_eq!(network.fork_at_epoch(5), Fork::Bellatrix);
    let error = minimal().with_fork_epochs([(Fork::Electra, 0)]).unwrap_err();
    assert!(
        error.to_string().contains("ELECTRA at epoch 0 is before DENEB"),
        "{error}"
    );
    assert!(matches!(
        minimal().with_fork_epochs([(Fork::Phase0, 1)]),
        Err(NetworkError::Genesis { epoch: 1, .. })
    ));
    let mainnet = || Network::from_option("mainnet").unwrap();
    mainnet().with_fork_epochs([(Fork::Capella, NEVER)]).unwrap_err();
    let without = mainnet().with_fork_epochs([(Fork::Fulu, NEVER)]).unwrap();
    assert_eq!(without.fork_at_epoch(u64::MAX), Fork::Electra);
}

fn config(extra: &str) -> String {
    format!(
        "# a test network\nPRESET_BASE: 'minimal'\nCONFIG_NAME: 'own'\n\
         TERMINAL_TOTAL_DIFFICULTY: 115792089237316195423570985008687907853269984665640564039457584007913129638912\n\
         GENESIS_FORK_VERSION: 0x00000101\nALTAIR_FORK_VERSION: 0x01000101\nALTAIR_FORK_EPOCH: 0\n\
         BELLATRIX_FORK_EPOCH: 3\nCAPELLA_FORK_VERSION: \"0x03000101\"\nCAPELLA_FORK_EPOCH: '4'\n\
         ELECTRA_FORK_EPOCH: 18446744073709551615\nSLOTS_PER_EPOCH: 8\nBLOB_SCHEDULE:\n  - EPOCH: 1\n    MAX_BLOBS_PER_BLOCK: 12\n{extra}"
    )
}

fn config_error(text: &str) -> ConfigError {
    match Network::from_config(text.as_bytes()) {
        Err(NetworkError::Config { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_configuration_file_makes_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, config("")).unwrap();
    let network = Network::from_option(path.to_str().unwrap()).unwrap();
    assert_eq!(network.name(), "own");
    assert_eq!(network.slots_per_epoch(), 8);
    assert_eq!(network.genesis_fork_version(), [0, 0, 1, 1]);
    assert_eq!(network.fork_at_epoch(3), Fork::Bellatrix);
    assert_eq!(network.fork_epoch(Fork::Capella), Some(4));
    assert_eq!(network.fork_epoch(Fork::Electra), None);
    assert_eq!(network.genesis_validators_root(), None);
    for (base, slots) in [("mainnet", 32), ("gnosis", 16), ("swift", 4)] {
        let text = config("")
            .replace("minimal", base)
            .replace("SLOTS_PER_EPOCH: 8", &format!("SLOTS_PER_EPOCH: {slots}"));
        assert_eq!(
            Network::from_config(text.as_bytes()).unwrap().slots_per_epoch(),
            slots,
            "{base}"
        );
    }
    std::fs::write(&path, config("PRESET_BASE: mainnet\n")).unwrap();
    let error = Network::from_option(path.to_str().unwrap()).unwrap_err();
    assert!(
        matches!(&error, NetworkError::Config { path: named, source: ConfigError::Yaml { .. } } if *named == path),
        "{error:?}"
    );
}

#[test]
fn a_configuration_that_is_not_understood_is_refused() {
    for key in ["PRESET_BASE", "GENESIS_FORK_VERSION", "CAPELLA_FORK_VERSION"] {
        let text = config("").replace(key, "OTHER");
        assert!(
            matches!(config_error(&text), ConfigError::Missing { key: missing } if missing == key),
            "{key}"
        );
    }
    assert!(matches!(
        config_error(&config("").replace("minimal", "huge")),
        ConfigError::Preset { .. }
    ));
    for (from, to) in [
        ("0x00000101", "0x000001"),
        ("0x00000101", "257"),
        ("0x00000101", "0x0000000101"),
        ("0x00000101", "0xzz000101"),
        ("ALTAIR_FORK_EPOCH: 0", "ALTAIR_FORK_EPOCH: -1"),
        ("ALTAIR_FORK_EPOCH: 0", "ALTAIR_FORK_EPOCH: 0x10"),
        ("ALTAIR_FORK_EPOCH: 0", "ALTAIR_FORK_EPOCH: 18446744073709551616"),
        ("ALTAIR_FORK_EPOCH: 0", "ALTAIR_FORK_EPOCH: 1_0"),
    ] {
        let error = config_error(&config("").replacen(from, to, 1));
        assert!(matches!(error, ConfigError::Value { .. }), "{to}: {error}");
    }
    for (key, value) in [
        ("MAX_COMMITTEES_PER_SLOT", 64),
        ("SYNC_COMMITTEE_SIZE", 512),
        ("MAX_ATTESTATIONS", 8),
    ] {
        let error = config_error(&config(&format!("{key}: {value}\n")));
        assert!(
            matches!(error, ConfigError::Differs { actual, .. } if actual == value),
            "{key}: {error}"
        );
    }
    assert!(matches!(
        config_error(&config("HEZE_FORK_EPOCH: 7\n")),
        ConfigError::Fork { epoch: 7, .. }
    ));
    Network::from_config(
        config("HEZE_FORK_EPOCH: 18446744073709551615\nMAX_COMMITTEES_PER_SLOT: 4\n").as_bytes(),
    )
    .unwrap();
    let order = Network::from_config(
        config("")
            .replace("BELLATRIX_FORK_EPOCH: 3", "BELLATRIX_FORK_EPOCH: 5")
            .as_bytes(),
    );
    assert!(matches!(
        order,
        Err(NetworkError::Order {
            fork: Fork::Capella,
            ..
        })
    ));
}

#[test]
fn yaml_of_other_shapes_is_refused() {
    for text in [
        "",
        "- a\n- b\n",
        "just text",
        "a: [",
        "\u{0}",
        "PRESET_BASE: [minimal]\n",
        "PRESET_BASE: {a: b}\n",
        "? [a]\n: b\n",
    ] {
        assert!(
            matches!(
                Network::from_config(text.as_bytes()),
                Err(NetworkError::Config { .. })
            ),
            "{text:?}"
        );
    }
    Network::from_config(b"PRESET_BASE: \xff\n").unwrap_err();
    let long = config(&"# padding\n".repeat(MAX_CONFIG_LEN / 10));
    assert!(matches!(config_error(&long), ConfigError::TooLong));
    // Aliases cannot grow: nothing that they could fill is kept.
    let mut bomb = config("");
    bomb.push_str("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(",");
        writeln!(bomb, "a{level}: &a{level} [{items}]").unwrap();
    }
    Network::from_config(bomb.as_bytes()).unwrap_err();
    let whole = config("");
    for length in 0..whole.len() {
        // A cut file is refused or, cut between two lines, a shorter configuration; it never panics.
        if let Ok(network) = Network::from_config(&whole.as_bytes()[..length]) {
            assert_eq!(network.genesis_fork_version(), [0, 0, 1, 1]);
        }
    }
}

//! The interchange tests of EIP-3076 (eth-clients/slashing-protection-interchange-tests v5.3.0), run from where they are:
//! `../shared/vectors` beside the checkout, or the folder in `NITRO_TEST_VECTORS`. Their licence is not known, so they are no
//! part of this repository. Where they are absent, the tests say so and check nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use web3signer_rs::duty::{Duty, Root};
use web3signer_rs::slashing::interchange::{History, Interchange};
use web3signer_rs::slashing::key::ValidatorKey;
use web3signer_rs::slashing::report::ImportError;
use web3signer_rs::slashing::{ImportBy, Protection};

use crate::support::{asked, permitted};

/// Which column of the tests a store must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Exactly what Web3Signer's own rules give, as `web3signer_rules_outcomes.json` has it.
    Complete,
    /// All that the minimal scheme signs, nothing that the complete one refuses; in between, only a repetition.
    Minimal,
}

#[derive(Deserialize)]
struct TestCase {
    name: String,
    genesis_validators_root: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    should_succeed: bool,
    interchange: Value,
    blocks: Vec<Ask>,
    attestations: Vec<Ask>,
}

#[derive(Deserialize)]
struct Ask {
    pubkey: String,
    slot: Option<String>,
    source_epoch: Option<String>,
    target_epoch: Option<String>,
    signing_root: Option<String>,
    should_succeed: bool,
    should_succeed_complete: bool,
}

impl Ask {
    fn duty(&self) -> Duty {
        let number = |text: &Option<String>| text.as_ref().unwrap().parse().unwrap();
        if self.slot.is_some() {
            Duty::Block {
                slot: number(&self.slot),
            }
        } else {
            Duty::Attestation {
                source: number(&self.source_epoch),
                target: number(&self.target_epoch),
            }
        }
    }
}

/// The folder `eip3076`, or `None` and a plain word about it.
fn folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = std::env::var_os("NITRO_TEST_VECTORS")
        .map_or(beside, PathBuf::from)
        .join("eip3076");
    if folder.join("generated").is_dir() {
        return Some(folder);
    }
    eprintln!(
        "NOT RUN: the EIP-3076 interchange tests are not at {} (set NITRO_TEST_VECTORS)",
        folder.display()
    );
    None
}

fn root(text: &str) -> Root {
    let mut root = [0; 32];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap(), &mut root).unwrap();
    root
}

/// Runs every file against a store of its own that `make` gives for a chain.
pub(crate) async fn run_all<S: AsyncFn(Root) -> Protection>(scheme: Scheme, make: S) {
    let Some(folder) = folder() else { return };
    let outcomes: Value =
        serde_json::from_slice(&std::fs::read(folder.join("web3signer_rules_outcomes.json")).unwrap())
            .unwrap();
    let outcomes = outcomes["tests"].as_array().unwrap();
    let (mut checks, mut between, mut wrong) = (0, 0, Vec::new());
    for outcome in outcomes {
        let name = outcome["name"].as_str().unwrap();
        let file = folder.join("generated").join(format!("{name}.json"));
        let case: TestCase = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(case.name, name);
        let genesis = root(&case.genesis_validators_root);
        let store = make(genesis).await;
        introduce(&store, &case, genesis).await;
        for (number, step) in case.steps.iter().enumerate() {
            let expected = &outcome["steps"][number];
            let place = format!("{name} step {number}");
            import(&store, step, &place).await;
            let asks = [("blocks", &step.blocks), ("attestations", &step.attestations)];
            for (kind, asks) in asks {
                for (index, ask) in asks.iter().enumerate() {
                    let signing_root = ask.signing_root.as_deref().map_or([0; 32], root);
                    let duty = asked(ask.duty(), signing_root, genesis);
                    let key = ask.pubkey.parse().unwrap();
                    let got = permitted(&store, &key, &duty).await;
                    checks += 1;
                    assert!(
                        !got || ask.should_succeed_complete,
                        "{place} {kind} {index} is slashable"
                    );
                    let right = match scheme {
                        Scheme::Complete => got == expected[kind][index].as_bool().unwrap(),
                        Scheme::Minimal => got || !ask.should_succeed,
                    };
                    if !right {
                        wrong.push(format!("{place} {kind} {index}: {duty:?} gave {got}"));
                    }
                    between += u32::from(got && !ask.should_succeed);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((outcomes.len(), checks), (38, 150));
    // 17 checks differ between the columns. Web3Signer permits 12 of them, the minimal scheme the repetitions among those.
    let expected = match scheme {
        Scheme::Complete => 12,
        Scheme::Minimal => MINIMAL_REPETITIONS,
    };
    assert_eq!(between, expected, "permitted between the two columns");
}

/// Checks that the minimal scheme permits because the very same duty is the newest on record.
const MINIMAL_REPETITIONS: u32 = 2;

/// Gives the store every key of the case. The tests sign with keys that no import has named, which is refused where an
/// absent record is a refusal: there an empty history is what the operator imports for a new validator.
async fn introduce(store: &Protection, case: &TestCase, genesis: Root) {
    let mut keys = BTreeSet::new();
    for step in &case.steps {
        for ask in step.blocks.iter().chain(&step.attestations) {
            keys.insert(ask.pubkey.parse::<ValidatorKey>().unwrap());
        }
    }
    let mut new = Interchange::empty(genesis);
    for key in &keys {
        new.validators.insert(*key, History::default());
    }
    store.import(&new, ImportBy::Operator).await.unwrap();
    let keys: Vec<_> = keys.into_iter().collect();
    let registration = store.register(&keys).await.unwrap();
    assert!(registration.unknown.is_empty() && registration.disabled.is_empty());
}

async fn import(store: &Protection, step: &Step, place: &str) {
    let interchange = Interchange::parse(&step.interchange.to_string()).unwrap();
    match store.import(&interchange, ImportBy::Operator).await {
        Ok(report) => {
            assert!(step.should_succeed, "{place}: imported");
            assert!(report.skipped.is_empty(), "{place}: {:?}", report.skipped);
        }
        Err(ImportError::GenesisValidatorsRoot { .. }) => {
            assert!(!step.should_succeed, "{place}: not imported");
        }
        Err(error) => panic!("{place}: {error}"),
    }
}

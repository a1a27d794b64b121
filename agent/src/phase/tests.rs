//! The bootstrap machine, as tables of steps.

use control::config::RawConfig;
use proptest::prelude::*;

use super::*;

fn config(network: &str) -> Box<DeploymentConfig> {
    let text = format!(
        r#"{{"schema":1,"region":"eu-central-1","kms_key_arn":"arn:aws:kms:eu-central-1:111122223333:key/12345678-0000-4000-8000-00000000000b",
        "stacks":["0f9e8d7c-0000-4000-8000-00000000000a"],"network":"{network}","client_authentication":"known-clients",
        "slashing_store":{{"kind":"memory"}},"outbound":[],"artefact_versions":{{"tls_key":0,"clients":0,"slashing_credential":0}}}}"#
    );
    Box::new(
        serde_json::from_str::<RawConfig>(&text)
            .unwrap()
            .try_into()
            .unwrap(),
    )
}

const OPEN: Register = Register {
    value: Pcr::ZERO,
    locked: false,
};

fn locked(value: Pcr) -> Register {
    Register { value, locked: true }
}

/// A step, and what it must give.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A config is offered; it is measured when that is asked for.
    Configure(&'static str, Result<Configure, Refused>),
    Begin(Result<(), Refused>),
    End(bool),
    Running(Result<(), Refused>),
    Phase(Phase),
    /// The agent is started again: only the register is left.
    Restart,
}

fn follow(first: Register, steps: &[Step]) {
    let mut machine = Machine::new(first);
    for (number, step) in steps.iter().enumerate() {
        let place = format!("step {number}: {step:?}");
        match *step {
            Step::Configure(network, expected) => {
                let config = config(network);
                let hash = ConfigHash::of(&config);
                assert_eq!(machine.configure(&hash), expected, "{place}");
                if expected == Ok(Configure::Measure) {
                    machine.measured(config, locked(hash.register())).unwrap();
                }
            }
            Step::Begin(expected) => {
                let begun = machine.begin_init().map(drop);
                assert_eq!(begun, expected, "{place}");
            }
            Step::End(done) => machine.end_init(done),
            Step::Running(expected) => assert_eq!(machine.running().map(drop), expected, "{place}"),
            Step::Phase(expected) => assert_eq!(machine.phase(), expected, "{place}"),
            Step::Restart => machine = Machine::new(machine.register()),
        }
    }
}

#[test]
fn the_good_way() {
    follow(
        OPEN,
        &[
            Step::Phase(Phase::Unconfigured),
            Step::Begin(Err(Refused::NotConfigured)),
            Step::Running(Err(Refused::NotInitialised)),
            Step::Configure("hoodi", Ok(Configure::Measure)),
            Step::Phase(Phase::Configured),
            Step::Configure("hoodi", Ok(Configure::Same)),
            Step::Running(Err(Refused::NotInitialised)),
            Step::Begin(Ok(())),
            Step::Phase(Phase::Initialising),
            Step::Begin(Err(Refused::Initialising)),
            Step::Running(Err(Refused::Initialising)),
            Step::Configure("mainnet", Err(Refused::Conflict)),
            Step::End(true),
            Step::Phase(Phase::Initialised),
            Step::Running(Ok(())),
            Step::Begin(Err(Refused::Initialised)),
            Step::End(false),
            Step::Phase(Phase::Initialised),
            Step::Configure("hoodi", Ok(Configure::Same)),
            Step::Configure("mainnet", Err(Refused::Conflict)),
        ],
    );
}

#[test]
fn after_a_failure_only_the_same_config_goes_on() {
    follow(
        OPEN,
        &[
            Step::Configure("hoodi", Ok(Configure::Measure)),
            Step::Begin(Ok(())),
            Step::End(false),
            Step::Phase(Phase::InitFailed),
            Step::Running(Err(Refused::NotInitialised)),
            Step::Configure("mainnet", Err(Refused::Conflict)),
            Step::Configure("hoodi", Ok(Configure::Same)),
            Step::Phase(Phase::InitFailed),
            Step::Begin(Ok(())),
            Step::End(true),
            Step::Phase(Phase::Initialised),
        ],
    );
}

#[test]
fn a_restarted_agent_believes_the_register_only() {
    for ends in [Step::End(true), Step::End(false)] {
        follow(
            OPEN,
            &[
                Step::Configure("hoodi", Ok(Configure::Measure)),
                Step::Begin(Ok(())),
                ends,
                Step::Restart,
                Step::Phase(Phase::Unconfigured),
                Step::Begin(Err(Refused::NotConfigured)),
                Step::Configure("mainnet", Err(Refused::Conflict)),
                Step::Configure("hoodi", Ok(Configure::Measure)),
                Step::Phase(Phase::Configured),
                Step::Begin(Ok(())),
                Step::End(true),
                Step::Phase(Phase::Initialised),
            ],
        );
    }
}

#[test]
fn registers_of_every_kind() {
    let hash = ConfigHash::of(&config("hoodi"));
    let other = ConfigHash::of(&config("mainnet"));
    let open = |value| Register { value, locked: false };
    for (register, expected) in [
        (OPEN, Ok(Configure::Measure)),
        (open(hash.register()), Ok(Configure::Measure)),
        (locked(hash.register()), Ok(Configure::Measure)),
        (locked(Pcr::ZERO), Err(Refused::Locked)),
        (open(other.register()), Err(Refused::Conflict)),
        (locked(other.register()), Err(Refused::Conflict)),
        (locked(Pcr([1; 48])), Err(Refused::Conflict)),
        // The hash itself is not the register that it is extended into.
        (locked(Pcr(*hash.bytes())), Err(Refused::Conflict)),
    ] {
        assert_eq!(Machine::new(register).configure(&hash), expected, "{register:?}");
    }
}

#[test]
fn a_measurement_that_did_not_take_changes_nothing() {
    let hash = ConfigHash::of(&config("hoodi"));
    for register in [
        OPEN,
        locked(Pcr::ZERO),
        Register {
            value: hash.register(),
            locked: false,
        },
        locked(ConfigHash::of(&config("mainnet")).register()),
    ] {
        let mut machine = Machine::new(OPEN);
        assert_eq!(
            machine.measured(config("hoodi"), register),
            Err(Refused::Conflict),
            "{register:?}"
        );
        assert_eq!(machine.phase(), Phase::Unconfigured);
    }
}

#[test]
fn the_registers_value_is_that_of_an_extension() {
    // Made with Python's hashlib from the canonical text. By hand: printf '%s' "$CANONICAL" | openssl dgst -sha384 -binary, twice, with 48 zero bytes before the second.
    let hash = ConfigHash::of(&config("hoodi"));
    let canonical = config("hoodi").canonical().unwrap();
    assert_eq!(hash.bytes(), &crate::measured::sha384(&[canonical.as_bytes()]));
    let mut before = [0; 96];
    before[48..].copy_from_slice(hash.bytes());
    assert_eq!(hash.register().0, crate::measured::sha384(&[&before]));
    assert_eq!(
        hash.register().to_string(),
        "a0f7a6d4e56031e36454836220ebfa354e196adb6d9791b6df5d176ef7156f3bd7e28342cd83252feff21ff09d371388"
    );
}

proptest! {
    /// Whatever is asked in whatever order: the first config that was measured stays, and only it is ever initialised.
    #[test]
    fn the_first_config_stays(steps in proptest::collection::vec(0_u8..7, 0..60)) {
        let mut machine = Machine::new(OPEN);
        let mut first = None;
        for step in steps {
            match step {
                0..=2 => {
                    let config = config(["hoodi", "mainnet", "gnosis"][usize::from(step)]);
                    let hash = ConfigHash::of(&config);
                    match machine.configure(&hash) {
                        Ok(Configure::Measure) => {
                            machine.measured(config, locked(hash.register())).unwrap();
                            prop_assert_eq!(*first.get_or_insert(hash), hash);
                        }
                        Ok(Configure::Same) => prop_assert_eq!(first, Some(hash)),
                        Err(refused) => {
                            prop_assert_eq!(refused, Refused::Conflict);
                            prop_assert_ne!(first, Some(hash));
                        }
                    }
                }
                3 => {
                    let before = machine.phase();
                    let ready = matches!(before, Phase::Configured | Phase::InitFailed);
                    let begun = machine.begin_init();
                    prop_assert_eq!(begun.is_ok(), ready);
                    if let Ok(config) = begun {
                        prop_assert_eq!(Some(config.hash), first);
                    } else {
                        prop_assert_eq!(machine.phase(), before);
                    }
                }
                4 | 5 => {
                    let before = machine.phase();
                    machine.end_init(step == 4);
                    if before != Phase::Initialising {
                        prop_assert_eq!(machine.phase(), before);
                    }
                }
                _ => machine = Machine::new(machine.register()),
            }
            let value = first.map_or(Pcr::ZERO, |hash| hash.register());
            prop_assert_eq!(machine.register().value, value);
            prop_assert_eq!(machine.is_initialised(), machine.running().is_ok());
        }
    }
}

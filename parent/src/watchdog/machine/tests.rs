//! The table of the machine, and what holds for every path through it.

use super::*;

const POLICY: Policy = Policy {
    can_configure: true,
    probes: 3,
    first_rest: Duration::from_secs(1),
    longest_rest: Duration::from_mins(1),
    keep: false,
};

const RESTING: Phase = Phase::Resting { running: false };
const RESTING_BESIDE: Phase = Phase::Resting { running: true };

fn at(phase: Phase) -> State {
    State::IDLE.to(phase)
}

/// `(phase, event) -> (phase, action)` from a state without failures.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_table() {
    let second = Action::Rest(Duration::from_secs(1));
    let probe = Action::Probe { now: true };
    let later = Action::Probe { now: false };
    let answered = |phase| Event::Answered(Some(phase));
    for (from, event, to, action) in [
        (Phase::Idle, Event::Begin, Phase::Finding, Action::Find),
        (
            Phase::Finding,
            Event::Found(true),
            Phase::Booting,
            Action::AwaitStatus,
        ),
        (
            Phase::Finding,
            Event::Found(false),
            Phase::Starting,
            Action::Start,
        ),
        (Phase::Finding, Event::Failed, RESTING, second),
        (
            Phase::Starting,
            Event::Started,
            Phase::Booting,
            Action::AwaitStatus,
        ),
        (Phase::Starting, Event::Failed, RESTING, second),
        (
            Phase::Booting,
            answered(status::Phase::Unconfigured),
            Phase::Configuring,
            Action::Configure,
        ),
        (
            Phase::Booting,
            answered(status::Phase::Configured),
            Phase::Initialising,
            Action::Init,
        ),
        (
            Phase::Booting,
            answered(status::Phase::InitFailed),
            Phase::Initialising,
            Action::Init,
        ),
        (
            Phase::Booting,
            answered(status::Phase::Initialised),
            Phase::Serving,
            probe,
        ),
        (
            Phase::Booting,
            Event::Answered(None),
            Phase::Initialising,
            Action::Init,
        ),
        (Phase::Booting, Event::Failed, Phase::Ending, Action::End),
        (
            Phase::Configuring,
            Event::Configured,
            Phase::Initialising,
            Action::Init,
        ),
        (Phase::Configuring, Event::Failed, Phase::Ending, Action::End),
        (Phase::Initialising, Event::Initialised, Phase::Serving, probe),
        (Phase::Initialising, Event::Failed, RESTING_BESIDE, second),
        (
            Phase::Serving,
            Event::Good { settled: false },
            Phase::Serving,
            later,
        ),
        (Phase::Serving, Event::Bad, Phase::Serving, later),
        (Phase::Ending, Event::Stopped, RESTING, second),
        (RESTING, Event::Rested, Phase::Finding, Action::Find),
        (RESTING_BESIDE, Event::Rested, Phase::Booting, Action::AwaitStatus),
        (Phase::Ending, Event::Stop, Phase::Ending, Action::Nothing),
        (Phase::Done, Event::Begin, Phase::Done, Action::Finish),
        (Phase::Serving, Event::Rested, Phase::Serving, Action::Nothing),
    ] {
        let (state, done) = step(&POLICY, at(from), event);
        assert_eq!((state.phase, done), (to, action), "{from:?} {event:?}");
    }
}

const PHASES: [Phase; 10] = [
    Phase::Idle,
    Phase::Finding,
    Phase::Starting,
    Phase::Booting,
    Phase::Configuring,
    Phase::Initialising,
    Phase::Serving,
    Phase::Ending,
    RESTING,
    RESTING_BESIDE,
];

#[test]
fn an_end_is_possible_everywhere() {
    for phase in PHASES {
        let (state, action) = step(&POLICY, at(phase), Event::Stop);
        assert_eq!((state.phase, state.stopping), (Phase::Ending, true), "{phase:?}");
        assert!(matches!(action, Action::End | Action::Nothing));
        assert_eq!(step(&POLICY, state, Event::Stopped).1, Action::Finish);
        let keep = Policy { keep: true, ..POLICY };
        let (state, action) = step(&keep, at(phase), Event::Stop);
        if phase != Phase::Ending {
            assert_eq!((state.phase, action), (Phase::Done, Action::Finish), "{phase:?}");
        }
    }
}

#[test]
fn a_lost_enclave_is_noticed_everywhere() {
    for phase in PHASES {
        let (state, action) = step(&POLICY, at(phase), Event::Ended);
        assert_eq!(state.phase, RESTING, "{phase:?}");
        assert!(matches!(action, Action::Rest(_)));
    }
}

#[test]
fn rests_double_up_to_the_longest_and_are_forgotten() {
    let mut state = at(Phase::Starting);
    let mut rests = Vec::new();
    for _ in 0..40 {
        let (next, action) = step(&POLICY, state.to(Phase::Starting), Event::Failed);
        let Action::Rest(rest) = action else {
            panic!("{action:?}")
        };
        rests.push(rest.as_secs());
        state = next;
    }
    assert_eq!(rests[..7], [1, 2, 4, 8, 16, 32, 60]);
    assert!(rests[7..].iter().all(|rest| *rest == 60));
    let (kept, _) = step(&POLICY, state.to(Phase::Serving), Event::Good { settled: false });
    let (forgotten, _) = step(&POLICY, state.to(Phase::Serving), Event::Good { settled: true });
    assert_eq!((kept.failures, forgotten.failures), (40, 0));
}

#[test]
fn misses_in_a_row_end_the_enclave() {
    let mut state = at(Phase::Serving);
    for event in [
        Event::Bad,
        Event::Bad,
        Event::Good { settled: false },
        Event::Bad,
        Event::Bad,
    ] {
        let (next, action) = step(&POLICY, state, event);
        assert_eq!(action, Action::Probe { now: false });
        state = next;
    }
    let (state, action) = step(&POLICY, state, Event::Bad);
    assert_eq!(
        (state.phase, state.failures, action),
        (Phase::Ending, 1, Action::End)
    );
}

#[test]
fn without_a_config_init_is_tried_and_refused_by_the_enclave() {
    let policy = Policy {
        can_configure: false,
        ..POLICY
    };
    let (state, action) = step(
        &policy,
        at(Phase::Booting),
        Event::Answered(Some(status::Phase::Unconfigured)),
    );
    assert_eq!((state.phase, action), (Phase::Initialising, Action::Init));
}

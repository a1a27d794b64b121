//! The agent's requests: every one in every state of its service.

use Status::{Exited, Signaled};
use Step::{End, Request as Ask};
use abi::boot::{FatalCode, Stage};
use abi::request::{Reply, Request};
use init::fatal::Fatal;
use init::system::Status;

use crate::fake::Step;
use crate::story::{follow, over, signals, told};
use crate::tables::table;

#[test]
fn one_shot_on_request_may_fail_and_be_asked_for_again() {
    let start = Ask(Request::StartProvision as u8);
    let script = [(5, start), (6, start), (7, End(101, Exited(3))), (8, start)];
    let (machine, end) = follow(&table(), &script);
    let expected = [
        "5 started service=provision pid=101",
        "5 request request=1 reply=0",
        "6 request request=1 reply=2",
        "7 ended service=provision pid=101 status=exit:3",
        "8 started service=provision pid=102",
        "8 request request=1 reply=0",
    ];
    assert_eq!(told(&machine), expected);
    assert_eq!(
        machine.replies,
        [Reply::Accepted as u8, Reply::Already as u8, Reply::Accepted as u8]
    );
    assert_eq!(end, over());
    assert!(
        machine
            .calls()
            .contains(&"spawn 1 channel=false Console".to_owned())
    );
}

#[test]
fn signer_is_started_reloaded_and_stopped() {
    let [start, stop, reload] =
        [Request::StartSigner, Request::StopSigner, Request::ReloadSigner].map(|r| Ask(r as u8));
    let script = [
        (1, stop),
        (1, reload),
        (2, start),
        (3, start),
        (4, reload),
        (5, stop),
        (6, stop),
        (7, End(101, Signaled(15))),
        (8, stop),
    ];
    let (machine, end) = follow(&table(), &script);
    let [ok, already, failed] = [Reply::Accepted, Reply::Already, Reply::Failed].map(|r| r as u8);
    assert_eq!(
        machine.replies,
        [already, failed, ok, already, ok, ok, already, already]
    );
    assert_eq!(signals(&machine), ["101 Hup", "101 Term", "101 Kill"]);
    assert_eq!(end, over());
    assert!(!told(&machine).iter().any(|line| line.contains("restart")));
}

#[test]
fn a_service_that_does_not_stop_is_killed_after_its_grace_time() {
    let [start, stop] = [Request::StartSigner, Request::StopSigner].map(|r| Ask(r as u8));
    let (machine, _) = follow(
        &table(),
        &[(10, start), (20, stop), (3000, End(101, Signaled(9)))],
    );
    let expected = [
        "10 started service=signer pid=101",
        "10 request request=2 reply=0",
        "20 stopping service=signer pid=101",
        "20 request request=3 reply=0",
        "2020 stopping service=signer pid=101",
        "3000 ended service=signer pid=101 status=signal:9",
    ];
    assert_eq!(told(&machine), expected);
    assert_eq!(signals(&machine), ["101 Term", "101 Kill", "101 Kill"]);
}

#[test]
fn a_start_while_stopping_starts_again_and_a_stop_takes_it_back() {
    let [start, stop] = [Request::StartSigner, Request::StopSigner].map(|r| Ask(r as u8));
    let script = [
        (1, start),
        (2, stop),
        (3, start),
        (4, start),
        (5, End(101, Exited(0))),
    ];
    let (machine, _) = follow(&table(), &script);
    assert_eq!(told(&machine).last().unwrap(), "5 started service=signer pid=102");
    assert_eq!(machine.replies, [0, 0, 0, 2]);
    let script = [
        (1, start),
        (2, stop),
        (3, start),
        (4, stop),
        (5, End(101, Exited(0))),
    ];
    let (machine, _) = follow(&table(), &script);
    assert_eq!(
        told(&machine).last().unwrap(),
        "5 ended service=signer pid=101 status=exit:0"
    );
    assert_eq!(machine.replies, [0, 0, 0, 0]);
}

#[test]
fn a_stop_while_waiting_ends_the_waiting() {
    let [start, stop] = [Request::StartSigner, Request::StopSigner].map(|r| Ask(r as u8));
    let (machine, end) = follow(&table(), &[(1, start), (2, End(101, Exited(1))), (3, stop)]);
    assert_eq!(told(&machine).last().unwrap(), "3 request request=3 reply=0");
    assert_eq!(end, over());
}

#[test]
fn unknown_and_absent_requests_change_nothing() {
    let mut table = table();
    table.services.truncate(1);
    let script: Vec<_> = [0, 1, 2, 3, 4, 6, 255]
        .into_iter()
        .map(|byte| (1, Ask(byte)))
        .collect();
    let (machine, end) = follow(&table, &script);
    let [absent, unknown] = [Reply::Absent, Reply::Unknown].map(|r| r as u8);
    assert_eq!(
        machine.replies,
        [unknown, absent, absent, absent, absent, unknown, unknown]
    );
    assert_eq!(end, over());
}

#[test]
fn the_agent_can_end_the_enclave_with_a_code() {
    let (machine, end) = follow(&table(), &[(1, Ask(Request::Fatal as u8)), (9, Ask(42))]);
    assert_eq!(
        end,
        Fatal::new(Stage::Running, FatalCode::AgentRequest).detail(42)
    );
    assert_eq!(machine.replies, [0; 0]);
}

#[test]
fn half_a_fatal_request_dies_with_its_agent() {
    let script = [
        (1, Ask(Request::Fatal as u8)),
        (2, End(100, Exited(1))),
        (500, Ask(9)),
    ];
    let (machine, end) = follow(&table(), &script);
    assert_eq!(machine.replies, [Reply::Unknown as u8]);
    assert_eq!(end, over());
}

#[test]
fn a_flood_of_requests_does_not_keep_the_rest_from_happening() {
    let mut script: Vec<_> = (0..100).map(|_| (1, Ask(99))).collect();
    script.push((1, End(100, Exited(1))));
    let (machine, _) = follow(&table(), &script);
    assert_eq!(machine.replies.len(), 100);
    let waits = machine
        .calls()
        .iter()
        .filter(|call| call.starts_with("wait"))
        .count();
    assert!(waits >= 4, "{waits}");
}

//! The built program outside an enclave: it refuses to be anything but PID 1 or a service's first stage.
#![expect(clippy::expect_used, reason = "a failed assumption should fail the test")]

use std::process::{Command, Output};

use abi::boot::Stage;
use abi::events::{Event, Key, Kind};

fn init(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_init"))
        .args(args)
        .output()
        .expect("the program starts")
}

#[test]
fn other_uses_are_refused() {
    for args in [
        &[][..],
        &["exec"],
        &["exec", "0", "1"],
        &["boot", "0"],
        &["--help"],
    ] {
        let output = init(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn a_service_without_a_table_says_so_and_has_its_own_exit_status() {
    let output = init(&["exec", "0"]);
    assert_eq!(output.status.code(), Some(init::child::SETUP_FAILED));
    let said = String::from_utf8_lossy(&output.stderr);
    let event = Event::parse(said.trim_end()).expect("one event line");
    assert_eq!((event.stage, event.kind), (Stage::Services, Kind::Failed));
    assert_eq!(event.field(Key::Target), Some("read-table"));
    assert_eq!(event.field(Key::Errno), Some("2"));
}

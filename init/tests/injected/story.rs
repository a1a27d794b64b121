//! A whole life of PID 1 on a script: boot, follow, and what was told.

use abi::boot::{FatalCode, Stage};
use init::fatal::Fatal;
use init::run::run;
use init::system::Errno;
use services::{Service, Table};

use crate::fake::{Machine, Step};
use crate::tables::table;

/// Boots with this table, follows the script to its end, and returns the machine and the cause of its end.
pub(crate) fn follow(table: &Table, script: &[(u64, Step)]) -> (Machine, Fatal) {
    let mut machine = Machine::new(table);
    machine.script = script.iter().copied().collect();
    let end = run(&mut machine);
    assert!(
        machine.script.is_empty() || end.code != FatalCode::Internal,
        "script not followed: {machine:?}"
    );
    (machine, end)
}

/// Lines after the boot, without the words that all have.
pub(crate) fn told(machine: &Machine) -> Vec<String> {
    let lines = machine.story_from("stage=running event=ok").into_iter().skip(1);
    lines
        .map(|line| line.replace("uptime_ms=", "").replace("stage=running event=", ""))
        .collect()
}

/// The fake's way to say that its script is over.
pub(crate) fn over() -> Fatal {
    Fatal::new(Stage::Running, FatalCode::Internal).on("wait", Errno::NONE)
}

pub(crate) fn only(service: Service) -> Table {
    Table {
        services: vec![service],
        ..table()
    }
}

/// Delivered signals, in order.
pub(crate) fn signals(machine: &Machine) -> Vec<String> {
    let calls = machine.calls();
    calls
        .iter()
        .filter_map(|call| call.strip_prefix("signal-group "))
        .map(str::to_owned)
        .collect()
}

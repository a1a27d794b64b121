//! PID 1's life: boot, start the services, then wait, reap, answer, restart, keep the clock, until something is fatal.

use std::convert::Infallible;
use std::time::Duration;

use abi::boot::{FatalCode, Stage};
use abi::events::Kind;
use services::Table;

use crate::boot::boot;
use crate::clock;
use crate::fatal::Fatal;
use crate::log::Log;
use crate::supervise::Supervisor;
use crate::system::System;

/// Requests that are taken in one turn, so that an agent that floods PID 1 cannot keep it from its other work.
const REQUESTS_PER_TURN: usize = 32;

/// Runs until a cause to end; returns that cause.
pub fn run(system: &mut dyn System) -> Fatal {
    let mut log = Log::default();
    let ended = boot(system, &mut log).and_then(|table| supervise(system, &mut log, &table));
    match ended {
        Err(fatal) => fatal,
        Ok(never) => match never {},
    }
}

/// Starts the services and looks after them for ever.
fn supervise(system: &mut dyn System, log: &mut Log, table: &Table) -> Result<Infallible, Fatal> {
    let mut next_clock = clock::discipline(system, log, table.clock, true);
    let internal = |stage, what| move |errno| Fatal::new(stage, FatalCode::Internal).on(what, errno);
    system
        .watch_children()
        .map_err(internal(log.stage(), "watch-children"))?;
    let mut supervisor = Supervisor::new(&table.services);
    supervisor.start_boot(system, log)?;
    log.enter(Stage::Running);
    let event = log.event(system, Kind::Ok);
    log.write(system, &event);
    loop {
        let now = system.uptime_ms();
        let due = [supervisor.next_due(), next_clock].into_iter().flatten().min();
        let timeout = due.map(|due| Duration::from_millis(due.saturating_sub(now)));
        system.wait(timeout).map_err(internal(Stage::Running, "wait"))?;
        while let Some((pid, status)) = system.reap().map_err(internal(Stage::Running, "reap"))? {
            supervisor.ended(system, log, pid, status)?;
        }
        for _ in 0..REQUESTS_PER_TURN {
            let Some(byte) = system.read_request() else { break };
            supervisor.request(system, log, byte)?;
        }
        supervisor.tick(system, log)?;
        if next_clock.is_some_and(|due| due <= system.uptime_ms()) {
            next_clock = clock::discipline(system, log, table.clock, false);
        }
    }
}

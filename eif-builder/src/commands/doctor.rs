//! `eif-builder doctor`

use std::io::Write;

use super::Outcome;
use crate::cli::DoctorArgs;
use crate::doctor::{Settings, ThisMachine, examine};
use crate::host::Host;

pub(super) fn run(args: &DoctorArgs, host: &Host, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let settings = Settings {
        store: args.store.clone().or_else(|| host.store.clone()),
        mirrors: host.mirrors.clone(),
        etc: host.etc.clone(),
        cargo: host.cargo.clone(),
        cpus: host.cpus.get(),
    };
    let report = examine(&ThisMachine, &settings);
    if args.json {
        writeln!(out, "{:#}", report.to_json())?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(if report.is_fit(args.purpose) {
        Outcome::Done
    } else {
        Outcome::Refused
    })
}

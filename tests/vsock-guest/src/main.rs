//! PID 1 of the test image: heartbeat, then the services of [`serve`]. It is no part of any product image.
//!
//! Words of the kernel's command line that the kernel does not know are its arguments: `no-heartbeat` and
//! `wrong-heartbeat` make a boot that must fail, `fatal` one that reports a cause and powers off.
#![forbid(unsafe_code)]

mod pattern;
mod serve;

use std::io::{Read, Result, Write};
use std::net::Shutdown;

use abi::boot::{FatalCode, FatalReport, Stage};
use abi::events::{Event, Key, Kind};
use abi::vsock::{BOOT_REPORT_PORT, HEARTBEAT, HEARTBEAT_PORT, PARENT_CID};
use rustix::mount::{MountFlags, mount};
use vsock::VsockStream;

#[expect(clippy::print_stderr, reason = "the console is where a test looks")]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Err(e) = boot(&words) {
        eprintln!("guest: {e}");
    }
    // PID 1 must not end. A restart ends the enclave; without ACPI a power-off would only halt it.
    rustix::system::reboot(rustix::system::RebootCommand::Restart).ok();
}

#[expect(clippy::print_stdout, reason = "the console is where a test looks")]
fn boot(words: &[String]) -> Result<()> {
    let has = |word: &str| words.iter().any(|w| w == word);
    mount("devtmpfs", "/dev", "devtmpfs", MountFlags::empty(), None)?;
    let say = |stage, kind| println!("{}", Event::new(uptime_ms(), stage, kind));
    say(Stage::Mounts, Kind::Ok);
    if has("fatal") {
        return fatal();
    }
    if !has("no-heartbeat") {
        let mut stream = VsockStream::connect_with_cid_port(PARENT_CID, HEARTBEAT_PORT)?;
        let byte = if has("wrong-heartbeat") { 0x17 } else { HEARTBEAT };
        stream.write_all(&[byte])?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
    }
    say(Stage::Heartbeat, Kind::Ok);
    serve::all(|| say(Stage::Running, Kind::Ok))
}

#[expect(clippy::print_stdout, reason = "the console is where a test looks")]
fn fatal() -> Result<()> {
    let report = FatalReport {
        stage: Stage::Nsm,
        code: FatalCode::NsmAbsent,
        errno: 2,
        uptime_ms: u32::try_from(uptime_ms()).unwrap_or(u32::MAX),
        detail: 0,
    };
    let event = Event::new(uptime_ms(), Stage::Nsm, Kind::Fatal).with(Key::Code, report.code);
    println!("{event}");
    let mut stream = VsockStream::connect_with_cid_port(PARENT_CID, BOOT_REPORT_PORT)?;
    stream.write_all(&report.encode())?;
    // A restart loses what the parent has not taken; its close says that it has.
    stream.shutdown(Shutdown::Write)?;
    stream.read(&mut [0]).map(|_| ())
}

fn uptime_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec * 1000 + now.tv_nsec / 1_000_000).unwrap_or_default()
}

//! What a confined service of an enclave sees and may do, told to whoever asks on vsock port 7000, or the one that is its
//! argument.
//!
//! For the test image `rootfs/e2e` only; no image that ships holds it. One line in, one answer out, then the
//! connection closes. The answer's first word is `ok`, or `errno` with the number.
//!
//! ```text
//! read PATH      the first 64 KiB of a file
//! meta PATH      mode (octal, with type), uid and gid
//! create PATH    makes a file and removes it
//! chown PATH     gives the file to root
//! setuid         becomes root
//! clock          sets the wall clock
//! bind PORT      listens on a TCP port of 127.0.0.1
//! open PATH      opens a file for reading and writing
//! write PATH     makes a file of what follows the line
//! kmstool ARGS   runs the KMS tool with these arguments, separated by tabs, and what follows the line as its input
//! kill NAME      kills the processes of its own user that run this program, and says how many
//! ps             name, CPU time in milliseconds (with that of ended children) and peak memory in KiB of each process of its
//!                own user
//! follow PID     CPU time in milliseconds of any process, also one that `/proc` hides, once it has ended
//! exit N         ends with that status
//! ```
#![forbid(unsafe_code)]

mod kmstool;

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::Uid;
use vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

const PORT: u32 = 7000;
const MAX_ANSWER: u64 = 64 * 1024;
const MAX_QUESTION: u64 = 1024 * 1024;
/// How often a followed process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

fn main() -> io::Result<ExitCode> {
    let port = std::env::args().nth(1).map(|port| port.parse());
    let port = port.transpose().map_err(io::Error::other)?.unwrap_or(PORT);
    let listener = VsockListener::bind(&VsockAddr::new(VMADDR_CID_ANY, port))?;
    loop {
        let (mut stream, _) = listener.accept()?;
        // A caller that goes away is no reason to end.
        if let Ok(Some(status)) = serve(&mut stream) {
            // Nobody may call a process that is about to end: closed before the answer, the port refuses.
            drop(listener);
            stream.write_all(b"ok")?;
            return Ok(ExitCode::from(status));
        }
    }
}

/// Answers one question; gives the status to end with, if the caller asked for that.
fn serve(stream: &mut VsockStream) -> io::Result<Option<u8>> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut line = String::new();
    let mut reader = BufReader::new((&*stream).take(MAX_QUESTION));
    reader.read_line(&mut line)?;
    let line = line.trim_end_matches('\n');
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    if word == "exit" {
        return Ok(rest.parse().ok());
    }
    let answer = match act(word, rest, &mut reader) {
        Ok(bytes) => [b"ok ", bytes.as_slice()].concat(),
        Err(error) => format!("errno {}", error.raw_os_error().unwrap_or(-1)).into_bytes(),
    };
    stream.write_all(&answer)?;
    Ok(None)
}

fn act(word: &str, rest: &str, input: &mut impl io::Read) -> io::Result<Vec<u8>> {
    match word {
        "read" => {
            let mut bytes = Vec::new();
            File::open(rest)?.take(MAX_ANSWER).read_to_end(&mut bytes)?;
            Ok(bytes)
        }
        "meta" => {
            let meta = fs::symlink_metadata(rest)?;
            Ok(format!("{:o} {} {}", meta.mode(), meta.uid(), meta.gid()).into_bytes())
        }
        "create" => {
            File::create_new(rest)?;
            fs::remove_file(rest)?;
            Ok(Vec::new())
        }
        "chown" => chown(rest, Some(0), Some(0)).map(|()| Vec::new()),
        "setuid" => {
            Ok(rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map(|()| Vec::new())?)
        }
        "clock" => {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
            Ok(rustix::time::clock_settime(rustix::time::ClockId::Realtime, now).map(|()| Vec::new())?)
        }
        "bind" => {
            let port: u16 = rest.parse().map_err(io::Error::other)?;
            TcpListener::bind(("127.0.0.1", port)).map(|_| Vec::new())
        }
        "open" => OpenOptions::new()
            .read(true)
            .write(true)
            .open(rest)
            .map(|_| Vec::new()),
        "write" => {
            io::copy(input, &mut File::create(rest)?)?;
            Ok(Vec::new())
        }
        "kmstool" => kmstool::run(rest, input),
        "ps" => Ok(processes()?.into_bytes()),
        "follow" => {
            let pid = rest.parse().map_err(io::Error::other)?;
            Ok(follow(pid)?.to_string().into_bytes())
        }
        "kill" => kill(rest).map(|count| count.to_string().into_bytes()),
        _ => Err(io::Error::from_raw_os_error(22)),
    }
}

/// Processes of the own user: `/proc` shows no others.
#[expect(clippy::disallowed_methods, reason = "the order of processes does not matter")]
fn own_processes() -> io::Result<Vec<(Pid, PathBuf, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        // A process that ended meanwhile has no name.
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        found.push((pid, entry.path(), name.trim_end().to_owned()));
    }
    Ok(found)
}

/// Kills with SIGKILL.
fn kill(program: &str) -> io::Result<usize> {
    let found: Vec<Pid> = own_processes()?
        .into_iter()
        .filter_map(|(pid, _, name)| (name == program).then_some(pid))
        .collect();
    for pid in &found {
        kill_process(*pid, Signal::KILL)?;
    }
    Ok(found.len())
}

/// CPU time until its end, milliseconds, with at most [`LOOK_EVERY`] missing. Everybody may read this clock (`clock_getcpuclockid(3)`).
fn follow(pid: i32) -> io::Result<u128> {
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(pid))?;
    let mut last = Duration::ZERO;
    while let Ok(now) = clock.now() {
        last = now.into();
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(last.as_millis())
}

/// A line each. Linux counts CPU time in hundredths of a second here (`proc(5)`, fields 14 to 17 of `stat`).
fn processes() -> io::Result<String> {
    let mut text = String::new();
    for (_, path, name) in own_processes()? {
        let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks = |field: usize| {
            after
                .split(' ')
                .nth(field - 3)
                .and_then(|text| text.parse::<u64>().ok())
        };
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
        let ticks: Option<u64> = (14..=17).map(ticks).sum();
        if let (Some(ticks), Some(peak)) = (ticks, peak) {
            let cpu_ms = ticks * 10;
            // Into memory: this cannot fail.
            writeln!(text, "{name} {cpu_ms} {peak}").unwrap_or_default();
        }
    }
    Ok(text)
}

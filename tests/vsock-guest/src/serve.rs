//! What the guest does for a caller, one port for each.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use abi::vsock::PARENT_CID;
use vsock::{VsockListener, VsockStream};

use crate::pattern::Pattern;

/// Gives back every byte.
pub(crate) const ECHO: u32 = 5001;
/// Takes everything, then says `<bytes> ok` or `<bytes> bad`.
pub(crate) const SINK: u32 = 5002;
/// Reads a decimal line with a number of bytes, and sends them.
pub(crate) const SOURCE: u32 = 5003;
/// Reads one line with a command (see [`command`]), and answers with one line.
pub(crate) const COMMAND: u32 = 5004;
/// As [`SINK`], but begins only after five seconds.
pub(crate) const SLOW_SINK: u32 = 5005;

const CHUNK: usize = 64 * 1024;

/// Serves all ports, each caller in a thread of its own; `listening` is called once they all listen.
pub(crate) fn all(listening: impl FnOnce()) -> Result<()> {
    let echo = spawn(ECHO, echo)?;
    spawn(SINK, |s| sink(s, Duration::ZERO))?;
    spawn(SLOW_SINK, |s| sink(s, Duration::from_secs(5)))?;
    spawn(SOURCE, source)?;
    spawn(COMMAND, answer)?;
    listening();
    echo.join().map_err(|_| Error::other("a service panicked"))
}

fn spawn(port: u32, serve: fn(VsockStream) -> Result<()>) -> Result<thread::JoinHandle<()>> {
    let listener = VsockListener::bind_with_cid_port(vsock::VMADDR_CID_ANY, port)?;
    // The library's backlog is 128; more callers at once are part of the tests.
    rustix::net::listen(&listener, 4096)?;
    Ok(thread::spawn(move || {
        for stream in listener.incoming() {
            let served = stream.and_then(|stream| {
                let body = move || serve(stream).err().map(|e| eprint(port, &e));
                thread::Builder::new().stack_size(128 * 1024).spawn(body)
            });
            if let Err(e) = served {
                eprint(port, &e);
            }
        }
    }))
}

#[expect(clippy::print_stderr, reason = "the console is where a test looks")]
fn eprint(port: u32, error: &Error) {
    eprintln!("guest: port {port}: {error}");
}

fn echo(mut stream: VsockStream) -> Result<()> {
    let mut buf = vec![0; 16 * 1024];
    loop {
        let n = stream.read(&mut buf)?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(buf.get(..n).unwrap_or_default())?;
    }
}

fn sink(mut stream: VsockStream, wait: Duration) -> Result<()> {
    thread::sleep(wait);
    let (bytes, good) = drain(&mut stream)?;
    writeln!(stream, "{bytes} {}", if good { "ok" } else { "bad" })
}

fn drain(stream: &mut VsockStream) -> Result<(u64, bool)> {
    let (mut bytes, mut good, mut pattern) = (0, true, Pattern::default());
    let mut buf = vec![0; CHUNK];
    loop {
        let n = stream.read(&mut buf)?;
        if n == 0 {
            return Ok((bytes, good));
        }
        good &= pattern.check(buf.get(..n).unwrap_or_default());
        bytes += n as u64;
    }
}

fn source(mut stream: VsockStream) -> Result<()> {
    let mut line = String::new();
    BufReader::with_capacity(32, &stream).read_line(&mut line)?;
    let bytes = line.trim().parse().map_err(Error::other)?;
    send(&mut stream, bytes, CHUNK)
}

fn send(stream: &mut VsockStream, bytes: u64, chunk: usize) -> Result<()> {
    let mut pattern = Pattern::default();
    let mut buf = vec![0; chunk];
    let mut left = bytes;
    while left > 0 {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(chunk);
        let part = buf.get_mut(..n).unwrap_or_default();
        pattern.fill(part);
        stream.write_all(part)?;
        left -= n as u64;
    }
    Ok(())
}

fn answer(mut stream: VsockStream) -> Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let said = command(&words).unwrap_or_else(|e| format!("failed: {e}"));
    writeln!(stream, "{said}")
}

fn command(words: &[&str]) -> Result<String> {
    let number = |at: usize| -> Result<u64> {
        let word = words.get(at).ok_or(ErrorKind::InvalidInput)?;
        word.parse().map_err(Error::other)
    };
    let port = |at| number(at).and_then(|n| u32::try_from(n).map_err(Error::other));
    let size = |at| number(at).and_then(|n| usize::try_from(n).map_err(Error::other));
    match words.first().copied() {
        Some("dial") => Ok(dial(port(1)?, number(2)?)),
        Some("crowd") => crowd(port(1)?, size(2)?),
        Some("push") => push(port(1)?, number(2)?, size(3)?),
        Some("storm") => storm(port(1)?, number(2)?, size(3)?),
        Some("peer") => {
            let stream = VsockStream::connect_with_cid_port(port(1)?, port(2)?)?;
            Ok(stream.peer_addr()?.cid().to_string())
        }
        Some("off") => {
            rustix::system::reboot(rustix::system::RebootCommand::Restart)?;
            Ok("off".into())
        }
        _ => Err(ErrorKind::InvalidInput.into()),
    }
}

/// Connects and closes `count` times, one after another: how many were taken, refused, failed otherwise, and the
/// longest time that one took, in microseconds.
fn dial(port: u32, count: u64) -> String {
    let (mut taken, mut refused, mut other, mut longest) = (0, 0, 0, Duration::ZERO);
    for _ in 0..count {
        let start = Instant::now();
        match VsockStream::connect_with_cid_port(PARENT_CID, port) {
            Ok(stream) => {
                taken += 1;
                drop(stream);
            }
            // What Linux makes of an RST in answer to a call.
            Err(e) if e.kind() == ErrorKind::ConnectionReset => refused += 1,
            Err(_) => other += 1,
        }
        longest = longest.max(start.elapsed());
    }
    format!(
        "taken={taken} refused={refused} other={other} longest_us={}",
        longest.as_micros()
    )
}

/// Holds `count` connections open at once and uses each, by turns, against an echo.
fn crowd(port: u32, count: usize) -> Result<String> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(VsockStream::connect_with_cid_port(PARENT_CID, port)?);
    }
    let mut good = 0;
    for (at, mut stream) in streams.iter().enumerate() {
        stream.write_all(&at.to_le_bytes())?;
    }
    for (at, mut stream) in streams.iter().enumerate() {
        let mut back = [0; 8];
        stream.read_exact(&mut back)?;
        good += usize::from(back == at.to_le_bytes());
    }
    Ok(format!("good={good}"))
}

/// Sends `bytes` in writes of `chunk`, ends its direction, and says what it was answered.
fn push(port: u32, bytes: u64, chunk: usize) -> Result<String> {
    let start = Instant::now();
    let mut stream = VsockStream::connect_with_cid_port(PARENT_CID, port)?;
    send(&mut stream, bytes, chunk)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(format!("{} ms={}", answer.trim(), start.elapsed().as_millis()))
}

/// `threads` threads call a port `count` times each and leave at once, so that every packet provokes a reply.
fn storm(port: u32, count: u64, threads: usize) -> Result<String> {
    let start = Instant::now();
    let all: Vec<_> = (0..threads)
        .map(|_| thread::spawn(move || dial(port, count)))
        .collect();
    let mut lines = Vec::new();
    for thread in all {
        lines.push(thread.join().map_err(|_| Error::other("a thread panicked"))?);
    }
    Ok(format!("ms={} {}", start.elapsed().as_millis(), lines.join("; ")))
}

//! The vsock under load: bulk, slow readers, crowds, floods and storms.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use abi::boot::Stage;
use simulator::enclave::Enclave;
use simulator::record::Milestone;
use simulator::vsock::stats::Stats;

use crate::pattern::Pattern;
use crate::support::{PATIENCE, Turn, boot, command, config, config_in};

const MIB: usize = 1 << 20;

fn read_all(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.trim().to_owned()
}

/// Sends `bytes` of the pattern.
fn send(mut stream: &UnixStream, bytes: usize, chunk: usize) {
    let (mut pattern, mut buf, mut left) = (Pattern::default(), vec![0; chunk], bytes);
    while left > 0 {
        let part = &mut buf[..chunk.min(left)];
        pattern.fill(part);
        stream.write_all(part).unwrap();
        left -= part.len();
    }
}

/// Reads to the end and returns how many bytes of the pattern that was.
fn receive(mut stream: &UnixStream) -> usize {
    let (mut pattern, mut buf, mut bytes) = (Pattern::default(), vec![0; 64 * 1024], 0);
    loop {
        let n = stream.read(&mut buf).unwrap();
        if n == 0 {
            return bytes;
        }
        assert!(pattern.check(&buf[..n]), "wrong bytes after {bytes}");
        bytes += n;
    }
}

#[test]
fn bulk_arrives_whole_in_both_directions_at_once() {
    const BYTES: usize = 200 * MIB;
    let (_dir, config) = config_in(Turn::alone(), "serve");
    let enclave = boot(&config);
    let before = resident();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut sink = enclave.connect(5002).unwrap();
            send(&sink, BYTES, 100_000);
            sink.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_all(&mut sink), format!("{BYTES} ok"));
        });
        scope.spawn(|| {
            let mut source = enclave.connect(5003).unwrap();
            writeln!(source, "{BYTES}").unwrap();
            assert_eq!(receive(&source), BYTES);
        });
        scope.spawn(|| {
            let listener = enclave.listen(7002).unwrap();
            let pushed = scope.spawn(|| command(&enclave, &format!("push 7002 {} 50000", 20 * MIB)));
            let (mut stream, _) = listener.accept().unwrap();
            let bytes = receive(&stream);
            write!(stream, "got {bytes}").unwrap();
            drop(stream);
            assert!(pushed.join().unwrap().starts_with(&format!("got {} ", 20 * MIB)));
        });
    });
    let grown = resident().saturating_sub(before);
    assert!(grown < 32 * MIB, "{grown} bytes more in memory");
    enclave.stop().unwrap();
}

/// This process's memory, the backend's included.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn a_slow_reader_stops_its_sender_and_nobody_else() {
    let (_dir, config) = config("serve");
    let enclave = boot(&config);
    // To the guest: nobody reads for five seconds, which begin after ours.
    let start = Instant::now();
    let slow = enclave.connect(5005).unwrap();
    slow.set_nonblocking(true).unwrap();
    let (mut sent, block) = (0, [0; 4096]);
    while start.elapsed() < Duration::from_secs(2) {
        match (&slow).write(&block) {
            Ok(n) => sent += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(1)),
            Err(e) => panic!("{e}"),
        }
    }
    assert!(sent < 2 * MIB, "{sent} bytes are under way");
    // From the guest: we read nothing.
    let mut source = enclave.connect(5003).unwrap();
    writeln!(source, "{}", 4 * MIB).unwrap();
    let mut echo = enclave.connect(5001).unwrap();
    for round in 0..20_u8 {
        echo.write_all(&[round]).unwrap();
        let mut back = [0];
        echo.read_exact(&mut back).unwrap();
        assert_eq!(back, [round]);
    }
    assert_eq!(receive(&source), 4 * MIB, "it goes on where it stopped");
    let stats = enclave.vsock_stats();
    assert!(stats.bytes_from_guest >= 4 * MIB as u64);
    enclave.stop().unwrap();
}

#[test]
fn a_thousand_connections_at_once_from_either_side() {
    let (_dir, config) = config("serve");
    let enclave = boot(&config);
    let listener = enclave.listen(7003).unwrap();
    thread::scope(|scope| {
        let crowd = scope.spawn(|| command(&enclave, "crowd 7003 1000"));
        let mut streams: Vec<UnixStream> = (0..1000).map(|_| listener.accept().unwrap().0).collect();
        for stream in &mut streams {
            let mut word = [0; 8];
            stream.read_exact(&mut word).unwrap();
            stream.write_all(&word).unwrap();
        }
        assert_eq!(crowd.join().unwrap(), "good=1000");
    });
    let mut streams: Vec<_> = (0..1000).map(|_| enclave.connect(5001).unwrap()).collect();
    for (at, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&at.to_le_bytes()).unwrap();
    }
    for (at, stream) in streams.iter_mut().enumerate() {
        let mut word = [0; 8];
        stream.read_exact(&mut word).unwrap();
        assert_eq!(word, at.to_le_bytes());
    }
    assert!(enclave.vsock_stats().open >= 1000);
    drop(streams);
    let start = Instant::now();
    while enclave.vsock_stats().open > 1 {
        assert!(start.elapsed() < PATIENCE, "{:?}", enclave.vsock_stats());
        thread::sleep(Duration::from_millis(20));
    }
    enclave.stop().unwrap();
}

/// Linux from 6.12.92 on reset such a connection for the book-keeping of its packets. We count packets to be safe with
/// those; the kernel of the build must also stand it when they are not counted. See ADR 0004.
#[test]
fn a_flood_of_small_packets_is_not_reset() {
    const BYTES: usize = MIB;
    for (count_packets, payload) in [(true, 100), (false, 129), (false, 300)] {
        let (_dir, mut config) = config("serve");
        config.limits.payload = payload;
        config.limits.count_packets = count_packets;
        let enclave = boot(&config);
        let mut slow = enclave.connect(5005).unwrap();
        send(&slow, BYTES, 8192);
        slow.shutdown(Shutdown::Write).unwrap();
        assert_eq!(
            read_all(&mut slow),
            format!("{BYTES} ok"),
            "packets of {payload} bytes"
        );
        let stats = enclave.vsock_stats();
        assert_eq!(stats.guest_resets, 0, "packets of {payload} bytes");
        assert!(stats.to_guest >= (BYTES / payload) as u64);
        enclave.stop().unwrap();
    }
}

/// Almost six queues of calls, of which a guest takes up to four; each takes two descriptors of this process.
const CALLS: usize = 6000;

/// How long without a heartbeat is a stall.
const STALLED: Duration = Duration::from_secs(20);

/// More calls than the queues hold, all refused by the guest, and all there before its driver is. Whether its heartbeat
/// came, and how many packets it sent.
fn many_calls(push_back: Option<usize>) -> (bool, u64) {
    for _ in 0..5 {
        if let Some(seen) = many_calls_at_once(push_back) {
            return seen;
        }
    }
    panic!("the guest was always quicker than {CALLS} calls");
}

/// The same, or nothing when the guest's driver was there before all calls were.
fn many_calls_at_once(push_back: Option<usize>) -> Option<(bool, u64)> {
    let (dir, mut config) = config("serve");
    config.limits.push_back = push_back;
    config.limits.connect_time = PATIENCE;
    let enclave = Enclave::spawn(&config).unwrap();
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let mut stream = UnixStream::connect(dir.path().join("vsock.sock")).unwrap();
            stream.write_all(b"CONNECT 4999\n").unwrap();
            stream
        })
        .collect();
    let ready = Instant::now();
    let waiting = |stats: Stats| stats.opened < CALLS as u64 && stats.to_guest == 0;
    while waiting(enclave.vsock_stats()) {
        assert!(ready.elapsed() < PATIENCE, "{:?}", enclave.vsock_stats());
        thread::sleep(Duration::from_millis(1));
    }
    if enclave.vsock_stats().to_guest > 0 {
        drop(calls);
        enclave.stop().unwrap();
        return None;
    }
    // The last that the guest says before it calls the parent, which then takes milliseconds.
    enclave
        .wait_for(Milestone::Init(Stage::Mounts), PATIENCE)
        .unwrap();
    let limit = if push_back.is_some() { STALLED } else { PATIENCE };
    let beat = enclave.wait_for(Milestone::Heartbeat, limit);
    let answered = enclave.vsock_stats().from_guest;
    drop(calls);
    enclave.stop().unwrap();
    Some((beat.is_ok(), answered))
}

/// The finding of ADR 0004: a peer that stops taking while its own packets wait, as the Linux driver does, stalls a
/// guest whose driver does the same. When the second half fails, the kernel has been mended, and the ADR is to be revised.
#[test]
fn a_burst_of_calls_stalls_only_a_peer_that_pushes_back() {
    let (beat, answered) = many_calls(None);
    assert!(
        beat && answered >= CALLS as u64,
        "{answered} packets of the guest"
    );
    assert_eq!(many_calls(Some(1)), (false, 0));
}

/// Every packet of the guest provokes a reply, from several threads, while bulk goes the other way.
#[test]
fn a_storm_of_refusals_does_not_stall() {
    let (_dir, config) = config("serve");
    let enclave = boot(&config);
    thread::scope(|scope| {
        let storm = scope.spawn(|| command(&enclave, "storm 1 500 8"));
        let mut sink = enclave.connect(5002).unwrap();
        send(&sink, 20 * MIB, 64 * 1024);
        sink.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut sink), format!("{} ok", 20 * MIB));
        let answer = storm.join().unwrap();
        assert_eq!(answer.matches("refused=500 other=0").count(), 8, "{answer}");
    });
    enclave.stop().unwrap();
}

//! Tunnels and logs: no byte is lost, half-close passes, limits hold, nobody waits for the parent.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use control::log::{Record, Source};
use serde_json::{Value, json};
use support::{ENOUGH, TestAgent, TestNsm, config};

#[expect(dead_code, reason = "other files need more of it")]
mod support;

/// A port that was free a moment ago, on every loopback address.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn pattern(seed: u8, length: usize) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(length)
    .collect()
}

fn tunnels(names: &[(&str, u16, u32)]) -> Value {
    let mut config = config("hoodi");
    let outbound: Vec<_> = names
        .iter()
        .map(|(name, port, vsock)| json!({"name": name, "port": port, "vsock_port": vsock}))
        .collect();
    config["outbound"] = json!(outbound);
    config
}

fn configure(agent: &TestAgent, config: &Value) -> Value {
    agent.ask(&json!({"operation": "configure", "config": config}).to_string())
}

/// Bytes each way of each connection.
const LENGTH: usize = 8 << 20;

#[test]
fn each_name_has_its_address_and_no_byte_is_lost() {
    let agent = TestAgent::start(TestNsm::default());
    let port = free_port();
    let listeners =
        [8101, 8102].map(|vsock| UnixListener::bind(agent.path(&format!("parent-{vsock}"))).unwrap());
    let config = tunnels(&[("b.example.org", port, 8102), ("a.example.org", port, 8101)]);
    assert_eq!(configure(&agent, &config)["status"], 200);
    assert_eq!(
        std::fs::read_to_string(agent.path("hosts")).unwrap(),
        "127.0.0.1 localhost\n127.0.1.1 a.example.org\n127.0.1.2 b.example.org\n"
    );
    std::thread::scope(|scope| {
        for (number, listener) in (1..).zip(&listeners) {
            for _ in 0..2 {
                scope.spawn(move || {
                    let (mut parent, _) = listener.accept().unwrap();
                    let mut writer = parent.try_clone().unwrap();
                    std::thread::scope(|both| {
                        both.spawn(move || {
                            writer.write_all(&pattern(number + 100, LENGTH)).unwrap();
                            writer.shutdown(Shutdown::Write).unwrap();
                        });
                        let mut all = Vec::new();
                        parent.read_to_end(&mut all).unwrap();
                        assert!(all == pattern(number, LENGTH), "what left is what was sent");
                    });
                });
                scope.spawn(move || {
                    let mut inside = TcpStream::connect((Ipv4Addr::new(127, 0, 1, number), port)).unwrap();
                    let mut writer = inside.try_clone().unwrap();
                    std::thread::scope(|both| {
                        both.spawn(move || {
                            writer.write_all(&pattern(number, LENGTH)).unwrap();
                            writer.shutdown(Shutdown::Write).unwrap();
                        });
                        let mut all = Vec::new();
                        inside.read_to_end(&mut all).unwrap();
                        assert!(all == pattern(number + 100, LENGTH), "what came is what was sent");
                    });
                });
            }
        }
    });
    let metrics = agent.ask(r#"{"operation":"metrics"}"#);
    let text = metrics["body"]["text"].as_str().unwrap();
    for line in [
        "nitro_agent_outbound_total 4".to_owned(),
        format!("nitro_agent_outbound_sent_bytes_total {}", 4 * LENGTH),
        format!("nitro_agent_outbound_received_bytes_total {}", 4 * LENGTH),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}

#[test]
fn a_side_that_has_ended_still_hears_the_other() {
    let agent = TestAgent::start(TestNsm::default());
    let port = free_port();
    let listener = UnixListener::bind(agent.path("parent-8101")).unwrap();
    assert_eq!(
        configure(&agent, &tunnels(&[("a.example.org", port, 8101)]))["status"],
        200
    );
    let mut inside = TcpStream::connect((Ipv4Addr::new(127, 0, 1, 1), port)).unwrap();
    let (mut parent, _) = listener.accept().unwrap();
    inside.write_all(b"question").unwrap();
    inside.shutdown(Shutdown::Write).unwrap();
    let mut question = Vec::new();
    parent.read_to_end(&mut question).unwrap();
    assert_eq!(question, b"question");
    std::thread::sleep(Duration::from_millis(200));
    parent.write_all(b"answer").unwrap();
    drop(parent);
    let mut answer = Vec::new();
    inside.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"answer");
}

#[test]
fn who_does_not_read_stops_the_other_and_nobody_else() {
    let agent = TestAgent::start(TestNsm::default());
    let port = free_port();
    let listener = UnixListener::bind(agent.path("parent-8101")).unwrap();
    assert_eq!(
        configure(&agent, &tunnels(&[("a.example.org", port, 8101)]))["status"],
        200
    );
    let mut inside = TcpStream::connect((Ipv4Addr::new(127, 0, 1, 1), port)).unwrap();
    let (_silent, _) = listener.accept().unwrap();
    inside
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut written = 0;
    let piece = vec![7; 65_536];
    while let Ok(count @ 1..) = inside.write(&piece) {
        written += count;
        assert!(written < 64 << 20, "the tunnel keeps what nobody reads");
    }
    assert_eq!(agent.ask(r#"{"operation":"status"}"#)["status"], 200);
    let mut other = TcpStream::connect((Ipv4Addr::new(127, 0, 1, 1), port)).unwrap();
    let (mut parent, _) = listener.accept().unwrap();
    other.write_all(b"x").unwrap();
    let mut byte = [0];
    parent.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn too_many_connections_and_an_absent_parent_are_closed_at_once() {
    let agent = TestAgent::start(TestNsm::default());
    let port = free_port();
    assert_eq!(
        configure(&agent, &tunnels(&[("a.example.org", port, 8101)]))["status"],
        200
    );
    let ended = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(ENOUGH)).unwrap();
        let mut all = Vec::new();
        drop(stream.read_to_end(&mut all));
        all.is_empty()
    };
    let connect = || TcpStream::connect((Ipv4Addr::new(127, 0, 1, 1), port)).unwrap();
    assert!(ended(connect()), "nobody listens on the parent");
    let listener = UnixListener::bind(agent.path("parent-8101")).unwrap();
    let held: Vec<_> = (0..agent::outbound::MAX_CONNECTIONS)
        .map(|_| {
            let inside = connect();
            (inside, listener.accept().unwrap())
        })
        .collect();
    assert!(ended(connect()), "one too many");
    drop(held);
}

#[test]
fn a_tunnel_that_cannot_listen_is_refused_before_anything_is_measured() {
    let agent = TestAgent::start(TestNsm::default());
    let taken = TcpListener::bind((Ipv4Addr::new(127, 0, 1, 1), 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let answer = configure(&agent, &tunnels(&[("a.example.org", port, 8101)]));
    assert_eq!(answer["status"], 500);
    let error = answer["body"]["error"].as_str().unwrap();
    assert!(
        error.starts_with("tunnel-failed: ") && error.contains("a.example.org"),
        "{error}"
    );
    assert_eq!(agent.nsm.register(16), [0; 48]);
    drop(taken);
    assert_eq!(
        configure(&agent, &tunnels(&[("a.example.org", port, 8101)]))["status"],
        200
    );
}

fn records(stream: std::os::unix::net::UnixStream) -> impl Iterator<Item = Record> {
    stream.set_read_timeout(Some(ENOUGH)).unwrap();
    BufReader::new(stream)
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

#[test]
fn the_log_brings_what_pid_1_the_agent_and_the_signer_say() {
    let agent = TestAgent::start(TestNsm::default());
    let listener = UnixListener::bind(agent.path("parent-9002")).unwrap();
    let mut records = records(listener.accept().unwrap().0);
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let record = records.next().unwrap();
        seen.push((record.source, record.event));
    }
    let of = |source| {
        let mut events: Vec<&str> = seen
            .iter()
            .filter(|(from, _)| *from == source)
            .map(|(_, event)| event.as_str())
            .collect();
        events.sort_unstable();
        events
    };
    assert_eq!(of(Source::Agent), ["listening"]);
    assert_eq!(of(Source::Init), ["ok", "ok", "retry", "skipped", "started"]);
    // A line that is half written is not said, and is said once it is whole.
    let half = "nitro-init uptime_ms=21 stage=running event=re";
    let boot = std::fs::read_to_string(agent.path("boot")).unwrap();
    agent.write_append("boot", half);
    std::thread::sleep(Duration::from_millis(500));
    agent.write_append("boot", "quest request=1\n");
    assert!(boot.len() > 10);
    let record = records.next().unwrap();
    assert_eq!((record.uptime_ms, record.event.as_str()), (21, "request"));
    assert_eq!(record.fields["request"], "1");
    // The second file, and another one in its place.
    for uptime in [22, 23] {
        let next = agent.path("events.new");
        std::fs::write(
            &next,
            format!("nitro-init uptime_ms={uptime} stage=running event=ok\n"),
        )
        .unwrap();
        std::fs::rename(next, agent.path("events")).unwrap();
        assert_eq!(records.next().unwrap().uptime_ms, uptime);
    }
}

#[test]
fn a_parent_that_does_not_listen_costs_records_and_no_time() {
    let agent = TestAgent::start(TestNsm::default());
    let started = Instant::now();
    for n in 0..3000 {
        agent
            .ring
            .output(Source::Signer, &format!("line {n} {}", "x".repeat(200)));
    }
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(agent.ask(r#"{"operation":"status"}"#)["status"], 200);
    let dropped = agent.ring.dropped();
    assert!(dropped > 1000, "{dropped}");
    let listener = UnixListener::bind(agent.path("parent-9002")).unwrap();
    let mut told = 0;
    for record in records(listener.accept().unwrap().0) {
        told += record.dropped;
        if record.text.is_some_and(|text| text.starts_with("line 2999 ")) {
            break;
        }
    }
    assert_eq!(told, agent.ring.dropped());
}

#[test]
fn the_signers_output_is_filtered_and_never_waits() {
    let ring = agent::ring::Ring::new(std::sync::Arc::new(|| 0));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut text = b"started\nprivate key: 0x0123\n".to_vec();
    text.extend(b"ab".repeat(32));
    text.push(b'\n');
    text.extend(b"y".repeat(10_000));
    text.extend(b"\nlast\nunfinished");
    runtime.block_on(agent::follow::lines(&text[..], Source::Provision, &ring));
    let mut texts = Vec::new();
    while let Some(record) = ring.take() {
        if record.source == Source::Provision {
            texts.push((record.text.unwrap(), record.dropped));
        }
    }
    assert_eq!(texts, [("started".to_owned(), 0), ("last".to_owned(), 3)]);
    // A flood is cut.
    let flood = b"again and again\n".repeat(5000);
    let before = ring.dropped();
    runtime.block_on(agent::follow::lines(&flood[..], Source::Provision, &ring));
    assert!(ring.dropped() - before > 3000);
}

//! `bench-tunnel`: throughput and connections per second through https-proxy, simulator and agent, beside socat on the same path.
//!
//! ```text
//! cargo build --release --package parent
//! scripts/with-enclave.sh cargo run --release --package e2e --bin bench-tunnel target/release/parent
//!
//! ours    client -TCP-> parent https-proxy -> simulator -vsock 5000-> agent -TCP-> 127.0.0.1:9000
//! theirs  client -TCP-> socat              -> simulator -vsock 7100-> socat -TCP-> 127.0.0.1:9000
//! ```
//! Both lead to the same far end (`tests/far-end`) in the same enclave, after a real `init`. They take turns, and the ratio is the median of
//! the ratios of two turns that follow each other, which a load that comes and goes moves least. The enclave is emulated, so the
//! figures of one run compare with each other and with nothing else.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark that cannot measure stops"
)]

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::service::artefacts::{Certificate, Operator, REGION, SERVER, STACK, validator};
use e2e::service::client::Client;
use e2e::service::kms::Kms;
use e2e::{Booted, boot, build_image, probe, top};
use serde_json::{Value, json};
use simulator::forward::{Forward, Target};

/// Turns of each side in each test.
const ROUNDS: usize = 11;
/// Bytes of one turn of a throughput test, over all its connections.
const BYTES: u64 = 32 << 20;
/// Bytes that a client writes or reads at once.
const PIECE: usize = 64 * 1024;
/// vsock port of the enclave's socat.
const SOCAT_PORT: u32 = 7100;
/// Probes of the test image: as the agent's user, and as socat's.
const PROBES: [u32; 2] = [7002, 7003];
/// How long a side may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    let Some(parent) = std::env::args().nth(1) else {
        panic!("usage: bench-tunnel PARENT [TEST]")
    };
    // Only tests with this in their names.
    let wanted = std::env::args().nth(2).unwrap_or_default();
    let out = build_image(&top().join("rootfs/tunnel/image.toml"));
    let kms = Kms::start(&out.join("tunnel.pcrs.json"));
    let booted = boot(&out.join("tunnel.eif"));
    let [server, client] = initialise(&booted, &kms);
    let dir = tempfile::tempdir().unwrap();
    let ours = Side::ours(&parent, &booted, dir.path());
    // What is measured is the way that signing requests go.
    let signer = Client::new(ours.address, &server, Some(&client));
    assert_eq!(signer.get("/upcheck").status, 200);
    let sides = [ours, Side::socat(&booted)];

    println!(
        "an enclave under QEMU without KVM; medians of {ROUNDS} turns, and of their ratios; ours: https-proxy and agent, \
         socat: one at each end"
    );
    println!(
        "{:44}{:>9}{:>9}{:>7}   CPU ms a unit, ours / socat:",
        "", "ours", "socat", "ratio"
    );
    println!(
        "{:69}   {:^19}{:^19}{:^19}",
        "", "host program", "guest program", "whole guest"
    );
    for test in TESTS.iter().filter(|test| test.name.contains(&wanted)) {
        test.run(&booted, &sides);
    }
    booted.enclave.stop().unwrap();
}

/// `configure` and `init` with one key; the certificates of the signer and of its client.
fn initialise(booted: &Booted, kms: &Kms) -> [Certificate; 2] {
    let target = Target::Tcp(kms.address());
    Forward {
        port: abi::vsock::KMS_PROXY_PORT,
        target,
    }
    .start(booted.dir())
    .unwrap();
    let (server, client) = (Certificate::new(SERVER), Certificate::new("bench"));
    let configure = json!({ "operation": "configure", "config": {
        "schema": 1, "region": REGION, "network": "hoodi", "kms_key_arn": kms.key(), "stacks": [STACK],
        "client_authentication": "known-clients", "slashing_store": { "kind": "memory" }, "outbound": [],
        "artefact_versions": { "tls_key": 0, "clients": 1, "slashing_credential": 0 },
    } });
    let init = Operator { kms }.init(&server, (1, &client), &[validator(1)]);
    let answer = booted.control(&configure.to_string());
    assert_eq!(answer["status"], 200, "{answer}");
    let answer: Value = serde_json::from_slice(&booted.service(init.to_string().as_bytes())).unwrap();
    assert_eq!(answer["status"], 200, "{answer}");
    [server, client]
}

/// One way to the far end.
struct Side {
    address: SocketAddr,
    /// What a client says first, and is answered with a line: socat cannot say it, and the simulator wants it.
    greeting: String,
    host: Child,
    /// The enclave's program, and whose probe sees it.
    guest: (&'static str, u32),
}

impl Side {
    fn ours(parent: &str, booted: &Booted, dir: &Path) -> Self {
        let address = free_address();
        let file = dir.join("parent.toml");
        let folder = booted.dir().display();
        let text = format!("[transport]\nfolder = \"{folder}\"\n[https_proxy]\nlisten = \"{address}\"\n");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(parent);
        command.arg("--config").arg(file).arg("https-proxy");
        Self::start(address, String::new(), command, ("agent", PROBES[0]))
    }

    /// Each side's socat has the buffers, and the patience after a half-close, that ours has.
    fn socat(booted: &Booted) -> Self {
        let address = free_address();
        let port = address.port();
        let mut command = Command::new("socat");
        command
            .args(["-b65536", "-t60"])
            .arg(format!(
                "TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,backlog=128,nodelay"
            ))
            .arg(format!(
                "UNIX-CONNECT:{}",
                booted.dir().join("vsock.sock").display()
            ));
        let greeting = format!("CONNECT {SOCAT_PORT}\n");
        Self::start(address, greeting, command, ("socat1", PROBES[1]))
    }

    fn start(
        address: SocketAddr,
        greeting: String,
        mut command: Command,
        guest: (&'static str, u32),
    ) -> Self {
        let host = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let host = host.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let side = Self {
            address,
            greeting,
            host,
            guest,
        };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        side
    }

    /// A connection to the far end, as far as the client can see.
    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(e2e::PATIENCE)).unwrap();
        if !self.greeting.is_empty() {
            stream.write_all(self.greeting.as_bytes()).unwrap();
            let mut byte = [0];
            while byte != [b'\n'] {
                stream.read_exact(&mut byte).unwrap();
            }
        }
        stream
    }

    fn upload(&self, mut bytes: u64) {
        let mut stream = self.connect();
        stream.write_all(b"\x16U").unwrap();
        let piece = vec![0; PIECE];
        while bytes > 0 {
            let count = usize::try_from(bytes).unwrap().min(PIECE);
            stream.write_all(&piece[..count]).unwrap();
            bytes -= count as u64;
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"!", "the far end has had everything");
    }

    fn download(&self, bytes: u64) {
        let mut stream = self.connect();
        stream
            .write_all(&[&b"\x16D"[..], &bytes.to_be_bytes()].concat())
            .unwrap();
        let (mut piece, mut arrived) = (vec![0; PIECE], 0);
        loop {
            let count = stream.read(&mut piece).unwrap();
            if count == 0 {
                break;
            }
            arrived += count as u64;
        }
        assert_eq!(arrived, bytes);
    }

    /// CPU time so far, milliseconds.
    fn used(&self, booted: &Booted) -> [f64; 3] {
        let (program, port) = self.guest;
        let processes = probe::processes(booted.connect(port));
        let guest = processes.iter().filter(|process| process.name == program);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let guest = guest.map(|process| process.cpu_ms as f64);
        let stat = probe::told(booted.connect(port), "read /proc/stat");
        let ticks = stat.lines().next().unwrap().split_ascii_whitespace();
        // `proc(5)`: after the name, user, nice, system, idle, iowait, irq, softirq, in hundredths of a second.
        let ticks: Vec<f64> = ticks.skip(1).map(|word| word.parse().unwrap()).collect();
        let whole = (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) * 10.0;
        [host_cpu_ms(self.host.id()), guest.sum(), whole]
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.host.kill().ok();
        self.host.wait().ok();
    }
}

/// CPU time of a process and of its children that have ended, milliseconds.
fn host_cpu_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = after.split(' ').collect();
    // `proc(5)`: fields 14 to 17, in hundredths of a second; `after` begins with field 3.
    let ticks = fields[11..15].iter().map(|text| text.parse::<f64>().unwrap());
    ticks.sum::<f64>() * 10.0
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// What is measured.
struct Test {
    name: &'static str,
    /// What one connection does with its share of `units`.
    act: fn(&Side, u64),
    /// At once.
    connections: u64,
    /// Of one turn.
    units: u64,
    /// Units that are one in the table.
    scale: f64,
}

const TESTS: [Test; 6] = [
    Test::throughput("to the enclave, 1 connection, MB/s", Side::upload, 1),
    Test::throughput("to the enclave, 100 connections, MB/s", Side::upload, 100),
    Test::throughput("from the enclave, 1 connection, MB/s", Side::download, 1),
    Test::throughput("from the enclave, 100 connections, MB/s", Side::download, 100),
    Test::rate("connections/s, one at a time", 1, 100),
    Test::rate("connections/s, 100 at a time", 100, 400),
];

impl Test {
    const fn throughput(name: &'static str, act: fn(&Side, u64), connections: u64) -> Self {
        Self {
            name,
            act,
            connections,
            units: BYTES / connections * connections,
            scale: 1e6,
        }
    }

    /// Connections that carry a byte there and back.
    const fn rate(name: &'static str, connections: u64, units: u64) -> Self {
        let act = |side: &Side, count| {
            for _ in 0..count {
                side.upload(0);
            }
        };
        Self {
            name,
            act,
            connections,
            units,
            scale: 1.0,
        }
    }

    /// One line of the table.
    fn run(&self, booted: &Booted, sides: &[Side; 2]) {
        let mut speeds = [(); 2].map(|()| Vec::<f64>::new());
        let mut cpu = [[0.0; 3]; 2];
        for round in 0..ROUNDS {
            for turn in 0..2 {
                // Neither is always the first.
                let n = (round + turn) % 2;
                let before = sides[n].used(booted);
                speeds[n].push(self.turn(&sides[n]));
                // socat's children end a moment after their connections.
                std::thread::sleep(Duration::from_millis(300));
                let after = sides[n].used(booted);
                for ((sum, before), after) in cpu[n].iter_mut().zip(before).zip(after) {
                    *sum += after - before;
                }
            }
        }
        let ratio = median(speeds[0].iter().zip(&speeds[1]).map(|(a, b)| a / b).collect());
        let [ours, theirs] = speeds.map(median);
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let units = (self.units * ROUNDS as u64) as f64 / self.scale;
        print!("{:44}{ours:9.1}{theirs:9.1}{ratio:7.2}  ", self.name);
        for (ours, theirs) in cpu[0].iter().zip(cpu[1]) {
            print!(" {:8.2} /{:8.2}", ours / units, theirs / units);
        }
        println!();
    }

    /// Units a second.
    fn turn(&self, side: &Side) -> f64 {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..self.connections {
                scope.spawn(|| (self.act)(side, self.units / self.connections));
            }
        });
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let units = self.units as f64;
        units / self.scale / began.elapsed().as_secs_f64()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

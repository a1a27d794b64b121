//! What a signature of web3signer-rs costs beside the bare BLS signature, its latency at half load, and what keys cost.
//!
//!     bench-signer PATH_OF_WEB3SIGNER
//!
//! The server has one processor, this program another. Every request is a block proposal of its own: TLS, HTTP, JSON,
//! roots, slashing protection in memory with its journal, and the signature. Rounds of bare signatures alternate with rounds
//! of requests, so that both see the same machine.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

mod client;
mod server;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use client::Connection;
use keystore::SecretKey;
use server::Server;

const GENESIS: u64 = 1_606_824_023;
const KEYS: u64 = 600;
/// Slots of the epoch after the present one: each key may propose in each of them once, in order.
const SLOTS: u64 = 32;
const CONNECTIONS: usize = 4;
const ROUNDS: usize = 4;

fn main() -> Result<()> {
    let program = PathBuf::from(
        std::env::args_os()
            .nth(1)
            .context("usage: bench-signer PATH_OF_WEB3SIGNER")?,
    );
    let size = fs::metadata(&program)
        .with_context(|| program.display().to_string())?
        .len();
    println!("program                         {:>10.2} MB", mega(size));
    signatures(&program)?;
    keys(&program)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn secret(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let tail = bytes.last_chunk_mut::<8>();
    if let Some(tail) = tail {
        *tail = (number + 1).to_be_bytes();
    }
    bytes
}

fn write_keys(folder: &Path, count: u64) -> Result<()> {
    let documents: Vec<String> = (0..count)
        .map(|number| {
            format!(
                "type: file-raw\nprivateKey: \"0x{}\"\n",
                hex::encode(secret(number))
            )
        })
        .collect();
    Ok(fs::write(folder.join("keys.yaml"), documents.join("---\n"))?)
}

/// One request for each key and slot, slots ascending.
fn requests() -> Result<Vec<Vec<u8>>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "slashing protection in memory asks for the present epoch"
    )]
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let first = ((now - GENESIS) / 12 / SLOTS + 1) * SLOTS;
    let mut names = Vec::new();
    for number in 0..KEYS {
        names.push(hex::encode(
            SecretKey::from_bytes(&secret(number))?.public_key().as_bytes(),
        ));
    }
    let mut requests = Vec::new();
    for slot in first..first + SLOTS {
        for name in &names {
            let root = "0x29860e002b1a9ee1bb7c8389b6ee5583e12ef8119d117c9752fd16691768347f";
            let body = format!(
                r#"{{"type":"BLOCK_V2","fork_info":{{"fork":{{"previous_version":"0x05000000","current_version":"0x06000000","epoch":"411392"}},"genesis_validators_root":"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"}},"beacon_block":{{"version":"FULU","block_header":{{"slot":"{slot}","proposer_index":"1","parent_root":"{root}","state_root":"{root}","body_root":"{root}"}}}}}}"#
            );
            requests.push(
                format!(
                    "POST /api/v1/eth2/sign/0x{name} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
                .into_bytes(),
            );
        }
    }
    Ok(requests)
}

/// Time on a processor of one bare signature.
fn bare(count: u32) -> Result<Duration> {
    let key = SecretKey::from_bytes(&secret(7))?;
    let file = Path::new("/proc/thread-self/schedstat");
    let before = server::on_cpu(file)?;
    for number in 0..count {
        let mut root = [1; 32];
        if let Some(head) = root.first_chunk_mut::<4>() {
            *head = number.to_be_bytes();
        }
        black_box(key.sign(&root));
    }
    Ok(Duration::from_nanos(server::on_cpu(file)? - before) / count)
}

fn signatures(program: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_keys(folder.path(), KEYS)?;
    let server = Server::start(program, folder.path())?;
    let requests = requests()?;
    let config = client::config(&server::tls_files())?;
    // Half of the duties for the cost, half for the latency.
    let (for_cost, for_latency) = requests.split_at(requests.len() / 2);
    let (mut bare_sum, mut cpu_sum, mut elapsed) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut count = 0_u32;
    for round in for_cost.chunks(for_cost.len() / ROUNDS) {
        bare_sum += bare(1000)?;
        let (cpu, began) = (server.cpu()?, Instant::now());
        let times = send(round, server.port, &config, None)?;
        elapsed += began.elapsed();
        cpu_sum += server.cpu()?.saturating_sub(cpu);
        count += u32::try_from(times.len())?;
    }
    let bare = bare_sum / u32::try_from(ROUNDS)?;
    let each = cpu_sum / count;
    let rate = f64::from(count) / elapsed.as_secs_f64();
    println!(
        "bare BLS signature              {:>10.1} us of processor time",
        micros(bare)
    );
    println!(
        "signature over HTTPS            {:>10.1} us of the server's processor time",
        micros(each)
    );
    println!(
        "ratio (1.0: nothing but BLS)    {:>10.3}",
        bare.as_secs_f64() / each.as_secs_f64()
    );
    println!("signatures per second           {rate:>10.0} on one processor, {CONNECTIONS} connections");
    let mut times = send(for_latency, server.port, &config, Some(rate / 2.0))?;
    times.sort_unstable();
    for (name, thousandths) in [("p50", 500), ("p99", 990), ("p999", 999)] {
        let at = (times.len() * thousandths / 1000).min(times.len() - 1);
        let time = times.get(at).copied().unwrap_or_default();
        println!(
            "{name:<4} at half of that load        {:>10.2} ms",
            micros(time) / 1000.0
        );
    }
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Sends requests over all connections; with a rate, each at its time. A request that is late because the one before
/// it was slow counts from the time at which it should have gone.
fn send(
    requests: &[Vec<u8>],
    port: u16,
    config: &Arc<rustls::ClientConfig>,
    rate: Option<f64>,
) -> Result<Vec<Duration>> {
    std::thread::scope(|scope| {
        let mut workers = Vec::new();
        for worker in 0..CONNECTIONS {
            workers.push(scope.spawn(move || -> Result<Vec<Duration>> {
                let mut connection = Connection::open(port, config)?;
                let began = Instant::now();
                let mut times = Vec::new();
                for (number, request) in requests.iter().enumerate().skip(worker).step_by(CONNECTIONS) {
                    let due = rate.map(|rate| {
                        began + Duration::from_secs_f64(f64::from(u32::try_from(number).unwrap_or(0)) / rate)
                    });
                    if let Some(wait) = due.map(|due| due.saturating_duration_since(Instant::now())) {
                        std::thread::sleep(wait);
                    }
                    let sent = due.unwrap_or_else(Instant::now);
                    connection.sign(request)?;
                    times.push(sent.elapsed());
                }
                Ok(times)
            }));
        }
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| anyhow::anyhow!("a worker failed"))??);
        }
        Ok(all)
    })
}

fn keys(program: &Path) -> Result<()> {
    const MANY: u64 = 10_000;
    let folder = tempfile::tempdir()?;
    write_keys(folder.path(), 1)?;
    let one = Server::start(program, folder.path())?;
    let (started, base) = (one.started_in, one.resident()?);
    drop(one);
    println!(
        "start to listening, 1 key       {:>10.0} ms",
        micros(started) / 1000.0
    );
    println!("memory, 1 key                   {:>10.1} MB", mega(base));
    write_keys(folder.path(), MANY)?;
    let many = Server::start(program, folder.path())?;
    let resident = many.resident()?;
    println!(
        "start to listening, {MANY} keys {:>9.2} s",
        many.started_in.as_secs_f64()
    );
    println!(
        "memory, {MANY} keys           {:>10.1} MB, {} bytes for each key",
        mega(resident),
        resident.saturating_sub(base) / MANY
    );
    Ok(())
}

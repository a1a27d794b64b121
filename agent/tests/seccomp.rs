//! Everything that the agent does is done under its system call filter. What the filter may allow is in `tests/repo`.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{BufRead, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde_json::json;
use support::enclave::Enclave;
use support::{Settings, TestAgent, TestNsm, config};

#[expect(dead_code, reason = "other files need more of it")]
mod support;

const FILTER: &str = include_str!("../../rootfs/seccomp/agent.json");

fn program() -> BpfProgram {
    compile_from_json(FILTER.as_bytes(), TargetArch::x86_64)
        .unwrap()
        .remove("main")
        .unwrap()
}

/// A call that is missing kills this test: the filter holds for the agent's thread and those that it starts.
#[test]
fn everything_is_done_under_the_filter() {
    let signer = TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let enclave = Enclave::new(dir.path().to_owned());
    // Left by an agent before this one.
    std::fs::write(dir.path().join("provision"), "").unwrap();
    // A pipe as PID 1 makes it, open at both ends.
    let pipe = dir.path().join("output");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let mut output = std::fs::File::options()
        .read(true)
        .write(true)
        .open(pipe)
        .unwrap();
    let mut settings = Settings::new(TestNsm::default());
    settings.provisioned = true;
    settings.signer = signer.local_addr().unwrap();
    settings.bounds.receive = Duration::from_secs(5);
    enclave.play_signer(signer, &enclave.signer);
    let agent = TestAgent::within(dir, settings, || seccompiler::apply_filter(&program()).unwrap());
    enclave.play_pid1(&agent.pid1);
    messages(&agent);
    output
        .write_all(b"from the signer\nprivate key: x\nthe end\n")
        .unwrap();
    log(&agent);
    let port = bootstrap(&agent);
    tunnel(&agent, port);
    faults(&agent);
}

fn messages(agent: &TestAgent) {
    let status = r#"{"operation":"status"}"#;
    let attest = r#"{"operation":"attest","nonce":"00ff"}"#;
    // More than the boot file ever holds, so that buffers grow to their largest.
    let good = std::fs::read_to_string(agent.path("boot")).unwrap();
    let line = good.lines().next().unwrap().to_owned() + "\n";
    agent.write(
        "boot",
        &line.repeat(abi::events::MAX_BOOT_FILE_BYTES / line.len()),
    );
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for (message, expected) in [(status, 200), (attest, 200), ("{}", 400), ("\u{16}", 400)] {
                    assert_eq!(agent.ask(message)["status"], json!(expected));
                }
            });
        }
    });
    let long = format!("{}{status}", " ".repeat((16 << 20) - status.len()));
    assert_eq!(agent.ask(&long)["status"], json!(200));
    let slow = agent.connect();
    assert_eq!(support::answer(slow)["status"], json!(408));
    agent.write("boot", &good);
    let mut garbage = agent.connect_to("service");
    garbage.write_all(b"GET /").unwrap();
    let mut all = Vec::new();
    drop(garbage.read_to_end(&mut all));
    assert_eq!(all, b"");
}

fn log(agent: &TestAgent) {
    let listener = UnixListener::bind(agent.path("parent-9002")).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(support::ENOUGH)).unwrap();
    let mut said = Vec::new();
    for line in std::io::BufReader::new(stream).lines() {
        let record: control::log::Record = serde_json::from_str(&line.unwrap()).unwrap();
        if let Some(text) = record.text {
            said.push((text, record.dropped));
        }
        if said.len() == 2 {
            break;
        }
    }
    assert_eq!(
        said,
        [("from the signer".to_owned(), 0), ("the end".to_owned(), 1)]
    );
    let next = agent.path("events.new");
    std::fs::write(&next, "nitro-init uptime_ms=22 stage=running event=ok\n").unwrap();
    std::fs::rename(next, agent.path("events")).unwrap();
    drop(listener.accept().unwrap());
}

fn bootstrap(agent: &TestAgent) -> u16 {
    let free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut config = config("hoodi");
    config["outbound"] = json!([{"name": "a.example.org", "port": port, "vsock_port": 8101}]);
    let configured = agent.ask(&json!({"operation": "configure", "config": config}).to_string());
    assert_eq!(configured["status"], 200, "{configured}");
    let key = |n: u8| json!({"ciphertext": "AQID", "pubkey": format!("{n:02x}{}", "ab".repeat(47))});
    let init = json!({
        "operation": "init",
        "credential": {"access_key_id": "id", "secret_access_key": "secret", "token": ""},
        "encrypted_tls_key": {"ciphertext": "AAAA"}, "encrypted_clients": {"ciphertext": "AAEC"},
        "encrypted_validator_keys": [key(1)],
    });
    assert_eq!(agent.ask_service(&init.to_string())["status"], 200);
    let add = json!({"operation": "add_keys", "encrypted_validator_keys": [key(2)]});
    assert_eq!(agent.ask(&add.to_string())["status"], 200);
    assert_eq!(agent.ask(r#"{"operation":"metrics"}"#)["status"], 200);
    let mut tls = agent.connect_to("service");
    tls.write_all(b"\x16\x03\x01\x00\x01\x00").unwrap();
    // Half a record: the signer gives up when no more comes.
    tls.shutdown(std::net::Shutdown::Write).unwrap();
    drop(tls.read_to_end(&mut Vec::new()));
    let metrics = agent.ask(r#"{"operation":"metrics"}"#);
    let text = metrics["body"]["text"].as_str().unwrap();
    assert!(text.contains("nitro_agent_tls_total 1\n"), "{text}");
    port
}

fn tunnel(agent: &TestAgent, port: u16) {
    let listener = UnixListener::bind(agent.path("parent-8101")).unwrap();
    let mut inside = TcpStream::connect((Ipv4Addr::new(127, 0, 1, 1), port)).unwrap();
    let (mut parent, _) = listener.accept().unwrap();
    inside.write_all(&vec![7; 200_000]).unwrap();
    inside.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = Vec::new();
    parent.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 200_000);
    drop(parent);
    inside.read_to_end(&mut all).unwrap();
}

fn faults(agent: &TestAgent) {
    let status = r#"{"operation":"status"}"#;
    std::fs::remove_file(agent.path("boot")).unwrap();
    assert_eq!(agent.ask(status)["status"], json!(500));
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        // The files that are not there are looked for, and the signer is asked.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(agent.ask(r#"{"operation":"metrics"}"#)["status"], 200);
}

//! A watchdog as a program, and its world: a stand-in for nitro-cli, an agent behind Unix sockets, AWS on loopback.

use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::agent::Agent;
use super::aws::{self, SECRET, TOKEN, Tables};
use super::{Folder, PATIENCE, until};

pub(crate) const STACK: &str = "00000000-0000-4000-8000-000000000001";

pub(crate) fn key(n: usize) -> String {
    format!("{n:096x}")
}

pub(crate) fn item(n: usize, active: &Value) -> Value {
    json!({
        "web3signer_uuid": { "S": STACK }, "pubkey": { "S": key(n) }, "active": active,
        "encrypted_key_password_mnemonic_b64": { "S": format!("QUJD{n:04}") }, "chain": { "S": "holesky" },
    })
}

pub(crate) fn tables() -> Tables {
    let yes = [json!({ "BOOL": true }), json!({ "S": "true" })];
    let mut keys: Vec<Value> = (0..25).map(|n| item(n, &yes[n % 2])).collect();
    keys.push(item(900, &json!({ "BOOL": false })));
    keys.push(item(901, &json!({ "S": "false" })));
    let tls = json!({
        "key_id": { "N": "1" }, "encrypted_tls_key_b64": { "S": "VExT" }, "encrypted_clients_b64": { "S": "Q0xJ" },
        "encrypted_slashing_credential_b64": { "S": "U0xB" },
    });
    Tables {
        tls: Some(tls),
        keys,
        number: true,
        pages: 0,
    }
}

/// A watchdog and its world. Dropping it kills the program.
pub(crate) struct World {
    pub(crate) folder: Folder,
    pub(crate) agent: Agent,
    pub(crate) child: Child,
    pub(crate) log: PathBuf,
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
    pub(crate) metrics: SocketAddr,
    pub(crate) tables: Arc<Mutex<Tables>>,
    pub(crate) lives: Arc<Mutex<Duration>>,
}

pub(crate) struct Setup {
    pub(crate) agent: Agent,
    pub(crate) tables: Tables,
    pub(crate) lives: Duration,
    pub(crate) more: &'static str,
    pub(crate) before: fn(&std::path::Path),
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            agent: Agent::new("unconfigured"),
            tables: tables(),
            lives: Duration::from_hours(6),
            more: "",
            before: |_| (),
        }
    }
}

pub(crate) const CONFIG: &str = r#"
[log]
level = "debug"
[transport]
folder = "FOLDER"
connect_s = 2
[watchdog]
imds_endpoint = "http://IMDS"
metrics = "METRICS"
MORE
[watchdog.enclave]
launcher = "nitro-cli"
program = "FOLDER/nitro-cli"
image = "/x/native.eif"
cpus = 2
memory_mib = 512
[watchdog.tables]
region = "eu-central-1"
tls = "tls"
validators = "validators"
web3signer_uuids = ["STACK"]
endpoint = "http://DYNAMODB"
page_size = 10
[watchdog.times]
boot_s = 5
probe_s = 0.1
probes = 3
first_pause_s = 0.2
stop_s = 5
[deployment]
schema = 1
region = "eu-central-1"
kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-4000-8000-000000000000"
stacks = ["STACK"]
network = "holesky"
client_authentication = "known-clients"
slashing_store = { kind = "memory" }
artefact_versions = { tls_key = 0, clients = 0, slashing_credential = 0 }
outbound = []
"#;

impl World {
    pub(crate) async fn start(setup: Setup) -> Self {
        let folder = setup.agent.serve();
        let dir = folder.path();
        std::fs::copy(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/nitro-cli.sh"),
            dir.join("nitro-cli"),
        )
        .unwrap();
        (setup.before)(dir);
        let lives = Arc::new(Mutex::new(setup.lives));
        let tables = Arc::new(Mutex::new(setup.tables));
        let (imds, dynamodb) = (
            aws::imds(Arc::clone(&lives)).await,
            aws::dynamodb(Arc::clone(&tables)).await,
        );
        let (free, metrics) = super::listener().await;
        drop(free);
        let config = CONFIG
            .replace("FOLDER", dir.to_str().unwrap())
            .replace("IMDS", &imds.to_string())
            .replace("DYNAMODB", &dynamodb.to_string())
            .replace("METRICS", &metrics.to_string())
            .replace("STACK", STACK)
            .replace("MORE", setup.more);
        let config = super::write(dir.join("parent.toml"), config);
        let notified = UnixDatagram::bind(dir.join("notify")).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bytes = [0; 256];
            while let Ok(count) = notified.recv(&mut bytes) {
                kept.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&bytes[..count]).into_owned());
            }
        });
        let log = dir.join("log");
        let child = Command::new(env!("CARGO_BIN_EXE_parent"))
            .args(["watchdog", "--config"])
            .arg(config)
            .env("NOTIFY_SOCKET", dir.join("notify"))
            .env("WATCHDOG_USEC", "200000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self {
            folder,
            agent: setup.agent,
            child,
            log,
            heard,
            metrics,
            tables,
            lives,
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        text.lines()
            .filter(|line| !line.starts_with("describe"))
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn heard(&self, word: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|text| text == word)
    }

    pub(crate) async fn logged(&self, text: &str) {
        let begin = Instant::now();
        while !self.log().contains(text) {
            assert!(begin.elapsed() < PATIENCE, "never said {text:?}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn ready(&self) {
        until("READY", || self.heard("READY=1")).await;
    }

    pub(crate) fn hang_up(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
    }

    pub(crate) fn terminate(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    pub(crate) async fn ends_well(mut self) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(status.code(), Some(0), "{}", self.log());
        until("STOPPING", || self.heard("STOPPING=1")).await;
        let log = self.log();
        for secret in [SECRET, TOKEN, "QUJD0001", "VExT"] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

//! An agent on Unix sockets, with everything around it played by the tests: the module, PID 1, `provision`, the signer, the parent.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abi::boot::Stage;
use abi::events::{Event, Key, Kind};
use agent::channel::Channel;
use agent::connection::{BOUNDS, Bounds};
use agent::core::{Core, Parts, Patience};
use agent::dial::{Dial, Dialling, Stream};
use agent::handover::Handover;
use agent::listen::Listener;
use agent::measured;
use agent::phase::Machine;
use agent::pid1::Pid1;
use agent::ring::Ring;
use agent::run::{self, Voices};
use agent::sources::Sources;
use control::log::Source;
use control::policy::{Distribution, ImagePolicy, Signer, Trust, Users};
use nsm::{Description, ErrorCode, Nsm, NsmError, Pcr, PcrIndex, PcrState};
use serde_json::{Value, json};

pub(crate) mod enclave;
pub(crate) mod scene;

/// Longer than any test takes: nothing that only a busy machine delays is late.
pub(crate) const ENOUGH: Duration = Duration::from_mins(2);

/// Short enough to wait for in a test.
pub(crate) const SHORT: Duration = Duration::from_millis(1500);

/// What was given to `attest`: user data and nonce.
pub(crate) type Asked = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A module that keeps registers and remembers what it was asked.
#[derive(Default)]
pub(crate) struct TestNsm {
    pub(crate) pcrs: Mutex<BTreeMap<u16, [u8; 48]>>,
    pub(crate) locked: Mutex<BTreeSet<u16>>,
    pub(crate) asked: Mutex<Vec<Asked>>,
    /// How long each attestation takes.
    pub(crate) delay: Duration,
    /// Requests that are refused, by their name.
    pub(crate) broken: Mutex<BTreeSet<&'static str>>,
}

impl TestNsm {
    pub(crate) fn breaking(&self, requests: &[&'static str]) {
        *self.broken.lock().unwrap() = requests.iter().copied().collect();
    }

    fn refused<T>(&self, request: &'static str, answer: T) -> Result<T, NsmError> {
        if self.broken.lock().unwrap().contains(request) {
            Err(NsmError::Refused {
                request,
                code: ErrorCode::InternalError,
            })
        } else {
            Ok(answer)
        }
    }

    pub(crate) fn register(&self, index: u16) -> [u8; 48] {
        self.pcrs.lock().unwrap().get(&index).copied().unwrap_or([0; 48])
    }
}

impl Nsm for TestNsm {
    fn describe(&self) -> Result<Description, NsmError> {
        let module_id = "i-0123456789abcdef0-enc0123456789abcdef".to_owned();
        let locked_pcrs = PcrIndex::all().take(16).collect();
        self.refused(
            "DescribeNSM",
            Description {
                version: (1, 0, 0),
                module_id,
                max_pcrs: 32,
                locked_pcrs,
            },
        )
    }

    fn describe_pcr(&self, index: PcrIndex) -> Result<PcrState, NsmError> {
        let number = index.number();
        let state = PcrState {
            locked: number < 16 || self.locked.lock().unwrap().contains(&number),
            value: Pcr(self.register(number)),
        };
        self.refused("DescribePCR", state)
    }

    fn extend_pcr(&self, index: PcrIndex, data: &[u8]) -> Result<Pcr, NsmError> {
        self.refused("ExtendPCR", ())?;
        if self.describe_pcr(index)?.locked {
            return Err(NsmError::Refused {
                request: "ExtendPCR",
                code: ErrorCode::ReadOnlyIndex,
            });
        }
        let value = measured::sha384(&[&self.register(index.number()), data]);
        self.pcrs.lock().unwrap().insert(index.number(), value);
        Ok(Pcr(value))
    }

    fn lock_pcr(&self, _: PcrIndex) -> Result<(), NsmError> {
        Err(NsmError::Mismatch { request: "LockPCR" })
    }

    fn lock_pcrs_through(&self, last: PcrIndex) -> Result<(), NsmError> {
        self.refused("LockPCRs", ())?;
        self.locked.lock().unwrap().extend(0..=last.number());
        Ok(())
    }

    fn attest(&self, user_data: Option<&[u8]>, nonce: Option<&[u8]>) -> Result<Vec<u8>, NsmError> {
        std::thread::sleep(self.delay);
        let asked = (user_data.map(<[u8]>::to_vec), nonce.map(<[u8]>::to_vec));
        self.asked.lock().unwrap().push(asked);
        self.refused("Attestation", b"\x84document".to_vec())
    }

    fn random(&self) -> Result<zeroize::Zeroizing<Vec<u8>>, NsmError> {
        Err(NsmError::Mismatch { request: "GetRandom" })
    }
}

/// A Unix socket whose peers all have one CID.
struct UnixPort {
    listener: tokio::net::UnixListener,
    cid: u32,
}

impl Listener for UnixPort {
    type Stream = tokio::net::UnixStream;

    async fn accept(&self) -> std::io::Result<(tokio::net::UnixStream, u32)> {
        Ok((self.listener.accept().await?.0, self.cid))
    }
}

/// Ports of the parent, as sockets in a folder.
struct Parent(PathBuf);

impl Dial for Parent {
    fn dial(&self, port: u32) -> Dialling<'_> {
        let path = self.0.join(format!("parent-{port}"));
        Box::pin(async move {
            let stream = tokio::net::UnixStream::connect(path).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// What differs between agents.
pub(crate) struct Settings {
    pub(crate) nsm: Arc<TestNsm>,
    pub(crate) cid: u32,
    pub(crate) policy: ImagePolicy,
    pub(crate) patience: Patience,
    pub(crate) bounds: Bounds,
    pub(crate) signer: SocketAddr,
    /// Whether `provision` is listened for.
    pub(crate) provisioned: bool,
}

impl Settings {
    pub(crate) fn new(nsm: TestNsm) -> Self {
        let policy = ImagePolicy {
            schema: 1,
            trust: Trust {
                memory_slashing: true,
                ..Trust::default()
            },
            deployment: None,
            signer: Signer {
                distribution: Distribution::Native,
                start_within_s: 60,
                upcheck_every_s: 1,
                upcheck_within_s: 20,
            },
            users: Users {
                agent: 101,
                signer: Some(102),
            },
        };
        Self {
            nsm: Arc::new(nsm),
            cid: abi::vsock::PARENT_CID,
            patience: Patience {
                module: ENOUGH,
                job: ENOUGH,
                signer: ENOUGH,
                stop: Duration::from_secs(5),
            },
            policy,
            bounds: Bounds {
                receive: ENOUGH,
                send: ENOUGH,
                linger: Duration::from_millis(100),
                ..BOUNDS
            },
            signer: ([127, 0, 0, 1], 1).into(),
            provisioned: false,
        }
    }
}

/// A running agent; its thread ends with the test process, or when PID 1's end of the channel is closed.
pub(crate) struct TestAgent {
    pub(crate) dir: Arc<tempfile::TempDir>,
    pub(crate) nsm: Arc<TestNsm>,
    /// PID 1's end.
    pub(crate) pid1: UnixStream,
    pub(crate) ring: Ring,
    pub(crate) core: Arc<Core>,
}

impl TestAgent {
    pub(crate) fn start(nsm: TestNsm) -> Self {
        Self::with(Settings::new(nsm))
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::after(settings, || ())
    }

    /// Starts an agent whose thread runs `first` when it has its sockets, before it serves anyone.
    pub(crate) fn after(settings: Settings, first: impl FnOnce() + Send + 'static) -> Self {
        Self::within(Arc::new(tempfile::tempdir().unwrap()), settings, first)
    }

    /// As [`Self::after`], in the folder of an agent that has ended.
    pub(crate) fn within(
        dir: Arc<tempfile::TempDir>,
        settings: Settings,
        first: impl FnOnce() + Send + 'static,
    ) -> Self {
        let at = |name: &str| dir.path().join(name);
        prepare(dir.path());
        let (pid1, theirs) = UnixStream::pair().unwrap();
        let sources = Sources {
            boot: at("boot"),
            uptime: at("uptime"),
            rng: at("rng"),
            clock: at("clock"),
        };
        let voices = Voices {
            events: vec![at("boot"), at("events")],
            outputs: vec![(at("output"), Source::Signer)],
        };
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (nsm, folder) = (Arc::clone(&settings.nsm), dir.path().to_owned());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().max_blocking_threads(1).build().unwrap();
            runtime.block_on(async {
                let port = |name: &str| {
                    let path = folder.join(name);
                    drop(std::fs::remove_file(&path));
                    UnixPort {
                        listener: tokio::net::UnixListener::bind(path).unwrap(),
                        cid: settings.cid,
                    }
                };
                let (service, control) = (port("service"), port("control"));
                first();
                let own = std::fs::metadata(&folder).unwrap();
                let user = std::os::unix::fs::MetadataExt::uid(&own);
                let handover = settings
                    .provisioned
                    .then(|| Handover::listen(&folder.join("provision"), user).unwrap());
                let register = measured::read(&*settings.nsm).unwrap();
                let ring = Ring::new(Arc::new(|| 4200));
                let parts = Parts {
                    nsm: settings.nsm,
                    pid1: Pid1::new(&Channel::take(&theirs).unwrap()).unwrap(),
                    handover,
                    policy: settings.policy,
                    sources,
                    ring: ring.clone(),
                    dial: Arc::new(Parent(folder.clone())),
                    signer: settings.signer,
                    hosts: folder.join("hosts"),
                    patience: settings.patience,
                };
                drop(theirs);
                let core = Arc::new(Core::new(parts, Machine::new(register)));
                ready.send((ring, Arc::clone(&core))).unwrap();
                drop(run::run(core, service, control, voices, settings.bounds).await);
            });
        });
        let (ring, core) = is_ready.recv().unwrap();
        Self {
            dir,
            nsm,
            pid1,
            ring,
            core,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn write_append(&self, name: &str, content: &str) {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    pub(crate) fn connect(&self) -> UnixStream {
        self.connect_to("control")
    }

    pub(crate) fn connect_to(&self, port: &str) -> UnixStream {
        let stream = UnixStream::connect(self.path(port)).unwrap();
        stream.set_read_timeout(Some(ENOUGH)).unwrap();
        stream
    }

    /// Sends the pieces one by one, each in a packet of its own as far as a test can say.
    pub(crate) fn send(&self, pieces: &[&[u8]]) -> UnixStream {
        let mut stream = self.connect();
        for piece in pieces {
            stream.write_all(piece).unwrap();
            std::thread::yield_now();
        }
        stream
    }

    pub(crate) fn ask(&self, message: &str) -> Value {
        answer(self.send(&[message.as_bytes()]))
    }

    pub(crate) fn ask_service(&self, message: &str) -> Value {
        let mut stream = self.connect_to("service");
        stream.write_all(message.as_bytes()).unwrap();
        answer(stream)
    }

    pub(crate) fn phase(&self) -> String {
        self.ask(r#"{"operation":"status"}"#)["body"]["phase"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

/// The files of PID 1 and the kernel.
fn prepare(folder: &Path) {
    let events = [
        Event::new(3, Stage::Mounts, Kind::Ok),
        Event::new(4, Stage::Modules, Kind::Skipped),
        Event::new(9, Stage::Heartbeat, Kind::Retry).with(Key::Attempt, 1),
        Event::new(12, Stage::Heartbeat, Kind::Ok),
        Event::new(20, Stage::Services, Kind::Started).with(Key::Service, "agent"),
    ];
    let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
    let boot = folder.join("boot");
    if !boot.exists() {
        std::fs::write(boot, lines.join("\n") + "\n").unwrap();
    }
    std::fs::write(folder.join("uptime"), "4.20 1.00\n").unwrap();
    std::fs::write(folder.join("rng"), "nsm-hwrng\n").unwrap();
    let clock = Event::new(4100, Stage::Running, Kind::Clock)
        .with(Key::Source, "ptp-kvm")
        .with(Key::OffsetUs, -12);
    std::fs::write(folder.join("clock"), format!("{clock}\n")).unwrap();
}

/// The bytes of the answer, up to the end of the connection.
pub(crate) fn bytes(mut stream: UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

pub(crate) fn answer(stream: UnixStream) -> Value {
    let bytes = bytes(stream);
    serde_json::from_slice(&bytes).unwrap()
}

/// A deployment config.
pub(crate) fn config(network: &str) -> Value {
    json!({
        "schema": 1, "region": "eu-central-1",
        "kms_key_arn": "arn:aws:kms:eu-central-1:111122223333:key/12345678-0000-4000-8000-00000000000b",
        "stacks": ["0f9e8d7c-0000-4000-8000-00000000000a"], "network": network,
        "client_authentication": "known-clients", "slashing_store": {"kind": "memory"}, "outbound": [],
        "artefact_versions": {"tls_key": 0, "clients": 0, "slashing_credential": 0},
    })
}

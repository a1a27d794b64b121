//! An agent on a Unix socket, with a module of the tests' own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abi::boot::Stage;
use abi::events::{Event, Key, Kind};
use agent::connection::Bounds;
use agent::frame::Limits;
use agent::listen::{self, Listener};
use agent::operations::Operations;
use agent::sources::Sources;
use nsm::{Description, ErrorCode, Nsm, NsmError, Pcr, PcrIndex, PcrState};
use serde_json::Value;

/// Deadlines of an agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// For a message to arrive.
    pub(crate) receive: Duration,
    /// For the module to answer.
    pub(crate) patience: Duration,
}

/// Longer than any test takes: nothing that only a busy machine delays is late.
const ENOUGH: Duration = Duration::from_mins(2);

/// For tests in which nothing is to be late.
pub(crate) const AMPLE: Deadlines = Deadlines {
    receive: ENOUGH,
    patience: ENOUGH,
};

/// Short enough to wait for in a test.
pub(crate) const SHORT: Duration = Duration::from_millis(1500);

const fn bounds(receive: Duration) -> Bounds {
    Bounds {
        message: Limits {
            bytes: 4096,
            depth: 8,
        },
        receive,
        send: ENOUGH,
        linger: Duration::from_millis(100),
    }
}

/// What was given to `attest`: user data and nonce.
pub(crate) type Asked = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A module that remembers what it was asked.
#[derive(Default)]
pub(crate) struct TestNsm {
    pub(crate) pcrs: BTreeMap<u16, [u8; 48]>,
    pub(crate) asked: Mutex<Vec<Asked>>,
    /// How long each attestation takes.
    pub(crate) delay: Duration,
    /// Refuse everything.
    pub(crate) broken: bool,
}

impl TestNsm {
    fn refused<T>(&self, request: &'static str, answer: T) -> Result<T, NsmError> {
        if self.broken {
            Err(NsmError::Refused {
                request,
                code: ErrorCode::InternalError,
            })
        } else {
            Ok(answer)
        }
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
        let value = self
            .pcrs
            .get(&index.number())
            .map_or(Pcr::ZERO, |bytes| Pcr(*bytes));
        self.refused(
            "DescribePCR",
            PcrState {
                locked: index.number() < 16,
                value,
            },
        )
    }

    fn extend_pcr(&self, _: PcrIndex, _: &[u8]) -> Result<Pcr, NsmError> {
        Err(NsmError::Mismatch { request: "ExtendPCR" })
    }

    fn lock_pcr(&self, _: PcrIndex) -> Result<(), NsmError> {
        Err(NsmError::Mismatch { request: "LockPCR" })
    }

    fn lock_pcrs_through(&self, _: PcrIndex) -> Result<(), NsmError> {
        Err(NsmError::Mismatch { request: "LockPCRs" })
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

/// A running agent; its thread ends with the test process.
pub(crate) struct TestAgent {
    dir: tempfile::TempDir,
    pub(crate) nsm: Arc<TestNsm>,
}

impl TestAgent {
    pub(crate) fn start(nsm: TestNsm) -> Self {
        Self::start_for(nsm, abi::vsock::PARENT_CID)
    }

    pub(crate) fn start_for(nsm: TestNsm, cid: u32) -> Self {
        Self::start_with(nsm, cid, AMPLE, || ())
    }

    pub(crate) fn start_within(nsm: TestNsm, deadlines: Deadlines) -> Self {
        Self::start_with(nsm, abi::vsock::PARENT_CID, deadlines, || ())
    }

    /// Starts an agent whose thread runs `first` when it has its socket, before it serves anyone.
    pub(crate) fn start_after(
        nsm: TestNsm,
        deadlines: Deadlines,
        first: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self::start_with(nsm, abi::vsock::PARENT_CID, deadlines, first)
    }

    fn start_with(
        nsm: TestNsm,
        cid: u32,
        deadlines: Deadlines,
        first: impl FnOnce() + Send + 'static,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let nsm = Arc::new(nsm);
        let agent = Self {
            dir,
            nsm: Arc::clone(&nsm),
        };
        let events = [
            Event::new(3, Stage::Mounts, Kind::Ok),
            Event::new(4, Stage::Modules, Kind::Skipped),
            Event::new(9, Stage::Heartbeat, Kind::Retry).with(Key::Attempt, 1),
            Event::new(12, Stage::Heartbeat, Kind::Ok),
            Event::new(20, Stage::Services, Kind::Started).with(Key::Service, "agent"),
        ];
        let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
        agent.write("boot", &(lines.join("\n") + "\n"));
        agent.write("uptime", "4.20 1.00\n");
        agent.write("rng", "nsm-hwrng\n");
        let sources = Sources {
            boot: agent.path("boot"),
            uptime: agent.path("uptime"),
            rng: agent.path("rng"),
        };
        let socket = agent.path("socket");
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().max_blocking_threads(1).build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::bind(socket).unwrap();
                let listener = UnixPort { listener, cid };
                first();
                ready.send(()).unwrap();
                let operations = Operations::new(nsm, sources, deadlines.patience);
                listen::serve(&listener, &operations, bounds(deadlines.receive))
                    .await
                    .unwrap();
            });
        });
        is_ready.recv().unwrap();
        agent
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path("socket")).unwrap();
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
}

/// The bytes of the answer, up to the end of the connection.
pub(crate) fn bytes(mut stream: UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

pub(crate) fn answer(stream: UnixStream) -> Value {
    serde_json::from_slice(&bytes(stream)).unwrap()
}

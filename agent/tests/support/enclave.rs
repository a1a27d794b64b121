//! PID 1, `provision` and the signer, as threads of the tests.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use abi::boot::Stage;
use abi::events::{Event, Key, Kind};
use abi::request::{Reply, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::artefact::Kind as Artefact;
use control::config::ArtefactVersions;
use control::provision::{
    self, Binding, HealthClient, Job, MAX_JOB_BYTES, MAX_OUTCOME_BYTES, Outcome, PREFIX_BYTES, State,
    TlsCertificate, Work,
};
use control::text::PublicKey;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use zeroize::Zeroizing;

/// A self-signed certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Identity {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate: certificate.der().to_vec(),
            key: key.serialize_der(),
        }
    }
}

/// What the threads share.
pub(crate) struct Enclave {
    folder: PathBuf,
    pub(crate) signer: Identity,
    pub(crate) health: Identity,
    /// Requests to PID 1.
    pub(crate) requests: Mutex<Vec<Request>>,
    /// Jobs of provision.
    pub(crate) jobs: Mutex<Vec<Job>>,
    /// What provision does next instead of its work.
    pub(crate) acts: Mutex<VecDeque<Act>>,
    /// What provision holds.
    pub(crate) state: Mutex<Option<State>>,
    /// Whether the signer runs.
    pub(crate) running: Mutex<bool>,
    /// The signer ends as soon as it is started.
    pub(crate) dies: Mutex<bool>,
    /// What it answers to `/upcheck`.
    pub(crate) upcheck: Mutex<&'static str>,
    /// The signer leaves its last key out.
    pub(crate) forgets: Mutex<bool>,
    clock: Mutex<u64>,
}

/// What provision does instead of its work.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// It gives this outcome.
    Outcome(Box<Outcome>),
    /// It ends after it has read the job.
    Die,
    /// It sends bytes that are no outcome.
    Garbage,
    /// It is not there.
    Absent,
    /// PID 1 cannot start it.
    NotStarted,
    /// An earlier one still runs.
    Already,
    /// It starts and never connects.
    Silent,
    /// It reads the job and sleeps.
    Slow(std::time::Duration),
}

impl Enclave {
    pub(crate) fn new(folder: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            folder,
            signer: Identity::new("localhost"),
            health: Identity::new(provision::HEALTH_CLIENT_NAME),
            requests: Mutex::default(),
            jobs: Mutex::default(),
            acts: Mutex::default(),
            state: Mutex::default(),
            running: Mutex::new(false),
            dies: Mutex::new(false),
            upcheck: Mutex::new("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"),
            forgets: Mutex::new(false),
            clock: Mutex::new(1000),
        })
    }

    /// Says an event of the signer, as PID 1 does.
    pub(crate) fn say(&self, kind: Kind) {
        let mut clock = self.clock.lock().unwrap();
        *clock += 1;
        let event = Event::new(*clock, Stage::Running, kind).with(Key::Service, "signer");
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(self.folder.join("boot"))
            .unwrap();
        file.write_all(format!("{event}\n").as_bytes()).unwrap();
    }

    /// Answers requests until the agent ends.
    pub(crate) fn play_pid1(self: &Arc<Self>, channel: &UnixStream) {
        let (enclave, mut channel) = (Arc::clone(self), channel.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut byte = [0];
            while channel.read_exact(&mut byte).is_ok() {
                let request = Request::from_byte(byte[0]).unwrap();
                enclave.requests.lock().unwrap().push(request);
                let reply = enclave.reply(request);
                if channel.write_all(&[reply as u8]).is_err() {
                    return;
                }
            }
        });
    }

    fn reply(self: &Arc<Self>, request: Request) -> Reply {
        match request {
            Request::StartProvision => {
                let act = self.acts.lock().unwrap().pop_front();
                match act {
                    Some(Act::Absent) => return Reply::Absent,
                    Some(Act::NotStarted) => return Reply::Failed,
                    Some(Act::Already) => return Reply::Already,
                    Some(Act::Silent) => {}
                    act => {
                        let enclave = Arc::clone(self);
                        std::thread::spawn(move || enclave.play_provision(act));
                    }
                }
                Reply::Accepted
            }
            Request::StartSigner => {
                let mut running = self.running.lock().unwrap();
                if *running {
                    return Reply::Already;
                }
                self.say(Kind::Started);
                if *self.dies.lock().unwrap() {
                    self.say(Kind::Ended);
                } else {
                    *running = true;
                }
                Reply::Accepted
            }
            Request::StopSigner => {
                let was = std::mem::replace(&mut *self.running.lock().unwrap(), false);
                if !was {
                    return Reply::Already;
                }
                self.say(Kind::Ended);
                Reply::Accepted
            }
            Request::ReloadSigner if *self.running.lock().unwrap() => Reply::Accepted,
            _ => Reply::Failed,
        }
    }

    fn play_provision(&self, act: Option<Act>) {
        let mut stream = UnixStream::connect(self.folder.join("provision")).unwrap();
        let mut prefix = [0; PREFIX_BYTES];
        stream.read_exact(&mut prefix).unwrap();
        let mut bytes = vec![0; provision::length(prefix, MAX_JOB_BYTES).unwrap()];
        stream.read_exact(&mut bytes).unwrap();
        let job: Job = provision::content(&bytes).unwrap();
        self.jobs.lock().unwrap().push(job.clone());
        let outcome = match act {
            Some(Act::Outcome(outcome)) => *outcome,
            Some(Act::Die) => return,
            Some(Act::Garbage) => {
                stream.write_all(&[0, 0, 0, 2, b'{', b'x']).unwrap();
                return;
            }
            Some(Act::Slow(time)) => {
                std::thread::sleep(time);
                self.work(&job)
            }
            _ => self.work(&job),
        };
        let frame = provision::frame(&outcome, MAX_OUTCOME_BYTES).unwrap();
        // The agent may have given up.
        drop(stream.write_all(&frame));
    }

    /// What a good provision does.
    fn work(&self, job: &Job) -> Outcome {
        let mut held = self.state.lock().unwrap();
        let keys = |artefacts: &[provision::Sealed]| -> Vec<PublicKey> {
            let key = |sealed: &provision::Sealed| match &sealed.binding {
                Binding::Bound { pubkey, .. } => pubkey.clone(),
                Binding::None {} => Some("cd".repeat(48).parse().unwrap()),
            };
            let keys = artefacts
                .iter()
                .filter(|sealed| sealed.kind == Artefact::ValidatorKey);
            keys.filter_map(key).collect()
        };
        match &job.work {
            Work::Init { artefacts, .. } => {
                *held = Some(State {
                    config: *job.config.clone().unwrap(),
                    public_keys: keys(artefacts),
                    ..self.empty(job)
                });
            }
            Work::AddKeys { artefacts, .. } => held.as_mut().unwrap().public_keys.extend(keys(artefacts)),
            Work::SetClients { .. } => held.as_mut().unwrap().artefact_versions.clients += 1,
            Work::RemoveKeys { public_keys } => {
                let held = &mut held.as_mut().unwrap().public_keys;
                held.retain(|key| !public_keys.contains(key));
            }
            Work::Rollback => *held = None,
            Work::Recover => {}
        }
        if let Some(state) = held.as_mut() {
            state.public_keys.sort();
        }
        Outcome::Done {
            items: Vec::new(),
            state: held.clone().map(Box::new),
        }
    }

    fn empty(&self, job: &Job) -> State {
        State {
            config: *job.config.clone().unwrap(),
            public_keys: Vec::new(),
            tls: TlsCertificate {
                certificate: STANDARD.encode(&self.signer.certificate).parse().unwrap(),
                sha256: "01".repeat(32).parse().unwrap(),
                public_key_sha256: "02".repeat(32).parse().unwrap(),
                not_after_unix_s: 1_900_000_000,
            },
            artefact_versions: ArtefactVersions {
                tls_key: 1,
                clients: 1,
                slashing_credential: 0,
            },
            health: HealthClient {
                certificate: STANDARD.encode(&self.health.certificate).parse().unwrap(),
                private_key: Zeroizing::new(STANDARD.encode(&self.health.key)),
            },
        }
    }

    /// The signer's answer to the question for its keys.
    fn served(&self) -> String {
        let mut keys = self
            .state
            .lock()
            .unwrap()
            .as_ref()
            .map_or_else(Vec::new, |state| state.public_keys.clone());
        if *self.forgets.lock().unwrap() {
            keys.pop();
        }
        let body = serde_json::to_string(&keys).unwrap();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    /// A signer that takes the health client only, and echoes what it does not know.
    pub(crate) fn play_signer(self: &Arc<Self>, listener: TcpListener, identity: &Identity) {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(self.health.certificate.clone()))
            .unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from(identity.certificate.clone())],
                PrivateKeyDer::try_from(identity.key.clone()).unwrap(),
            )
            .unwrap();
        let (enclave, config) = (Arc::clone(self), Arc::new(config));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (enclave, config) = (Arc::clone(&enclave), Arc::clone(&config));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    if !*enclave.running.lock().unwrap() {
                        return;
                    }
                    let mut tls = ServerConnection::new(config).unwrap();
                    let mut tls = rustls::Stream::new(&mut tls, &mut stream);
                    let mut request = [0; 1024];
                    let Ok(count @ 1..) = tls.read(&mut request) else {
                        return;
                    };
                    let answer = if request.starts_with(b"GET /upcheck ") {
                        enclave.upcheck.lock().unwrap().as_bytes().to_vec()
                    } else if request.starts_with(b"GET /api/v1/eth2/publicKeys ") {
                        enclave.served().into_bytes()
                    } else {
                        request.get(..count).unwrap().to_vec()
                    };
                    drop(tls.write_all(&answer));
                });
            }
        });
    }
}

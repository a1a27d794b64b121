//! The KMS client and the simulated KMS in one process, without an enclave: two implementations of signatures, envelopes and
//! errors that know nothing of each other, and every fault that the KMS can be told to have.
#![expect(clippy::unwrap_used, reason = "a failed assumption should fail the test")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use attest::{Pcr, PcrSet, UnixMs};
use aws_nitro_enclaves_nsm_api::api::{ErrorCode, Request, Response};
use kmstool_rs::client::{Client, ClientError, Settings as ClientSettings, World};
use kmstool_rs::clock::{Clock, RandomJitter};
use kmstool_rs::credentials::Credentials;
use kmstool_rs::endpoint::{Endpoint, Region};
use kmstool_rs::key_id::KeyId;
use kmstool_rs::ops::{Decrypt, GenerateDataKey, GenerateDataKeyPair};
use kmstool_rs::request::{DataKeySpec, EncryptionContext};
use kmstool_rs::retry::Policy;
use kmstool_rs::secret::Secret;
use kmstool_rs::service_error::Class;
use kmstool_rs::tls;
use kmstool_rs::transport::{Connect, Connecting, Stream, Times};
use nsm::{Device, Session};
use serde_json::json;
use simulator::kms::clock::Clock as KmsClock;
use simulator::kms::envelope::ContentForm;
use simulator::kms::fault::{Fault, Kind};
use simulator::kms::pki::{Ca, names};
use simulator::kms::principal::{Principal, Principals};
use simulator::kms::server::{Listen, Server};
use simulator::kms::service::{Kms, Settings};
use simulator::kms::store::Store;
use simulator::kms::trust::Trust;
use simulator::kms::unsigned::Unsigned;
use tokio::net::TcpStream;

const ROLE: &str = "arn:aws:iam::111122223333:role/enclave";
const PCR0: Pcr = Pcr::from_bytes([0x5A; 48]);
/// 2026-01-01T00:00:00Z, the client's clock; the KMS's is moved against it.
const NOW_MS: u64 = 1_767_225_600_000;

/// A security module without signatures, whose clock is the KMS's: the hypervisor's is right.
#[derive(Clone)]
struct Module {
    pcr0: Pcr,
    made: UnixMs,
}

impl Device for Module {
    fn process(&self, request: Request) -> Response {
        let Request::Attestation { public_key, .. } = request else {
            return Response::Error(ErrorCode::InvalidOperation);
        };
        let mut pcrs = PcrSet::new();
        pcrs.insert(0, self.pcr0).unwrap();
        let document = Unsigned {
            timestamp: self.made,
            pcrs: &pcrs,
            public_key: public_key.as_ref().map(|key| key.as_slice()),
            user_data: None,
            nonce: None,
        };
        Response::Attestation {
            document: document.encode(),
        }
    }
}

struct Loopback(SocketAddr);

impl Connect for Loopback {
    fn connect(&self) -> Connecting<'_> {
        Box::pin(async { Ok(Box::new(TcpStream::connect(self.0).await?) as Box<dyn Stream>) })
    }
}

struct Standing;

impl Clock for Standing {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS)
    }
}

struct Both {
    server: Server,
    key: String,
    client: Client,
}

/// How a pair of them differs from the usual one.
struct Setup {
    pcr0: Pcr,
    kms_ahead: i64,
    secret: &'static str,
    token: &'static str,
    form: ContentForm,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            pcr0: PCR0,
            kms_ahead: 0,
            secret: "secret",
            token: "token",
            form: ContentForm::default(),
        }
    }
}

impl Setup {
    fn start(self) -> Both {
        let now_ms = i64::try_from(NOW_MS).unwrap() + self.kms_ahead * 1000;
        let kms_now = UnixMs::new(u64::try_from(now_ms).unwrap());
        let session = Principal::role_session("ASIA1", "secret", "token", ROLE, "i-1").unwrap();
        let mut settings = Settings::new(
            "us-east-1",
            "111122223333".parse().unwrap(),
            Principals::new([session]).unwrap(),
            Trust::danger_unsigned_simulator(),
        );
        (settings.clock, settings.form) = (KmsClock::fixed(kms_now), self.form);
        let ca = Ca::new().unwrap();
        let listen = Listen {
            tcp: Some(([127, 0, 0, 1], 0).into()),
            ..Listen::default()
        };
        let identity = ca.identity(&names("us-east-1")).unwrap();
        let server = Server::start(Kms::new(settings, Store::default()), identity, &listen).unwrap();
        let policy = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": ROLE}, "Resource": "*",
            "Action": ["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyPair"],
            "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": PCR0.to_string()}},
        }]});
        let key = server.kms().add_key(&policy.to_string()).unwrap();
        let ca_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca_file.path(), ca.pem()).unwrap();
        let text = |text: &str| Secret::new(text.to_owned());
        let settings = ClientSettings {
            endpoint: Endpoint::standard(Region::new("us-east-1").unwrap()),
            credentials: Credentials::new(text("ASIA1"), text(self.secret), Some(text(self.token))).unwrap(),
            tls: tls::from_file(ca_file.path()).unwrap(),
            sessions: 1,
            policy: Policy {
                first_wait: Duration::from_millis(1),
                ..Policy::DEFAULT
            },
            times: Times {
                request: Duration::from_secs(1),
                ..Times::DEFAULT
            },
        };
        let module = Module {
            pcr0: self.pcr0,
            made: kms_now,
        };
        let world = World {
            connect: Arc::new(Loopback(server.tcp().unwrap())),
            nsm: Box::new(Session::new(module)),
            clock: Arc::new(Standing),
            jitter: Arc::new(RandomJitter),
        };
        Both {
            client: Client::new(settings, world).unwrap(),
            server,
            key,
        }
    }
}

impl Both {
    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(future)
    }

    fn request(&self, plaintext: &[u8]) -> Decrypt {
        let kms = self.server.kms();
        let ciphertext = kms.encrypt(&self.key, plaintext, &[("stack".into(), "a".into())].into());
        let mut request = Decrypt::new(ciphertext.unwrap()).unwrap();
        request.key_id = Some(KeyId::new(&self.key).unwrap());
        request.context = EncryptionContext::new([("stack".into(), "a".into())].into()).unwrap();
        request
    }

    fn decrypt(&self) -> Result<Vec<u8>, ClientError> {
        let answer = Self::block_on(self.client.call(&self.request(b"hello")));
        answer.map(|decrypted| decrypted.plaintext.expose().clone())
    }

    fn calls(&self) -> u64 {
        self.server.kms().counts().calls.values().sum()
    }
}

#[test]
fn every_length_in_both_forms() {
    for form in [ContentForm::Constructed, ContentForm::Primitive] {
        let setup = Setup {
            form,
            ..Setup::default()
        };
        let both = setup.start();
        let lengths = [1, 15, 16, 17, 32, 255, 2048, 4096];
        let texts: Vec<Vec<u8>> = lengths.iter().map(|length| vec![7; *length]).collect();
        let requests: Vec<_> = texts.iter().map(|text| both.request(text)).collect();
        let answers = Both::block_on(both.client.decrypt_batch(&requests));
        for (text, answer) in texts.iter().zip(answers) {
            assert_eq!(answer.unwrap().plaintext.expose(), text, "{form:?}");
        }
        assert_eq!(both.server.kms().counts().distinct_documents, 1);
    }
}

#[test]
fn data_keys_open_to_what_was_given() {
    let both = Setup::default().start();
    let key_id = KeyId::new(&both.key).unwrap();
    Both::block_on(async {
        let ask = GenerateDataKey {
            key_id: key_id.clone(),
            spec: DataKeySpec::Aes128,
            context: EncryptionContext::default(),
        };
        let key = both.client.call(&ask).await.unwrap();
        let opened = both
            .client
            .call(&Decrypt::new(key.ciphertext).unwrap())
            .await
            .unwrap();
        assert_eq!(opened.plaintext.expose(), key.plaintext.expose());
        let ask = GenerateDataKeyPair::new(key_id, "RSA_2048").unwrap();
        let pair = both.client.call(&ask).await.unwrap();
        let wrapped = Decrypt::new(pair.private_key_ciphertext).unwrap();
        let opened = both.client.call(&wrapped).await.unwrap();
        assert_eq!(opened.plaintext.expose(), pair.private_key.expose());
    });
}

#[test]
fn faults_that_pass() {
    for kind in [
        Kind::Throttle,
        Kind::Internal,
        Kind::Unavailable,
        Kind::Reset,
        Kind::ShortRead,
        Kind::Slow(Duration::from_secs(3)),
    ] {
        let both = Setup::default().start();
        both.server.kms().add_fault(Fault::next(kind, 2));
        assert_eq!(both.decrypt(), Ok(b"hello".to_vec()), "{kind:?}");
        assert_eq!(both.calls(), 3, "{kind:?}");
    }
}

#[test]
fn faults_that_do_not() {
    for (kind, count, class, calls) in [
        (Kind::Throttle, 9, Class::Throttled, 5),
        (Kind::Internal, 9, Class::Unavailable, 5),
        (Kind::Reset, 9, Class::Network, 5),
        (Kind::Garbage, 1, Class::Malformed, 1),
        (Kind::WrongKeyId, 1, Class::Malformed, 1),
        (Kind::AnotherRecipient, 1, Class::Malformed, 1),
    ] {
        let both = Setup::default().start();
        both.server.kms().add_fault(Fault::next(kind, count));
        let error = both.decrypt().unwrap_err();
        assert_eq!(
            (error.class(), both.calls()),
            (class, calls),
            "{kind:?}: {error:?}"
        );
    }
}

/// What KMS says about the time is enough to sign again, either way; half an hour or fifty years.
#[test]
fn a_skewed_clock_is_corrected_once() {
    for (ahead, refused) in [
        (0, 0),
        (200, 0),
        (-200, 0),
        (1800, 1),
        (-1800, 1),
        (50 * 31_536_000, 1),
    ] {
        let setup = Setup {
            kms_ahead: ahead,
            ..Setup::default()
        };
        let both = setup.start();
        for _ in 0..2 {
            assert_eq!(both.decrypt(), Ok(b"hello".to_vec()), "{ahead}");
        }
        let counts = both.server.kms().counts();
        assert_eq!(counts.answers_of("ok"), 2);
        let others: u64 = counts
            .answers
            .iter()
            .filter(|(name, _)| *name != "ok")
            .map(|(_, n)| n)
            .sum();
        assert_eq!(others, refused, "{ahead}: {:?}", counts.answers);
    }
}

#[test]
fn who_may_not() {
    let other_image = Setup {
        pcr0: Pcr::from_bytes([0x5B; 48]),
        ..Setup::default()
    };
    let debug = Setup {
        pcr0: Pcr::from_bytes([0; 48]),
        ..Setup::default()
    };
    let wrong_secret = Setup {
        secret: "other",
        ..Setup::default()
    };
    let wrong_token = Setup {
        token: "other",
        ..Setup::default()
    };
    for (setup, class) in [
        (other_image, Class::Denied),
        (debug, Class::Denied),
        (wrong_secret, Class::Credentials),
        (wrong_token, Class::Credentials),
    ] {
        let both = setup.start();
        let error = both.decrypt().unwrap_err();
        assert_eq!(error.class(), class, "{error:?}");
        let said = error.service().unwrap_or_else(|| panic!("{error:?}"));
        assert!(
            !said.name.is_empty() && !said.message.is_empty() && !said.request_id.is_empty(),
            "{said}"
        );
        assert_eq!(both.server.kms().counts().answers_of("ok"), 0);
    }
}

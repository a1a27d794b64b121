//! A client against a server on the loopback, ready to call.

use std::sync::Arc;
use std::time::Duration;

use kmstool_rs::client::{Client, ClientError, Settings, World};
use kmstool_rs::credentials::Credentials;
use kmstool_rs::endpoint::{Endpoint, Region};
use kmstool_rs::ops::Decrypt;
use kmstool_rs::retry::Policy;
use kmstool_rs::secret::Secret;
use kmstool_rs::tls;
use kmstool_rs::transport::Times;

use crate::support::nsm::FakeDevice;
use crate::support::{Act, HandClock, Loopback, NoJitter, Server};

/// 2018-11-05T22:16:04Z.
pub(crate) const NOW: u64 = 1_541_456_164;

pub(crate) struct Setup {
    pub(crate) client: Client,
    pub(crate) device: FakeDevice,
    pub(crate) clock: Arc<HandClock>,
}

pub(crate) fn settings(server: &Server) -> Settings {
    let ca = tempfile::NamedTempFile::new().unwrap();
    server.write_ca(ca.path());
    let secret = |text: &str| Secret::new(text.to_owned());
    Settings {
        endpoint: Endpoint::standard(Region::new("us-east-1").unwrap()),
        credentials: Credentials::new(
            secret("AKID"),
            secret("PLANTED-KEY"),
            Some(secret("PLANTED-TOKEN")),
        )
        .unwrap(),
        tls: tls::from_file(ca.path()).unwrap(),
        sessions: 1,
        policy: Policy::DEFAULT,
        times: Times {
            request: Duration::from_millis(500),
            ..Times::DEFAULT
        },
    }
}

pub(crate) fn setup_with(port: u16, settings: Settings) -> Setup {
    let (device, clock) = (FakeDevice::default(), HandClock::at(NOW));
    let world = World {
        connect: Arc::new(Loopback(port)),
        nsm: Box::new(device.session()),
        clock: clock.clone(),
        jitter: Arc::new(NoJitter),
    };
    Setup {
        client: Client::new(settings, world).unwrap(),
        device,
        clock,
    }
}

pub(crate) fn setup(server: &Server) -> Setup {
    setup_with(server.port, settings(server))
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn ciphertext(text: &str) -> Decrypt {
    Decrypt::new(text.as_bytes().to_vec()).unwrap()
}

/// One `Decrypt` against a server with these acts: its outcome, and how many requests came.
pub(crate) fn decrypt(acts: impl IntoIterator<Item = Act>) -> (Result<String, ClientError>, usize) {
    let server = Server::start(acts);
    let setup = setup(&server);
    let result = block_on(setup.client.call(&ciphertext("hello")));
    let text = result.map(|decrypted| String::from_utf8(decrypted.plaintext.expose().clone()).unwrap());
    (text, server.seen().len())
}

pub(crate) fn refuse(name: &str) -> Act {
    Act::Refuse(400, format!(r#"{{"__type":"{name}","message":"text"}}"#))
}

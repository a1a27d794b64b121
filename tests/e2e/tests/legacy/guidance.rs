//! The parent of the published AWS guidance, as its enclave meets it: what its watchdog sends and reads, its proxy for clients, and
//! the vsock-proxy to KMS that its instance runs.
//!
//! Source: aws-solutions-library-samples/guidance-for-secure-blockchain-validation-using-aws-nitro-enclaves, commit 78e3217.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use abi::vsock::{KMS_PROXY_PORT, SERVICE_PORT};
use e2e::{Booted, PATIENCE};
use simulator::enclave::connect;

/// Bytes that it reads of an answer, and at once of a stream.
const PIECE: usize = 1024;

/// The watchdog's side.
pub(crate) struct Guidance<'a> {
    booted: &'a Booted,
}

impl<'a> Guidance<'a> {
    /// Its instance, with a way to KMS.
    pub(crate) fn new(booted: &'a Booted, kms: SocketAddr) -> Self {
        let listener = booted.enclave.listen(KMS_PROXY_PORT).unwrap();
        thread::spawn(move || {
            for guest in listener.incoming() {
                carry(guest.unwrap(), TcpStream::connect(kms).unwrap());
            }
        });
        Self { booted }
    }

    /// One message in one piece, one read of the answer, and the end of the connection.
    pub(crate) fn ask(&self, message: &str) -> String {
        let mut stream = self.booted.connect(SERVICE_PORT);
        stream.write_all(message.as_bytes()).unwrap();
        let mut answer = [0; PIECE];
        let count = stream.read(&mut answer).unwrap();
        String::from_utf8(answer[..count].to_vec()).unwrap()
    }

    /// Sends nothing and waits for an answer all the same.
    pub(crate) fn ask_nothing(&self) -> Vec<u8> {
        let mut stream = self.booted.connect(SERVICE_PORT);
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// Its proxy for clients: whatever comes is carried, unlike by ours.
    pub(crate) fn https_proxy(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sockets: PathBuf = self.booted.dir().to_owned();
        thread::spawn(move || {
            for client in listener.incoming() {
                carry(enclave(&sockets), client.unwrap());
            }
        });
        address
    }
}

fn enclave(sockets: &Path) -> UnixStream {
    let stream = connect(&sockets.join("vsock.sock"), SERVICE_PORT).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A thread each way.
fn carry(enclave: UnixStream, other: TcpStream) {
    let (mut from, mut to) = (enclave.try_clone().unwrap(), other.try_clone().unwrap());
    thread::spawn(move || {
        copy(&mut from, &mut to);
        // The other side may have closed both ways already.
        to.shutdown(Shutdown::Write).ok();
    });
    let (mut from, mut to) = (other, enclave);
    thread::spawn(move || {
        copy(&mut from, &mut to);
        to.shutdown(Shutdown::Write).ok();
    });
}

fn copy(from: &mut impl Read, to: &mut impl Write) {
    let mut piece = [0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..count]).is_err() {
            return;
        }
    }
}

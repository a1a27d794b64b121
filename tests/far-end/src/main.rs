//! The far end of the tunnels that `bench-tunnel` measures: takes and gives bytes on 127.0.0.1:9000, where the signer would listen,
//! so that TLS does not drown the tunnel. Real TLS is passed on to the signer on port 9001, for the agent's health checks.
//!
//! For the test image `rootfs/tunnel` only; no image that ships holds it. The first byte is always 0x16, as the agent demands; the
//! second says what is wanted:
//!
//! ```text
//! 0x03               the version of a TLS record: the signer is wanted
//! `U`                bytes until the caller's end; then one byte is answered
//! `D` N (8 bytes)    N bytes are given, big-endian
//! ```
#![forbid(unsafe_code)]

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;

const PORT: u16 = 9000;
const SIGNER_PORT: u16 = 9001;

/// Bytes that are moved at once: as many as socat is told to move.
const PIECE: usize = 64 * 1024;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))?;
    loop {
        let (stream, _) = listener.accept()?;
        // A caller that breaks off is the caller's loss.
        thread::Builder::new().spawn(move || serve(stream).ok())?;
    }
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut start = [0; 2];
    stream.read_exact(&mut start)?;
    match start {
        [_, 0x03] => pass_on(stream, start),
        [_, b'U'] => {
            let mut piece = vec![0; PIECE];
            while stream.read(&mut piece)? > 0 {}
            stream.write_all(b"!")
        }
        [_, b'D'] => {
            let mut wanted = [0; 8];
            stream.read_exact(&mut wanted)?;
            let mut left = u64::from_be_bytes(wanted);
            let piece = vec![0; PIECE];
            while left > 0 {
                let count = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
                stream.write_all(piece.get(..count).unwrap_or_default())?;
                left = left.saturating_sub(PIECE as u64);
            }
            Ok(())
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Carries TLS, which began with `start`.
fn pass_on(caller: TcpStream, start: [u8; 2]) -> io::Result<()> {
    let mut signer = TcpStream::connect((Ipv4Addr::LOCALHOST, SIGNER_PORT))?;
    signer.set_nodelay(true)?;
    signer.write_all(&start)?;
    let (from_caller, to_signer) = (caller.try_clone()?, signer.try_clone()?);
    thread::Builder::new().spawn(move || copy(from_caller, to_signer).ok())?;
    copy(signer, caller)
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let copied = io::copy(&mut from, &mut to);
    to.shutdown(Shutdown::Write)?;
    copied.map(drop)
}

//! The two netlink messages that bring the loopback interface up: bytes only, no socket.
//!
//! ```text
//! request:  len:u32=32 type:u16=RTM_NEWLINK flags:u16=REQUEST|ACK seq:u32 port:u32=0
//!           family:u8=0 pad:u8 type:u16=0 index:i32=1 flags:u32=IFF_UP change:u32=IFF_UP
//! answer:   len:u32 type:u16=NLMSG_ERROR flags:u16 seq:u32 port:u32   error:i32 (0 or -errno)   the request's header ...
//! ```
//!
//! Numbers are in the machine's byte order. Source: `linux/netlink.h`, `linux/rtnetlink.h`.

use crate::system::{Errno, Result};

const RTM_NEWLINK: u16 = 16;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const IFF_UP: u32 = 1;
/// The kernel gives the loopback interface this index in every network namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK_INDEX: i32 = 1;
/// Ties the answer to the request.
const SEQUENCE: u32 = 1;
/// Length of the request, bytes.
const REQUEST_LEN: u32 = 32;
/// Length of the answer up to its error number, bytes.
const ACK_LEN: u32 = 20;

/// The request. The kernel gives a loopback interface that comes up its addresses by itself.
#[must_use]
pub fn loopback_up() -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(REQUEST_LEN.to_ne_bytes());
    out.extend(RTM_NEWLINK.to_ne_bytes());
    out.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    out.extend(SEQUENCE.to_ne_bytes());
    out.extend(0_u32.to_ne_bytes());
    out.extend([0; 4]);
    out.extend(LOOPBACK_INDEX.to_ne_bytes());
    out.extend(IFF_UP.to_ne_bytes());
    out.extend(IFF_UP.to_ne_bytes());
    out
}

/// Reads the kernel's answer to [`loopback_up`].
///
/// # Errors
/// The kernel's error number, or [`Errno::PROTOCOL`] when the bytes are no such answer.
pub fn check_ack(answer: &[u8]) -> Result<()> {
    let word = |at: usize| {
        answer
            .get(at..at + 4)
            .and_then(|bytes| bytes.first_chunk())
            .copied()
    };
    let kind = answer
        .get(4..6)
        .and_then(|bytes| bytes.first_chunk())
        .copied()
        .map(u16::from_ne_bytes);
    let len = word(0).map(u32::from_ne_bytes).ok_or(Errno::PROTOCOL)?;
    let sequence = word(8).map(u32::from_ne_bytes);
    let fits = usize::try_from(len).is_ok_and(|len| len <= answer.len()) && len >= ACK_LEN;
    if !fits || kind != Some(NLMSG_ERROR) || sequence != Some(SEQUENCE) {
        return Err(Errno::PROTOCOL);
    }
    match word(16).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) if error < 0 => Err(u16::try_from(error.unsigned_abs()).map_or(Errno::PROTOCOL, Errno)),
        _ => Err(Errno::PROTOCOL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as the kernel sends it: header, error, then the header of the request.
    fn answer(error: i32) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(36_u32.to_ne_bytes());
        out.extend(NLMSG_ERROR.to_ne_bytes());
        out.extend(0x100_u16.to_ne_bytes());
        out.extend(SEQUENCE.to_ne_bytes());
        out.extend(77_u32.to_ne_bytes());
        out.extend(error.to_ne_bytes());
        out.extend_from_slice(&loopback_up()[..16]);
        out
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn request_is_fixed() {
        let expected = b"\x20\0\0\0\x10\0\x05\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0";
        assert_eq!(loopback_up(), expected);
    }

    #[test]
    fn answers() {
        assert_eq!(check_ack(&answer(0)), Ok(()));
        assert_eq!(check_ack(&answer(-1)), Err(Errno(1)));
        assert_eq!(check_ack(&answer(1)), Err(Errno::PROTOCOL));
        assert_eq!(check_ack(&answer(i32::MIN)), Err(Errno::PROTOCOL));
    }

    #[test]
    fn every_truncation_and_wrong_header_is_refused() {
        let good = answer(0);
        for len in 0..good.len() {
            assert_eq!(check_ack(&good[..len]), Err(Errno::PROTOCOL), "{len} bytes");
        }
        for at in [0, 1, 2, 3, 4, 5, 8, 9, 10, 11] {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            assert_eq!(check_ack(&bad), Err(Errno::PROTOCOL), "byte {at}");
        }
    }
}

//! Entropy of the module for the kernel's random pool, with credit.
//!
//! Where no NSM driver feeds the pool yet, this is what seeds it; where one does, it adds to it. It is no generator:
//! programs read `getrandom` as ever.
//!
//! Source: aws-nitro-enclaves-sdk-c `source/init.c` seeds the pool so; `linux/random.h`, `RNDADDENTROPY`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use zeroize::Zeroize;

use crate::api::{Nsm, NsmError};

/// Bytes of one answer, all of which must come.
pub const PIECE_BYTES: usize = 256;
/// Bytes that are fed in all.
pub const TOTAL_BYTES: usize = 1024;
/// The kernel's pool.
pub const POOL_DEVICE: &str = "/dev/random";

/// A random pool that can be given entropy.
pub trait Pool {
    /// Mixes `piece` in and credits 8 bits for each of its bytes.
    ///
    /// # Errors
    /// Whatever the pool reports; then nothing was credited.
    fn add(&mut self, piece: &[u8; PIECE_BYTES]) -> io::Result<()>;
}

/// Why the pool was not fed in full.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntropyError {
    /// The module gave no random bytes.
    #[error("no entropy from the NSM after {fed} of {TOTAL_BYTES} bytes")]
    Nsm {
        /// Bytes that were fed before.
        fed: usize,
        /// The module's error.
        #[source]
        source: NsmError,
    },
    /// The module gave fewer bytes than asked for.
    #[error("the NSM gave {actual} random bytes, expected {PIECE_BYTES}")]
    Short {
        /// How many came.
        actual: usize,
    },
    /// The kernel did not take them.
    #[error("the kernel did not credit entropy after {fed} of {TOTAL_BYTES} bytes")]
    Pool {
        /// Bytes that were fed before.
        fed: usize,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
}

/// Feeds [`TOTAL_BYTES`] in pieces of [`PIECE_BYTES`] and returns how many bytes were credited: all of them.
///
/// # Errors
/// [`EntropyError`] at the first piece that is missing, short or not taken.
pub fn feed(nsm: &dyn Nsm, pool: &mut dyn Pool) -> Result<usize, EntropyError> {
    let mut fed = 0;
    while fed < TOTAL_BYTES {
        let random = nsm.random().map_err(|source| EntropyError::Nsm { fed, source })?;
        let piece = random.first_chunk().filter(|_| random.len() == PIECE_BYTES);
        let piece = piece.ok_or(EntropyError::Short { actual: random.len() })?;
        pool.add(piece)
            .map_err(|source| EntropyError::Pool { fed, source })?;
        fed += PIECE_BYTES;
    }
    Ok(fed)
}

/// The kernel's pool, open until dropped. Adding needs `CAP_SYS_ADMIN`.
#[derive(Debug)]
pub struct KernelPool(File);

impl KernelPool {
    /// Opens [`POOL_DEVICE`].
    ///
    /// # Errors
    /// Those of `open`.
    pub fn open() -> io::Result<Self> {
        File::options().write(true).open(POOL_DEVICE).map(Self)
    }
}

/// `struct rand_pool_info` of `linux/random.h` with room for one piece.
#[repr(C)]
struct PoolInfo {
    entropy_count: libc::c_int,
    buf_size: libc::c_int,
    buf: [u8; PIECE_BYTES],
}

/// `_IOW('R', 0x03, int[2])` of `linux/random.h`, the same on x86-64 and arm64.
const RNDADDENTROPY: libc::c_ulong = 0x4008_5203;

/// [`PIECE_BYTES`] as the kernel's type.
const PIECE_LEN: libc::c_int = 256;
/// Bits credited for a piece: 8 a byte, as the kernel's own driver for the module claims for a hardware generator.
const PIECE_BITS: libc::c_int = PIECE_LEN * 8;

impl Pool for KernelPool {
    #[expect(unsafe_code, reason = "no safe interface to RNDADDENTROPY exists")]
    fn add(&mut self, piece: &[u8; PIECE_BYTES]) -> io::Result<()> {
        let mut info = PoolInfo {
            entropy_count: PIECE_BITS,
            buf_size: PIECE_LEN,
            buf: *piece,
        };
        // SAFETY: RNDADDENTROPY makes the kernel read two ints and then `buf_size` bytes from the third argument and
        // write nothing. `info` is repr(C), so the ints lie at offsets 0 and 4 and `buf` at 8; `buf_size` is exactly
        // `buf`'s length; `info` outlives the call. The descriptor is open because `self.0` owns it; were it no
        // random device, the call would fail with ENOTTY.
        let status = unsafe { libc::ioctl(self.0.as_raw_fd(), RNDADDENTROPY, &raw const info) };
        let result = if status == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        };
        info.buf.zeroize();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_number_is_the_kernels() {
        let (write, size, magic, number) = (1, size_of::<[libc::c_int; 2]>() as libc::c_ulong, 0x52, 3);
        assert_eq!(
            RNDADDENTROPY,
            (write << 30) | (size << 16) | (magic << 8) | number
        );
        assert_eq!(core::mem::offset_of!(PoolInfo, buf), 8);
        assert_eq!(size_of::<PoolInfo>(), 8 + PIECE_BYTES);
        assert_eq!(usize::try_from(PIECE_LEN), Ok(PIECE_BYTES));
    }

    #[test]
    fn a_file_that_is_no_random_device_is_refused() {
        let mut pool = KernelPool(File::options().write(true).open("/dev/null").unwrap());
        let error = pool.add(&[0; PIECE_BYTES]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }
}

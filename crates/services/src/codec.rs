//! The bytes of a table.
//!
//! ```text
//! table    = "NWST" version:u16 nsm_gid:u32 port_start:u16 clock list(mount) list(service)
//! clock    = 0:u8 | 1:u8 period_s:u32 step_over_ms:u32
//! mount    = path:bytes size_bytes:u64 mode:u16 uid:u32 gid:u32 noexec:bool        ascending by path
//! service  = name:bytes list(arg:bytes) list(key:bytes value:bytes) cwd:bytes      ascending by key
//!            uid:u32 gid:u32 list(group:u32) capabilities:u64                      ascending
//!            list(resource:u8 soft:u64 hard:u64) umask:u16                         ascending by resource
//!            start:u8 kind grace_ms:u32 oom_score_adj:i16 channel:bool stdio:u8 seccomp
//! start    = 0 boot | 1 on request            stdio = 0 null | 1 console | 2 log   bool = 0 | 1
//! kind     = 0:u8 one-shot | 1:u8 backoff_initial_ms:u32 backoff_max_ms:u32 max_restarts:u16 window_ms:u32
//! seccomp  = 0:u8 none | 1:u8 list(instruction)
//! list(x)  = count:u16 x*      bytes = length:u16 byte*
//! ```
//!
//! Numbers are big-endian, but an instruction is the kernel's own 8 bytes (little-endian code:u16 jt:u8 jf:u8 k:u32).
//! One table has exactly one encoding: other orders, repeated keys and trailing bytes are refused.

use crate::table::Instruction;

/// First four bytes of a table.
pub const MAGIC: [u8; 4] = *b"NWST";
/// Layout version.
pub const VERSION: u16 = 1;
/// Longest table, bytes. PID 1 reads no more than this.
pub const MAX_TABLE_BYTES: usize = 1024 * 1024;

impl Instruction {
    /// The kernel's 8 bytes, little-endian.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        let [c0, c1] = self.code.to_le_bytes();
        let [k0, k1, k2, k3] = self.k.to_le_bytes();
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }

    /// Reads the kernel's 8 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = bytes;
        Self {
            code: u16::from_le_bytes([c0, c1]),
            jt,
            jf,
            k: u32::from_le_bytes([k0, k1, k2, k3]),
        }
    }
}

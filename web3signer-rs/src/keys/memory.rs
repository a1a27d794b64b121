//! Keeping secrets out of swap.
//!
//! The pages that exist now are locked, all of them, through the one call that is safe to make: locking a single range
//! needs a raw pointer. Pages to come are not locked: the kernel would count every later allocation against the limit
//! and refuse it there, and a key derivation that is refused 256 MiB ends the process. So this is called again after
//! each load. Pages that were never touched stay untouched (`ONFAULT`). In an enclave there is no swap at all, and nothing depends on it.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};

/// Why memory could not be locked.
#[derive(Debug, thiserror::Error)]
#[error("memory is not locked (raise RLIMIT_MEMLOCK or grant CAP_IPC_LOCK where the machine has swap)")]
pub struct MemoryError(#[source] io::Error);

/// Locks every page that the process has now. Call it after the keys were loaded, and after each reload.
///
/// # Errors
/// [`MemoryError`] where the system does not allow it. Go on: it is a second line of defence.
pub fn lock_memory() -> Result<(), MemoryError> {
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT).map_err(|e| MemoryError(e.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Either pages are locked, or the reason and what to do are said.
    #[test]
    fn pages_are_locked_or_the_reason_is_given() {
        match lock_memory() {
            Ok(()) => {
                let status = std::fs::read_to_string("/proc/self/status").unwrap();
                let locked = status
                    .lines()
                    .find_map(|line| line.strip_prefix("VmLck:"))
                    .unwrap();
                assert_ne!(locked.trim(), "0 kB");
            }
            Err(error) => assert!(error.to_string().contains("RLIMIT_MEMLOCK"), "{error}"),
        }
    }
}

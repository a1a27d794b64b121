//! Exit codes.

use crate::machine::EnclaveHost;

/// Why the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed. What was written before stays; the same command again goes on from there.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// `policy check`: the policy has a dangerous weakness.
    Weak = 3,
    /// This machine runs enclaves, or is one.
    EnclaveHost = 4,
    /// `keys load --skip-bad` or `--dry-run`: done, but for keystores that are named.
    Partly = 5,
}

impl Exit {
    /// The code for an error.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<EnclaveHost>() {
            Self::EnclaveHost
        } else {
            Self::Failure
        }
    }
}

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0  done
  1  failure; what was written before stays, and the same command again goes on from there
  2  wrong usage
  3  policy check: the policy has a dangerous weakness
  4  this machine runs enclaves, or is one: secrets do not belong here
  5  keys load with --skip-bad or --dry-run: done, but for keystores that are named";

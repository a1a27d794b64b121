//! Exit codes.

/// Why the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; for a service: ended on request.
    Ok = 0,
    /// Failed in another way.
    Failure = 1,
    /// The command line or the configuration file is wrong. Trying again without a change is in vain.
    Usage = 2,
    /// `status`: the enclave does not answer.
    NoEnclave = 3,
    /// `status`: the enclave answers, but the service is not ready.
    NotReady = 4,
    /// `status`: the service cannot be reached over TLS, or is not the expected one.
    Service = 5,
}

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0  done; a service: ended on request
  1  failure
  2  wrong usage or configuration
  3  status: the enclave does not answer
  4  status: the enclave answers, the signer is not ready
  5  status: the service cannot be reached over TLS, or is not the expected one";

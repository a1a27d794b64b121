//! Exit codes: the C tool's, and the detailed ones.

use crate::service_error::Class;

/// The C tool's for everything that fails after the command line was read (its `main` returns -1).
pub(crate) const COMPAT_FAILURE: u8 = 255;
/// The C tool's for a wrong command line, and for its help.
pub(crate) const COMPAT_USAGE: u8 = 1;
/// Detailed: nothing could be printed.
pub(crate) const NO_OUTPUT: u8 = 1;
/// Detailed: some items of a batch failed.
pub(crate) const SOME_FAILED: u8 = 13;

/// The code of a wrong command line.
pub(crate) const fn usage(detailed: bool) -> u8 {
    if detailed { of(Class::Usage) } else { COMPAT_USAGE }
}

/// The detailed code of a kind of failure. Part of the interface: numbers are never reused.
pub(crate) const fn of(class: Class) -> u8 {
    match class {
        Class::Usage => 2,
        Class::Credentials => 3,
        Class::Denied => 4,
        Class::Network => 5,
        Class::Tls => 6,
        Class::Nsm => 7,
        Class::Malformed => 8,
        Class::Refused => 9,
        Class::Throttled => 10,
        Class::Unavailable => 11,
        Class::ClockSkew => 12,
    }
}

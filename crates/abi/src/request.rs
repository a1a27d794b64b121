//! What the agent may ask of PID 1: one byte each, over the socket pair that it was started with.
//!
//! The set is closed. PID 1 answers each request with one [`Reply`] byte; an unknown byte is answered
//! [`Reply::Unknown`] and changes nothing.

/// A request of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Request {
    /// Start the one-shot service named `provision`.
    StartProvision = 1,
    /// Start the service named `signer`.
    StartSigner = 2,
    /// Stop the service named `signer`: SIGTERM, then SIGKILL after its grace time.
    StopSigner = 3,
    /// Send SIGHUP to the service named `signer`.
    ReloadSigner = 4,
    /// Power off with a fatal cause; the next byte is the agent's own code.
    Fatal = 5,
}

impl Request {
    /// The request with this number.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::StartProvision),
            2 => Some(Self::StartSigner),
            3 => Some(Self::StopSigner),
            4 => Some(Self::ReloadSigner),
            5 => Some(Self::Fatal),
            _ => None,
        }
    }
}

/// PID 1's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Reply {
    /// Done, or under way.
    Accepted = 0,
    /// The service table has no such service.
    Absent = 1,
    /// Already in that state.
    Already = 2,
    /// The byte is no request.
    Unknown = 3,
    /// The service could not be started.
    Failed = 4,
}

impl Reply {
    /// The reply with this number.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Accepted),
            1 => Some(Self::Absent),
            2 => Some(Self::Already),
            3 => Some(Self::Unknown),
            4 => Some(Self::Failed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip() {
        for byte in 0..=u8::MAX {
            if let Some(request) = Request::from_byte(byte) {
                assert_eq!(request as u8, byte);
            }
            if let Some(reply) = Reply::from_byte(byte) {
                assert_eq!(reply as u8, byte);
            }
        }
        assert_eq!(Request::from_byte(0), None);
    }
}

//! What the protocol needs from the host's side of a connection. Tests give it queues in memory, the
//! backend Unix sockets.

use std::io::{Read, Result, Write};
use std::net::Shutdown;

use super::token::Token;

/// A byte stream to a host program. It never blocks: reads and writes answer `WouldBlock` instead.
pub trait HostStream: Read + Write {
    /// Copies bytes that a later read gives again.
    ///
    /// # Errors
    /// As [`Read::read`].
    fn look_ahead(&mut self, into: &mut [u8]) -> Result<usize>;

    /// Ends one direction, or both.
    ///
    /// # Errors
    /// When the stream is no longer connected.
    fn shut(&mut self, how: Shutdown) -> Result<()>;
}

/// What became of a call to a host program.
#[derive(Debug)]
pub enum Dial<S> {
    /// It is open.
    Open(S),
    /// Nobody listens.
    Refused,
    /// Somebody listens, but has too many callers waiting; call again.
    Busy,
}

/// What became of looking for a host program that calls.
#[derive(Debug)]
pub enum Accept<S> {
    /// One called.
    Open(S),
    /// None is waiting.
    Empty,
    /// It can not be taken now, for lack of descriptors or memory; look again later.
    Exhausted,
}

/// The host's side of the backend. Events of a stream carry the token that it was made with.
pub trait Host {
    /// A connection to a host program.
    type Stream: HostStream;

    /// Calls the program that listens for the guest's `port`.
    fn dial(&mut self, port: u32, token: Token) -> Dial<Self::Stream>;

    /// Takes the next program that wants to reach the guest.
    fn accept(&mut self, token: Token) -> Accept<Self::Stream>;
}

//! The socket to PID 1, over which the agent may make the one-byte requests of [`abi::request`].
//!
//! PID 1 gives it to the agent as descriptor 0. It is taken and kept open: PID 1 sees the end of the agent by it.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// The agent's end of the socket pair.
#[derive(Debug)]
pub struct Channel(UnixStream);

/// Why there is no channel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The descriptor cannot be duplicated; most likely it is closed.
    #[error("descriptor 0 cannot be taken")]
    Take(#[source] io::Error),
    /// The descriptor is not one end of a connected pair of Unix sockets.
    #[error("descriptor 0 is not connected to PID 1")]
    NotConnected(#[source] io::Error),
}

impl Channel {
    /// Takes the channel from a descriptor, which is standard input in a running agent.
    ///
    /// # Errors
    /// [`ChannelError`]: the agent was not started by PID 1.
    pub fn take(descriptor: impl AsFd) -> Result<Self, ChannelError> {
        let owned = descriptor
            .as_fd()
            .try_clone_to_owned()
            .map_err(ChannelError::Take)?;
        let stream = UnixStream::from(owned);
        stream.peer_addr().map_err(ChannelError::NotConnected)?;
        Ok(Self(stream))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn one_end_of_a_pair_is_taken() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let channel = Channel::take(&ours).unwrap();
        drop(ours);
        theirs.write_all(&[7]).unwrap();
        let mut byte = [0];
        let mut end = UnixStream::from(channel.as_fd().try_clone_to_owned().unwrap());
        end.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [7]);
        drop((end, channel));
        assert_eq!(
            theirs.read(&mut byte).unwrap(),
            0,
            "PID 1 sees the end of the agent"
        );
    }

    #[test]
    fn other_descriptors_are_refused() {
        let null = File::open("/dev/null").unwrap();
        assert!(matches!(Channel::take(&null), Err(ChannelError::NotConnected(_))));
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(Channel::take(&tcp), Err(ChannelError::NotConnected(_))));
    }
}

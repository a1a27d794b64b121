//! Connections to the parent, as a trait so that tests can put other sockets in their place.

use std::future::Future;
use std::io;
use std::pin::Pin;

use abi::vsock::PARENT_CID;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_vsock::{VsockAddr, VsockStream};

/// A stream of bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that is being made.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

/// Makes connections to ports of the parent.
pub trait Dial: Send + Sync {
    /// Connects to this port.
    fn dial(&self, port: u32) -> Dialling<'_>;
}

/// The vsock.
#[derive(Clone, Copy, Debug)]
pub struct Vsock;

impl Dial for Vsock {
    fn dial(&self, port: u32) -> Dialling<'_> {
        Box::pin(async move {
            let stream = VsockStream::connect(VsockAddr::new(PARENT_CID, port)).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

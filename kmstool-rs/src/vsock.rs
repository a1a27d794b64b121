//! The way out of an enclave: the parent's vsock proxy.

use abi::vsock::PARENT_CID;
use tokio_vsock::{VsockAddr, VsockStream};

use crate::transport::{Connect, Connecting, Stream};

/// Connects to a port of the parent.
#[derive(Clone, Copy, Debug)]
pub struct ParentProxy {
    /// The proxy's vsock port; `abi::vsock::KMS_PROXY_PORT` by convention.
    pub port: u32,
}

impl Connect for ParentProxy {
    fn connect(&self) -> Connecting<'_> {
        let address = VsockAddr::new(PARENT_CID, self.port);
        Box::pin(async move {
            let stream = VsockStream::connect(address).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

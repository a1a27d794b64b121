//! What both sides of the enclave's vsock must agree on.
//!
//! [`vsock`] holds addresses and the heartbeat, [`boot`] the boot stages and the report that a dying
//! PID 1 sends, [`events`] the lines in which PID 1 says what happens, [`request`] the one-byte requests that the agent
//! may make of PID 1.
//! It holds no code that opens a socket and depends on nothing. The JSON messages are in `crates/control`, which PID 1
//! does not know: it reads no JSON.
#![forbid(unsafe_code)]

pub mod boot;
pub mod events;
pub mod request;
pub mod vsock;

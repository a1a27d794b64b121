//! What both sides of the enclave's vsock must agree on.
//!
//! [`vsock`] holds addresses and the heartbeat, [`boot`] the boot stages and the report that a dying
//! PID 1 sends, [`events`] the lines in which PID 1 says what happens, [`request`] the one-byte requests that the agent
//! may make of PID 1, [`control`] the JSON messages between parent and agent and the deployment config.
//! It holds no code that opens a socket. PID 1 uses nothing of [`control`]: it reads no JSON.
#![forbid(unsafe_code)]

pub mod boot;
pub mod control;
pub mod events;
pub mod request;
pub mod vsock;

//! The agent: the unprivileged process in the enclave that talks to the parent.
//!
//! The parent is not trusted. Whatever it sends is bounded in size, depth and time, and can cost availability only.
//! The agent never holds a plaintext key, and never puts a public key into an attestation document: with one of the
//! parent's choice, AWS KMS would decrypt for the parent.
//!
//! From the wire inwards:
//!
//! - [`listen`]: accepts connections of the parent, a bounded number at a time;
//! - [`connection`]: one connection: one message, one answer, close;
//! - [`frame`]: where a message ends; [`message`]: what it asks; [`answer`]: the form of the answer;
//! - [`operations`]: does what is asked; [`status`]: what the enclave is;
//! - [`sources`]: files that PID 1 and the kernel keep; [`channel`]: the socket to PID 1.
#![forbid(unsafe_code)]

pub mod answer;
pub mod channel;
pub mod connection;
pub mod frame;
pub mod listen;
pub mod message;
pub mod operations;
pub mod sources;
pub mod status;

//! The agent: the unprivileged process in the enclave that talks to the parent.
//!
//! The parent is not trusted. Whatever it sends is bounded in size, depth and time, and can cost availability only.
//! The agent never holds a plaintext key, and never puts a public key into an attestation document: with one of the
//! parent's choice, AWS KMS would decrypt for the parent.
//!
//! From the wire inwards:
//!
//! - [`listen`]: accepts connections of the parent, a bounded number at a time;
//! - [`connection`]: one connection: TLS for the signer, or one message and one answer; [`budget`]: memory for messages;
//! - [`frame`]: where a message ends; [`operations`]: what it asks; [`answer`], [`failure`]: what is answered;
//! - [`core`]: what all connections share; [`phase`]: how far the bootstrap is; [`bootstrap`], [`change`]: its steps;
//! - [`measured`]: the config in PCR16; [`entries`]: what must decrypt how; [`handover`]: jobs for `provision`;
//! - [`pid1`], [`channel`]: requests to PID 1; [`supervise`], [`upcheck`], [`served`]: how the signer is;
//! - [`attest`], [`status`], [`metrics`], [`counters`]: what is told; [`sources`]: files that PID 1 and the kernel keep;
//! - [`outbound`]: ways out of the enclave; [`dial`]: connections to the parent;
//! - [`ring`], [`follow`], [`filter`]: the log.
#![forbid(unsafe_code)]

pub mod answer;
pub mod attest;
pub mod bootstrap;
pub mod budget;
pub mod change;
pub mod channel;
pub mod connection;
pub mod core;
pub mod counters;
pub mod dial;
pub mod entries;
pub mod failure;
pub mod filter;
pub mod follow;
pub mod frame;
pub mod handover;
pub mod listen;
pub mod measured;
pub mod metrics;
pub mod operations;
pub mod outbound;
pub mod phase;
pub mod pid1;
pub mod ring;
pub mod run;
pub mod served;
pub mod sources;
pub mod status;
pub mod supervise;
pub mod upcheck;

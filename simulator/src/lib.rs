//! A Nitro Enclave on this machine: QEMU's `nitro-enclave` machine and our own vsock between it and Unix sockets;
//! and a KMS that judges what the enclave asks of it.
//!
//! Measured by the same rules as on AWS, but nothing here protects a secret: whoever runs it can read it all.
//! The project's tests use it as a library; no product crate does.
#![forbid(unsafe_code)]

pub mod cli;
pub mod run;

mod show;

pub mod forward;

pub mod enclave;

pub mod parent;
pub mod record;

pub mod boot_report;
pub mod emulator;
pub mod guard;
pub mod heartbeat;
pub mod image;
pub mod kms;
pub mod qemu;
pub mod vsock;

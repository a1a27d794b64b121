//! A Nitro Enclave on this machine: QEMU's `nitro-enclave` machine and our own vsock between it and Unix sockets.
//!
//! Measured by the same rules as on AWS, but nothing here protects a secret: whoever runs it can read it all.
//! The project's tests use it as a library; no product crate does.
#![forbid(unsafe_code)]

pub mod vsock;

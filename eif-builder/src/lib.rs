//! Reproducible builder for AWS Nitro Enclave images: from a manifest and its lock to an EIF and its PCRs.
//!
//! The library holds every step; `main.rs` only parses arguments and prints.
//! Modules, from data to steps:
//!
//! - [`digest`]: SHA-256 values
//! - [`store`]: the content-addressed cache of fetched inputs and built parts
#![forbid(unsafe_code)]

pub mod digest;
pub mod store;

//! Reproducible builder for AWS Nitro Enclave images: from a manifest and its lock to an EIF and its PCRs.
//!
//! The library holds every step; `main.rs` only parses arguments and prints.
//! Modules, from data to steps:
//!
//! - [`digest`]: SHA-256 values
//! - [`store`]: the content-addressed cache of fetched inputs and built parts
//! - [`tree`]: a root file system in memory; [`cpio`]: its canonical archive; [`ramdisk`]: which tree goes where
//! - [`enter`]: one command inside an extracted root, without root rights and without network
//! - [`policy`]: measurements and names to the text of a KMS key policy
//! - [`mod@attest`]: attestation documents judged and explained, with the measurements that `policy` reads
#![forbid(unsafe_code)]

pub mod attest;
pub mod cpio;
pub mod digest;
pub mod enter;
pub mod policy;
pub mod ramdisk;
pub mod store;
pub mod tree;

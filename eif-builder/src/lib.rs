//! Reproducible builder for AWS Nitro Enclave images: from a manifest and its lock to an EIF and its PCRs.
//!
//! The library holds every step; `main.rs` only parses arguments and prints.
//! Modules, from data to steps:
//!
//! - [`digest`]: SHA-256 values
//! - [`store`]: the content-addressed cache of fetched inputs and built parts
//! - [`tree`]: a root file system in memory; [`cpio`]: its canonical archive; [`ramdisk`]: which tree goes where
//! - [`enter`]: one command inside an extracted root, without root rights and without network
//! - [`cpio_read`]: listing an archive that anyone may have written; [`initramfs`]: listing a ramdisk of such archives
//! - [`assemble`]: kernel, command line and ramdisks to an image file
//! - [`describe`]: what any image holds, as text and JSON
//! - [`policy`]: measurements and names to the text of a KMS key policy
#![forbid(unsafe_code)]

pub mod assemble;
pub mod cpio;
pub mod cpio_read;
pub mod describe;
pub mod digest;
pub mod enter;
pub mod initramfs;
pub mod policy;
pub mod ramdisk;
pub mod store;
pub mod tree;

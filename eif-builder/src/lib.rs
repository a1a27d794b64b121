//! Reproducible builder for AWS Nitro Enclave images: from a manifest and its lock to an EIF and its PCRs.
//!
//! The library holds every step; `main.rs` only parses arguments and prints.
//! Modules, from data to steps:
//!
//! - [`digest`]: SHA-256 values
//! - [`mod@file`]: whole files, and errors about them
//! - [`length`]: how long an input may be
//! - [`store`]: the content-addressed cache of fetched inputs and built parts
//! - [`request`]: the `[inputs]` of a manifest; [`lock`]: what they stand for, byte for byte
//! - [`compression`]: bounded unpacking of gzip, xz and zstd
//! - [`unpack`]: entries of Debian packages and tarballs
//! - [`debian`]: what Debian publishes about its packages
//! - [`mirror`], [`fetch`]: from a lock to checked bytes in the store
//! - [`suite`], [`lock_cmd`]: from a request to a new lock
//! - [`tree`]: a root file system in memory; [`cpio`]: its canonical archive; [`ramdisk`]: which tree goes where
//! - [`jar`]: class paths, and files out of zip archives
//! - [`manifest`]: what is in an image and how it starts; [`rootfs`]: its root; [`mod@image`]: its EIF and measurements
//! - [`enter`]: one command inside an extracted root, without root rights and without network
//! - [`listing`]: what is in a folder; [`part`]: a cached build step from inputs to outputs
//! - [`cpio_read`]: listing an archive that anyone may have written; [`initramfs`]: listing a ramdisk of such archives
//! - [`root`]: a lock's packages as an extracted root
//! - [`nar`]: the hash by which Nix names unpacked sources; [`upstream`]: releases of other projects, unpacked and held against it
//! - [`crates`]: static programs of this workspace as parts
//! - [`recipes`]: the build root, the kernel and the emulator
//! - [`assemble`]: kernel, command line and ramdisks to an image file
//! - [`partial`]: a file that is whole or not there
//! - [`describe`]: what any image holds, as text and JSON
//! - [`cursor`]: independent readers of one open file
//! - [`mod@diff`]: why two images differ; [`mod@extract`]: an image taken apart
//! - [`mod@sign`]: whose key may sign an image, and putting a signature into one
//! - [`mod@verify`]: an image judged from its bytes alone
//! - [`policy`]: measurements and names to the text of a KMS key policy
//! - [`lint`]: what is weak in such a policy
//! - [`mod@attest`]: attestation documents judged and explained, with the measurements that `policy` reads
//! - [`verdict`]: what an audit found; [`rebuild`]: an image built again; [`live`]: a running enclave
//! - [`sbom`]: what an image is made of, in two forms; [`provenance`]: what it was made from
//! - [`mod@report`]: one page about an image
//! - [`doctor`]: what this host lacks
//! - [`cli`]: the command line's types; [`host`]: what `main` read from the machine; [`commands`]: one call each
//! - [`pipeline`]: the order of the stages, which nothing else knows
#![forbid(unsafe_code)]

pub mod assemble;
pub mod attest;
mod both;
pub mod cli;
pub mod commands;
pub mod compression;
pub mod cpio;
pub mod cpio_read;
pub mod crates;
pub mod cursor;
pub mod debian;
pub mod describe;
pub mod diff;
pub mod digest;
pub mod doctor;
pub mod enter;
pub mod extract;
pub mod fetch;
pub mod file;
pub mod host;
pub mod image;
pub mod initramfs;
pub mod jar;
pub mod length;
pub mod lint;
pub mod listing;
pub mod live;
pub mod lock;
pub mod lock_cmd;
pub mod manifest;
pub mod mirror;
pub mod nar;
pub mod part;
pub mod partial;
mod pick;
pub mod pipeline;
pub mod policy;
pub mod provenance;
pub mod ramdisk;
pub mod rebuild;
pub mod recipes;
pub mod report;
pub mod request;
pub mod root;
pub mod rootfs;
pub mod sbom;
pub mod sign;
pub mod store;
pub mod suite;
pub mod tree;
pub mod unpack;
pub mod upstream;
pub mod verdict;
pub mod verify;

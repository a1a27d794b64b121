//! The fixed service table: what PID 1 starts, as whom, and with which limits.
//!
//! The image builder makes a [`Table`] from the image manifest and writes [`Table::encode`] to [`PATH`] of the
//! app ramdisk's root, so it is measured. PID 1 reads it with [`Table::decode`], in the boot and again in each child.
//! There is nothing in it that changes at run time, and PID 1 has no other configuration.
//!
//! [`table`] holds the types, [`rules`] what a table must obey beyond its types, [`codec`] draws the layout of the
//! bytes, [`encode`] writes and [`decode`] reads them. This crate opens no file and makes no system call.
#![forbid(unsafe_code)]

pub mod codec;
pub mod decode;
pub mod encode;
mod reader;
pub mod rules;
pub mod table;

pub use decode::DecodeError;
pub use encode::EncodeError;
pub use rules::{RuleError, ServiceRule};
pub use table::{
    Clock, Instruction, Kind, Limit, Resource, Restart, Seccomp, Service, Start, Stdio, Table, TmpfsMount,
};

/// Where the table is, seen from the root that services run in; in the app ramdisk it is under `/rootfs`.
pub const PATH: &str = "/etc/nitro/services";

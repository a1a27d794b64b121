//! A session on the Nitro Secure Module (NSM) of the enclave that this program runs in.
//!
//! [`Nsm`] is what a program may ask of the module; code takes `&dyn Nsm`, so tests inject their own.
//! [`RecipientNsm`] adds the one request that only a KMS client may make. [`Session`] is both, on `/dev/nsm`.
//! [`entropy`] feeds the kernel's random pool from the module.
//!
//! The request and response types come from `aws-nitro-enclaves-nsm-api`; none of them is in this crate's interface.
//! Attestation documents are returned as bytes and not parsed here.
//!
//! This is the only crate of the workspace that may contain `unsafe`: one `ioctl` in [`entropy`].

mod api;
pub mod entropy;
mod pcr;
mod session;

pub use api::{
    Description, ErrorCode, MAX_DATA_BYTES, MAX_PUBLIC_KEY_BYTES, MAX_RANDOM_BYTES, Nsm, NsmError, PcrState,
    RecipientNsm,
};
pub use pcr::{PCR_COUNT, Pcr, PcrIndex};
pub use session::{DEVICE, Device, DeviceFile, Session};

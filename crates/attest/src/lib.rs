//! AWS Nitro attestation documents: bounded parsing and full verification against a trust root *value*.
//!
//! The only way to a [`VerifiedDoc`] is [`verify()`]: every byte is accounted for, the certificate
//! chain ends at the given [`TrustRoot`], the signature holds and the [`Policy`] is met. What was only
//! parsed is an [`UnverifiedDoc`] and says so in each accessor. The rules and their sources are in
//! `SPEC.md` beside this crate; choices in `docs/adr/0005-attestation-strictness.md`.
//!
//! This crate reads no clock, no file and no environment, and keeps no state between documents.
//! It knows nothing of how a document was fetched, and makes none.
//!
//! - [`verify()`]: the order of all checks; [`Policy`]: what the caller demands; [`Moment`]: when
//! - [`danger`]: documents that nobody signed, for the simulator only
//! - [`chain`]: certificates up to a [`TrustRoot`]
//! - [`UnverifiedDoc`], [`Claims`]: what a document says; [`Envelope`]: the `COSE_Sign1` around it
//! - [`Pcr`], [`PcrSet`], [`UnixMs`]: values
#![forbid(unsafe_code)]

mod verify;

pub mod danger;

mod policy;

pub mod chain;

mod root;

mod cert;
mod cose;
mod doc;

mod cbor;
mod pcr;
mod time;

pub use cbor::CborError;
pub use cert::CertError;
pub use cose::{CoseError, Envelope, MAX_DOCUMENT_LEN, Part};
pub use doc::{Claims, DocError, Field, UnverifiedDoc, UnverifiedError};
pub use pcr::{Pcr, PcrError, PcrSet};
pub use policy::{Moment, Policy, PolicyError};
pub use root::{AWS_ROOT_SHA256, RootError, TrustRoot};
pub use time::{NotAnInstant, UnixMs};
pub use verify::{Step, VerifiedDoc, VerifyError, verify};

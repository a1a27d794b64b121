//! AWS KMS key policies that bind a key to Nitro Enclave measurements.
//!
//! - [`generate`]: from a [`request::PolicyRequest`] to a [`policy::Policy`] that lets only the named images use the key;
//! - [`policy`], [`condition`], [`principal`], [`action`]: the policy as typed data and its one JSON form;
//! - [`parse`]: strict reading of a policy that someone else wrote;
//! - [`evaluate`]: what KMS decides for a caller, an action and a request context;
//! - [`lint`]: what is weak in a policy, and how to mend it;
//! - [`measurements`]: the file that says what an image measures;
//! - [`pcr`], [`arn`]: registers and names.
//!
//! The crate reads no file, no clock and no network, and knows neither images nor attestation documents.
//!
//! Source: AWS KMS developer guide, "Key policies in AWS KMS" and "Condition keys for attested platforms";
//! IAM user guide, "IAM JSON policy elements: Condition operators".
#![forbid(unsafe_code)]

pub mod action;
pub mod arn;
pub mod condition;
pub mod evaluate;
pub mod generate;
pub mod lint;
pub mod measurements;
pub mod parse;
pub mod pcr;
pub mod policy;
pub mod principal;
pub mod request;

mod json;
mod wildcard;

//! The key ceremony, on a trusted machine: the one place where secrets are in the clear outside of an enclave.
//!
//! It takes keystores, TLS keys, client lists and the slashing store's credential, encrypts each under the deployment's KMS
//! key with the encryption context that the enclave will demand ([`control::artefact`]), and writes the ciphertexts into
//! the tables that the parent reads. It makes the records of the slashing store, without which nothing is signed. It never
//! decrypts: the key policy gives that to attested enclaves alone.
//!
//! The layers, each using only those after it: [`run`], [`session`]; the commands ([`keys`], [`tls`], [`clients`], [`slashing`],
//! [`deployment`], [`policy`]); what they share ([`seal`], [`tables`], [`aws`], [`payload`], [`progress`], [`secret`],
//! [`machine`]); [`exit`] and [`cli`].
#![forbid(unsafe_code)]

pub mod run;
pub mod session;

pub mod clients;
pub mod deployment;
pub mod keys;
pub mod policy;
pub mod slashing;
pub mod tls;

pub mod aws;
pub mod machine;
pub mod payload;
pub mod progress;
pub mod seal;
pub mod secret;
pub mod tables;

pub mod cli;
pub mod exit;

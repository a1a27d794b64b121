//! From encrypted artefacts to the signer's files, once, and then the end.
//!
//! PID 1 starts it as the signer's user for each job that the agent hands over ([`control::provision`] has the messages). It
//! is the only process beside the signer that sees keys in the clear. It opens no file that the agent can write, believes the
//! deployment config because PCR16 holds it, and answers how each item went and never what was in it.
//!
//! Layers, each using only those after it:
//! - [`exchange`]: the socket to the agent; [`run`]: from a job to its outcome
//! - [`decrypt`]: the batch through KMS; [`code`]: KMS's refusals in the words of the answer; [`measured`]: PCR16
//! - [`take`]: artefacts into what they say; [`payload`]: the forms of their plaintexts
//! - [`generation`]: the files of one generation; [`keys_file`], [`signer_config`]: two of them
//! - [`vault`]: generations on the memory file system, swapped in one step and wiped
//! - [`health`]: the agent's client certificate; [`certificate`]: what is read from a certificate
#![forbid(unsafe_code)]

pub mod certificate;
pub mod code;
pub mod decrypt;
pub mod exchange;
pub mod generation;
pub mod health;
pub mod keys_file;
pub mod measured;
pub mod payload;
pub mod run;
pub mod signer_config;
pub mod take;
pub mod vault;

use std::time::Duration;

/// How long a whole job may take: a little less than the agent waits.
pub const DEADLINE: Duration = Duration::from_mins(14);

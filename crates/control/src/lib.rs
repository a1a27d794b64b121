//! The control messages between the parent and the agent: one JSON object in, one out, for each connection.
//!
//! ```text
//! vsock 5000  init_state                          {"init_state":false}
//!             init                                {"init_state":true}
//!             attest       (also on 5001)         {"attestation_document":"<base64>","claims":"<canonical JSON>"}
//! vsock 5001  configure                           {"config_sha384":"<hex>","pcr16":"<hex>","changed":true}
//!             status                              see [`status`]
//!             add_keys, remove_keys, set_clients  {"items":[{"index":0,"code":"ok",...}]}
//!             refresh_credentials                 {"accepted":true}
//!             metrics                             {"text":"<Prometheus text format>"}
//! ```
//!
//! Rules of the protocol:
//! - A message has no framing: it ends where its object ends. It may arrive in any number of pieces. After it only white
//!   space may follow. At most [`MAX_REQUEST_BYTES`] long and [`MAX_DEPTH`] deep.
//! - The answer is `{"body":…,"status":N}` with the statuses of HTTP, see [`answer`]. Then the enclave closes.
//! - **Requests are strict**: an unknown or repeated field is refused. **Answers are open**: a reader ignores fields that
//!   it does not know, and a field that was added later may be absent. So an older parent works with a newer image.
//! - `init`, `init_state` and their good answers have the very form of the published AWS guidance, whose watchdog reads
//!   at most 1024 bytes of an answer.
//! - What changes keys is all or nothing: `init`, `add_keys` and `set_clients` either do all items, or none.
//! - No text of an error repeats a value of the message but names of fields and operations, cut short.
//!
//! Source: "Guidance for Secure Blockchain Validation Using AWS Nitro Enclaves" for `init_state` and `init`; the rest is ours.
#![forbid(unsafe_code)]

pub mod answer;
pub mod artefact;
pub mod canonical;
pub mod claims;
pub mod config;
mod entry;
pub mod log;
pub mod reader;
pub mod request;
pub mod status;
pub mod text;

use abi::vsock::{CONTROL_PORT, MAX_MESSAGE_BYTES, SERVICE_PORT};

/// Longest request, bytes: 16 MiB.
pub const MAX_REQUEST_BYTES: usize = MAX_MESSAGE_BYTES;

/// Longest answer, bytes. An agent cuts lists so that it holds; a reader stops there.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Deepest nesting of a request, the object itself being 1.
pub const MAX_DEPTH: usize = 8;

/// Most validator keys in one message and in one enclave.
pub const MAX_KEYS: usize = 16_384;

/// Most items that an answer lists. `failed` counts the ones beyond, too.
pub const MAX_ITEMS: usize = 256;

/// The port that a message came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// [`SERVICE_PORT`]: also carries TLS to the signer.
    Service,
    /// [`CONTROL_PORT`].
    Control,
}

impl Surface {
    /// The number of the port.
    #[must_use]
    pub const fn port(self) -> u32 {
        match self {
            Self::Service => SERVICE_PORT,
            Self::Control => CONTROL_PORT,
        }
    }
}

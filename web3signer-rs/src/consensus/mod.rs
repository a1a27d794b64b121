//! From the bytes of a sign request to the 32 bytes that are signed.
//!
//! Two steps, because a caller answers their failures differently: [`SignRequest::parse`] reads the JSON (a failure is
//! HTTP 400), [`SignRequest::resolve`] computes the roots for a [`Network`] and compares a given signing root (a failure
//! is HTTP 500). Nothing here signs, knows a key, judges slashing or reads a clock.
//!
//! - [`request`]: the JSON body; `resolve`: its signing root; `refusal`: why not
//! - [`network`]: slots per epoch, fork epochs and versions by `--network`
//! - `containers`: the SSZ types; `part`: how a JSON form becomes one
//! - `kind`: the types of requests; `domain`: fork choice, domains and signing roots
//! - `text`: numbers and hexadecimal of the JSON; `search`: members at any depth
//!
//! Source: the Ethereum consensus specifications (phase0 to Fulu, and the settled part of Gloas), EIP-7044, and the
//! behaviour of Web3Signer 26.4.2. Deliberate differences are in `docs/adr/0010-sign-requests.md`.

pub mod request;

mod body;
mod resolve;

mod domain;
mod search;

mod containers;
mod part;

mod kind;
pub mod network;
mod refusal;
mod text;

pub use kind::Kind;
pub use network::{Fork, Network, NetworkError};
pub use refusal::{BadRequest, CannotSign};
pub use request::SignRequest;
pub use resolve::Resolved;

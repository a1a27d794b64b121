//! Starts the enclave, gives it its artefacts, watches the service, and starts it again when it must.
//!
//! What to do next is decided in [`machine`], which does nothing itself; [`driver`] does it. [`message`] makes
//! the messages of `init` from the tables.

pub mod driver;
pub mod machine;
pub mod message;
mod numbers;

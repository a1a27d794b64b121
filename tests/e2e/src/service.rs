//! The service and everything around it, for the end-to-end tests and the benchmark: the tables in moto, the simulated KMS, the
//! parent's programs, PostgreSQL, artefacts, clients.
#![expect(
    missing_docs,
    clippy::must_use_candidate,
    clippy::missing_errors_doc,
    clippy::string_slice,
    clippy::disallowed_methods,
    missing_debug_implementations,
    reason = "tools of tests, not an interface"
)]

pub mod artefacts;
pub mod client;
pub mod dynamodb;
pub mod hypervisor;
pub mod imds;
pub mod kms;
pub mod moto;
pub mod parent;
pub mod postgres;
pub mod signing;
pub mod watchdog;
pub mod world;

//! The instance's daemon. It is trusted for availability only: it can read and change all that passes, and learns no secret.
//!
//! - [`cli`], [`config`], [`exit`]: the command line, the strict configuration file, the exit codes;
//! - [`watchdog`]: starts the enclave, gives it its artefacts, watches the service, starts it again;
//! - [`https_proxy`]: from TCP to the enclave, TLS only; [`health`] for load balancers, [`attest`] for auditors;
//! - [`vsock_proxy`]: from the enclave to a list of servers;
//! - [`status`]: asks and shows how all of it is.
//!
//! Below them: [`enclave`] (`nitro-cli` or another launcher), [`tables`] (DynamoDB), [`imds`] (credentials), [`ask`] (messages),
//! [`service`] (the signer over TLS), [`logs`] (what the enclave says), [`relay`], [`limits`], [`resolve`], [`transport`] (bytes),
//! [`http_server`], [`metrics`], [`notify`] (systemd), [`journal`] (our own log).
#![forbid(unsafe_code)]

pub mod ask;
pub mod attest;
pub mod cli;
pub mod config;
pub mod enclave;
pub mod exit;
pub mod health;
pub mod http_server;
pub mod https_proxy;
pub mod imds;
pub mod journal;
pub mod limits;
pub mod logs;
pub mod metrics;
pub mod notify;
pub use relay;
pub mod resolve;
pub mod run;
pub mod service;
pub mod status;
pub mod tables;
pub mod transport;
pub mod vsock_proxy;
pub mod watchdog;

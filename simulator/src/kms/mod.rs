//! A KMS for the laptop that refuses what AWS refuses: TLS, signatures, key policies, attestation.
//!
//! It protects nothing: whoever runs it can read its keys. What it is for is that a client, a policy or an image that is
//! wrong fails here as it would on AWS. What it does not model: grants, service control policies, key rotation, asymmetric
//! and multi-Region keys, other services.
//!
//! In a test, in this process:
//!
//! ```
//! use simulator::kms::{pki, principal, server, service, store, trust};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let role = "arn:aws:iam::111122223333:role/enclave";
//! let enclave = principal::Principal::role_session("ASIAENCLAVE", "secret", "token", role, "i-1")?;
//! let settings = service::Settings::new(
//!     "us-east-1",
//!     "111122223333".parse()?,
//!     principal::Principals::new([enclave])?,
//!     trust::Trust::danger_unsigned_simulator(),
//! );
//! let kms = service::Kms::new(settings, store::Store::default());
//! # let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}]}"#;
//! let key_arn = kms.add_key(policy)?;
//! let ciphertext = kms.encrypt(&key_arn, b"secret", &[("stack".into(), "a".into())].into())?;
//!
//! let ca = pki::Ca::new()?; // clients trust ca.pem()
//! let listen = server::Listen {
//!     unix: Some(folder.join("vsock_8000")), // the guest's port 8000 of CID 3
//!     ..Default::default()
//! };
//! let server = server::Server::start(kms, ca.identity(&pki::names("us-east-1"))?, &listen)?;
//! // … a client calls …
//! assert_eq!(server.kms().counts().tls_sessions, 0);
//! server.stop();
//! # drop(ciphertext);
//! # Ok(())
//! # }
//! ```
//!
//! - [`server`]: starts one, on TCP and on a Unix socket; what the guest's vsock port leads to
//! - [`service`]: from one HTTP request to one answer: [`sigv4`], then `ops` under [`authorize`]
//! - [`trust`]: whose attestation documents are believed; [`envelope`]: the answer that only the enclave can read
//! - [`key`], [`store`], [`blob`]: keys, where they are kept, ciphertexts
//! - [`principal`]: who may call; [`pki`]: the test CA; [`fault`]: what goes wrong on request; [`record`]: what happened
//! - [`cli`], [`command`], [`control`]: the commands `simulator kms` and `simulator kms-control`
//! - [`unsigned`]: documents as QEMU makes them, for tests

pub mod cli;
pub mod command;
pub mod control;

pub mod server;

mod connection;

pub mod service;

mod ops;

pub mod authorize;
pub mod sigv4;
pub mod trust;

pub mod blob;
pub mod envelope;
pub mod key;
pub mod store;

pub mod clock;
pub mod error;
pub mod fault;
pub mod operation;
pub mod pki;
pub mod principal;
pub mod record;
pub mod unsigned;

mod ber;
mod secret;
mod state;

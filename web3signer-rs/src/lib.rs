//! web3signer-rs: a drop-in for the eth2 mode of Web3Signer.
//!
//! A remote signer for Ethereum validators with the command line, the configuration files and the HTTP interface of
//! Web3Signer release 26.4.2, as one static program.
//!
//! The layers, each using only those after it: start and stop ([`start`], [`commands`], [`ports`]); sockets and requests
//! ([`server`], [`app`]); the join of a signature ([`signer`], [`pool`]); who may connect and use what ([`tls`],
//! [`client_keys`]); keys, roots and protection ([`keys`],
//! [`consensus`], [`slashing`], [`protect`], [`genesis`], [`duty`]); options ([`config`],
//! [`cli`]); the rest ([`metrics`], [`reload`], [`log`], [`clock`], [`current`]).
#![forbid(unsafe_code)]

pub mod app;
pub mod cli;
pub mod client_keys;
pub mod clock;
pub mod commands;
pub mod config;
pub mod consensus;
pub mod current;
pub mod genesis;
pub mod keys;
pub mod log;
pub mod metrics;
pub mod pool;
pub mod ports;
pub mod protect;
pub mod reload;
pub mod server;
pub mod signer;
pub mod slashing;
pub mod start;
pub mod tls;

pub use slashing_table::duty;

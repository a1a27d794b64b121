//! web3signer-rs: a drop-in for the eth2 mode of Web3Signer.
//!
//! A remote signer for Ethereum validators with the command line, the configuration files and the HTTP interface of
//! Web3Signer release 26.4.2, as one static program.
#![forbid(unsafe_code)]

pub mod duty;
pub mod slashing;

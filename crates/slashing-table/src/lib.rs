//! Slashing protection as data: what EIP-3076 permits, the file that signers hand to each other, and the items of a
//! DynamoDB table. The signer and the operator's tool both read and write them, so they are spelled once, here.
//!
//! - [`duty`]: what may be asked; [`key`]: who; [`rules`]: when it must be refused; [`watermark`]: when everything must be;
//! - [`genesis`]: which chain a network's name stands for;
//! - [`interchange`]: files of EIP-3076, read with bounds;
//! - [`item`]: the items, by section 2 of `web3signer-rs/src/slashing/SPEC.md`; [`change`]: what one is updated with.
//!
//! The crate reads no file, no clock and no network.
#![forbid(unsafe_code)]

pub mod change;
pub mod duty;
pub mod genesis;
pub mod interchange;
pub mod item;
pub mod key;
pub mod rules;
pub mod watermark;

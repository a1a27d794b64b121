//! The SSZ containers of sign requests, member by member in the order of their Merkle trees.
//!
//! - [`small`]: the fixed-size ones of every duty; [`block`]: whole phase0 and Altair blocks
//! - [`aggregate`]: the three forms of an aggregate; [`sync`]: contributions; [`progressive`]: the Gloas tree shape
//! - [`preset`]: the sizes that differ between mainnet and minimal
//!
//! Source: the Ethereum consensus specifications, by fork in each file.

pub(super) mod aggregate;
pub(super) mod block;
pub(super) mod small;
pub(super) mod sync;

pub(super) mod preset;
mod progressive;

//! The program with moto in place of AWS: KMS, and the three tables in DynamoDB. `scripts/with-stores.sh` starts it.
//!
//! Between program and moto stands [`front`], which throttles, leaves items over, stalls and listens.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "what a test cannot set up is a failed test; the place of moto is in the environment"
)]

mod agreement;
mod clients;
mod front;
mod keys;
mod slashing;
mod support;
mod tls;

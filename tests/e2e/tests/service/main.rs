//! The whole service with real parts: tables in moto, the simulated KMS, our parent, the enclave with its agent, `provision` and
//! the native signer, PostgreSQL as slashing store. Each fault has its stated outcome, and no planted secret is seen anywhere.
//!
//! Two enclaves, one after the other: the first is spoken to by hand, for what the watchdog would never send; the second is
//! the watchdog's.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed step is a failed test"
)]

mod audited;
mod by_hand;
mod refused;
mod slow;
mod watched;

use e2e::{build_image, top};

use e2e::service::world::World;

#[test]
fn the_signing_service() {
    let out = build_image(&top().join("rootfs/service/image.toml"));
    let world = World::new(&out);
    by_hand::run(&world);
    watched::run(&world);
}

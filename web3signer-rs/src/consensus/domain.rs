//! Domains: what ties a signature to one purpose, one fork and one chain.
//!
//! ```text
//! domain       = type (4) || first 28 bytes of H(version, zero-padded to 32 || genesis validators root)
//! signing root = H(object root || domain)
//! ```
//!
//! Source: consensus-specs phase0 `beacon-chain.md`, `compute_domain` and `compute_signing_root`.

use tree_hash::TreeHash;
use tree_hash_derive::TreeHash;

use super::containers::small::ForkInfo;
use crate::duty::Root;

/// A purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DomainType(pub(super) [u8; 4]);

impl DomainType {
    pub(super) const BEACON_PROPOSER: Self = Self([0, 0, 0, 0]);
    pub(super) const BEACON_ATTESTER: Self = Self([1, 0, 0, 0]);
    pub(super) const RANDAO: Self = Self([2, 0, 0, 0]);
    pub(super) const DEPOSIT: Self = Self([3, 0, 0, 0]);
    pub(super) const VOLUNTARY_EXIT: Self = Self([4, 0, 0, 0]);
    pub(super) const SELECTION_PROOF: Self = Self([5, 0, 0, 0]);
    pub(super) const AGGREGATE_AND_PROOF: Self = Self([6, 0, 0, 0]);
    pub(super) const SYNC_COMMITTEE: Self = Self([7, 0, 0, 0]);
    pub(super) const SYNC_COMMITTEE_SELECTION_PROOF: Self = Self([8, 0, 0, 0]);
    pub(super) const CONTRIBUTION_AND_PROOF: Self = Self([9, 0, 0, 0]);
    pub(super) const PTC_ATTESTER: Self = Self([0x0c, 0, 0, 0]);
    pub(super) const PROPOSER_PREFERENCES: Self = Self([0x0d, 0, 0, 0]);
    pub(super) const APPLICATION_BUILDER: Self = Self([0, 0, 0, 1]);

    /// The domain of this purpose for a fork version on the chain with this genesis validators root.
    pub(super) fn domain(self, version: [u8; 4], genesis_validators_root: Root) -> Root {
        let root = ForkData {
            version,
            genesis_validators_root,
        }
        .tree_hash_root();
        let mut domain = [0; 32];
        let (purpose, chain) = domain.split_at_mut(self.0.len());
        purpose.copy_from_slice(&self.0);
        for (to, from) in chain.iter_mut().zip(root.0) {
            *to = from;
        }
        domain
    }
}

impl ForkInfo {
    /// The fork version that the request names for an epoch.
    pub(super) fn version_at(&self, epoch: u64) -> [u8; 4] {
        if epoch < self.fork.epoch {
            self.fork.previous_version
        } else {
            self.fork.current_version
        }
    }
}

/// The root that is signed for an object under a domain.
pub(super) fn signing_root(object_root: Root, domain: Root) -> Root {
    SigningData { object_root, domain }.tree_hash_root().0
}

#[derive(TreeHash)]
struct ForkData {
    version: [u8; 4],
    genesis_validators_root: Root,
}

#[derive(TreeHash)]
struct SigningData {
    object_root: Root,
    domain: Root,
}

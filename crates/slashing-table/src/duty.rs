//! What a sign request asks for, once it has been understood: the root to sign, and what slashing protection must know.
//!
//! The consensus code makes these values, slashing protection judges them, the HTTP service joins the two.

/// A 32-byte SSZ hash tree root.
pub type Root = [u8; 32];

/// A duty that slashing protection must permit before its signature may leave (EIP-3076).
///
/// Every other type of request cannot be slashed and has no `Duty`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// A proposal of a block.
    Block {
        /// The block's slot.
        slot: u64,
    },
    /// A vote on a checkpoint pair.
    Attestation {
        /// Epoch of the source checkpoint.
        source: u64,
        /// Epoch of the target checkpoint.
        target: u64,
    },
}

/// A slashable duty with what it is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlashableDuty {
    /// What is asked for.
    pub duty: Duty,
    /// The signing root that would be signed.
    pub signing_root: Root,
    /// `fork_info.genesis_validators_root` of the request: the chain that it is for.
    pub genesis_validators_root: Root,
}

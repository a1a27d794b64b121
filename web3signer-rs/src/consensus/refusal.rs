//! Why a request is not signed, by the HTTP status that Web3Signer gives.

use super::kind::Kind;
use super::network::Fork;
use crate::duty::Root;

/// The request cannot be read: HTTP 400.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadRequest {
    /// More bytes than any sign request has.
    #[error("sign request of {length} bytes: at most {limit} are read")]
    TooLong {
        /// Bytes of the body.
        length: usize,
        /// The bound.
        limit: usize,
    },
    /// Not JSON, or a member that is missing, doubled or of the wrong form.
    #[error("the body is not a sign request")]
    Json {
        /// What and where.
        #[source]
        source: serde_json::Error,
    },
    /// `beacon_block` has no `version` that is known here.
    #[error(
        "beacon_block: no version among PHASE0, ALTAIR, BELLATRIX, CAPELLA, DENEB, ELECTRA, FULU, GLOAS (in upper case)"
    )]
    BlockVersion,
    /// `beacon_block` lacks what its version needs.
    #[error("beacon_block: version {} needs {member}", version.name())]
    BlockMissing {
        /// The version given.
        version: Fork,
        /// `block` or `block_header`.
        member: &'static str,
    },
    /// `beacon_block` is malformed inside.
    #[error("beacon_block: {member} is malformed")]
    Block {
        /// `version`, `block` or `block_header`.
        member: &'static str,
        /// What and where, counted from the member's beginning.
        #[source]
        source: serde_json::Error,
    },
}

/// The request is read but has no signing root that may be signed: HTTP 500.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotSign {
    /// The member that this type is about is absent or null.
    #[error("{kind} request without {}", kind.member())]
    NoObject {
        /// The request's type.
        kind: Kind,
    },
    /// `fork_info` is absent or null, and the domain needs it.
    #[error("{kind} request without fork_info")]
    NoForkInfo {
        /// The request's type.
        kind: Kind,
    },
    /// A member of a container is absent or null.
    #[error("{member} is missing or null")]
    Missing {
        /// Container and member.
        member: &'static str,
    },
    /// A list or vector has the wrong number of items.
    #[error("{member} has {length} items, the limit is {limit}")]
    Length {
        /// Container and member.
        member: &'static str,
        /// Items given.
        length: usize,
        /// Most items of a list, exactly the items of a vector.
        limit: usize,
    },
    /// A bit field is not the SSZ form of one.
    #[error(
        "{member}: {bytes} bytes are not a bit field of {limit} bits (most bits of a list, all bits of a vector)"
    )]
    Bits {
        /// Container and member.
        member: &'static str,
        /// Bytes given.
        bytes: usize,
        /// Bits.
        limit: usize,
    },
    /// The network has not this duty at that slot.
    #[error("{kind} at slot {slot}: the network is in {} there, this duty begins with {}; check --network and fork epochs", fork.name(), needs.name())]
    BeforeFork {
        /// The request's type.
        kind: Kind,
        /// The slot.
        slot: u64,
        /// The network's fork at the slot.
        fork: Fork,
        /// The fork that brought the duty.
        needs: Fork,
    },
    /// `signing_root` or `signingRoot` is given and is another root.
    #[error(
        "the request's signing root {} is not that of its content, 0x{}; the client and --network may disagree about the fork",
        given.map_or_else(|| "(not 32 bytes)".to_owned(), |root| format!("0x{}", hex::encode(root))),
        hex::encode(computed)
    )]
    RootMismatch {
        /// The root given, if it is one.
        given: Option<Root>,
        /// The root computed here.
        computed: Root,
    },
}

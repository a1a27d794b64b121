//! The high watermark: the point in time from which a whole installation signs nothing that can be slashed.

use crate::duty::Duty;

/// Duties at or after this are refused for every validator. Set to move or stop an installation at a known point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HighWatermark {
    /// First epoch that no attestation may name, as source or as target.
    pub epoch: u64,
    /// First slot that no block may have.
    pub slot: u64,
}

impl HighWatermark {
    /// Whether `duty` is at or after the watermark.
    #[must_use]
    pub fn stops(self, duty: Duty) -> bool {
        match duty {
            Duty::Block { slot } => slot >= self.slot,
            Duty::Attestation { source, target } => source >= self.epoch || target >= self.epoch,
        }
    }
}

//! What slashing protection must know of the network, and the time that it may ask for.

use crate::duty::Root;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now, in seconds since 1970.
    fn unix_seconds(&self) -> u64;
}

/// The chain that duties belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The network's `genesis_validators_root`; `None` for a network that is given by a file without it, where the first
    /// use decides.
    pub genesis_validators_root: Option<Root>,
    /// Time of slot 0, seconds since 1970.
    pub genesis_time: u64,
    /// Seconds of one slot, at least 1.
    pub seconds_per_slot: u64,
    /// Slots of one epoch, at least 1.
    pub slots_per_epoch: u64,
}

impl Chain {
    /// The epoch at `unix_seconds`; `None` before genesis.
    #[must_use]
    pub fn epoch_at(&self, unix_seconds: u64) -> Option<u64> {
        let age = unix_seconds.checked_sub(self.genesis_time)?;
        Some(self.epoch_of(age / self.seconds_per_slot.max(1)))
    }

    /// The epoch that `slot` is in.
    #[must_use]
    pub fn epoch_of(&self, slot: u64) -> u64 {
        slot / self.slots_per_epoch.max(1)
    }

    /// The first slot of `epoch`; the largest number if there is none.
    #[must_use]
    pub fn first_slot_of(&self, epoch: u64) -> u64 {
        epoch.saturating_mul(self.slots_per_epoch.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: Chain = Chain {
        genesis_validators_root: None,
        genesis_time: 1_000,
        seconds_per_slot: 12,
        slots_per_epoch: 32,
    };

    #[test]
    fn an_epoch_begins_with_its_first_slot() {
        let table = [
            (0, None),
            (999, None),
            (1_000, Some(0)),
            (1_383, Some(0)),
            (1_384, Some(1)),
            (1_767, Some(1)),
            (1_768, Some(2)),
        ];
        for (time, epoch) in table {
            assert_eq!(CHAIN.epoch_at(time), epoch, "at {time}");
        }
        assert_eq!(CHAIN.first_slot_of(2), 64);
        assert_eq!(CHAIN.epoch_of(63), 1);
        assert_eq!(CHAIN.epoch_of(64), 2);
        assert_eq!(CHAIN.first_slot_of(u64::MAX), u64::MAX);
    }
}

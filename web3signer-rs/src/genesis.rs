//! When the known networks began, and how long their slots are. Only the memory store of slashing protection asks: it
//! compares duties with the present epoch.
//!
//! Source: the genesis state and `config.yaml` of each network (eth-clients repositories, gnosischain/configs,
//! lukso-network/network-configs).

use crate::consensus::Network;
use crate::slashing::chain::Chain;

/// Name, time of slot 0 in seconds since 1970, seconds of a slot.
const KNOWN: [(&str, u64, u64); 7] = [
    ("mainnet", 1_606_824_023, 12),
    ("sepolia", 1_655_733_600, 12),
    ("holesky", 1_695_902_400, 12),
    ("hoodi", 1_742_213_400, 12),
    ("gnosis", 1_638_993_340, 5),
    ("chiado", 1_665_396_300, 5),
    ("lukso", 1_684_856_400, 12),
];

/// The chain of a known network; `None` for one whose beginning is not known here.
#[must_use]
pub fn chain(network: &Network) -> Option<Chain> {
    KNOWN
        .into_iter()
        .find(|(name, _, _)| *name == network.name())
        .map(|(_, genesis_time, seconds_per_slot)| Chain {
            genesis_validators_root: network.genesis_validators_root(),
            genesis_time,
            seconds_per_slot,
            slots_per_epoch: network.slots_per_epoch(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Public facts: (network, time, epoch), from the fork times that the networks announced.
    #[test]
    fn forks_came_when_they_were_announced() {
        for (name, time, epoch) in [
            ("mainnet", 1_681_338_455, 194_048),
            ("mainnet", 1_710_338_135, 269_568),
            ("mainnet", 1_746_612_311, 364_032),
            ("sepolia", 1_677_557_088, 56_832),
            ("holesky", 1_707_305_664, 29_696),
            ("hoodi", 1_742_999_832, 2_048),
            ("gnosis", 1_690_889_660, 648_704),
            ("chiado", 1_706_724_940, 516_608),
        ] {
            let chain = chain(&Network::from_option(name).unwrap()).unwrap();
            assert_eq!(chain.epoch_at(time), Some(epoch), "{name}");
            assert_eq!(chain.epoch_at(time - 1), Some(epoch - 1), "{name}");
        }
        assert!(chain(&Network::from_option("minimal").unwrap()).is_none());
    }
}

//! Which chain a network's name stands for.

use anyhow::{Context as _, bail};
use control::text::Network;
use slashing_table::duty::Root;
use slashing_table::genesis;

/// The genesis validators root: the one that was given, or that of a known network. Where both are there they must agree.
///
/// # Errors
/// A root that is none, or another than the network's; an unknown network without a root.
pub fn root(network: &Network, given: Option<&str>) -> anyhow::Result<Root> {
    let known = genesis::of_network(network.as_str());
    let given = given.map(parse).transpose()?;
    match (known, given) {
        (Some(known), Some(given)) if known != given => bail!(
            "--genesis-validators-root is 0x{}, but that of {network} is 0x{}",
            hex::encode(given),
            hex::encode(known)
        ),
        (_, Some(root)) | (Some(root), None) => Ok(root),
        (None, None) => bail!(
            "the genesis validators root of {network} is not known here; give it with --genesis-validators-root"
        ),
    }
}

fn parse(text: &str) -> anyhow::Result<Root> {
    let mut root = [0; 32];
    text.strip_prefix("0x")
        .and_then(|digits| hex::decode_to_slice(digits, &mut root).ok())
        .context("a genesis validators root is 0x and 64 hex digits")?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_and_the_given_root_must_agree() {
        let mainnet = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95";
        let name = |text: &str| text.parse::<Network>().unwrap();
        let known = root(&name("mainnet"), None).unwrap();
        assert_eq!(format!("0x{}", hex::encode(known)), mainnet);
        assert_eq!(root(&name("mainnet"), Some(mainnet)).unwrap(), known);
        assert_eq!(root(&name("devnet"), Some(mainnet)).unwrap(), known);
        let other = format!("0x{}", "11".repeat(32));
        assert!(
            root(&name("mainnet"), Some(&other))
                .unwrap_err()
                .to_string()
                .contains("mainnet")
        );
        root(&name("devnet"), None).unwrap_err();
        for bad in ["", "0x", &mainnet[2..], &mainnet[..65], "0xzz"] {
            root(&name("devnet"), Some(bad)).unwrap_err();
        }
    }
}

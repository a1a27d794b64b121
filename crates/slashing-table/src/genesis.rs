//! The genesis validators roots of the networks known by name: what tells one chain's history from another's.
//!
//! Sources: the networks' own repositories (eth-clients, gnosischain) and the tables of consensus clients, each looked up in
//! two places. LUKSO's was not found in two independent places, so it is not here. Test networks have none: their genesis is
//! made anew for every run.

use crate::duty::Root;

const ROOTS: [(&str, Root); 6] = [
    (
        "mainnet",
        root(b"4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"),
    ),
    (
        "sepolia",
        root(b"d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078"),
    ),
    (
        "holesky",
        root(b"9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1"),
    ),
    (
        "hoodi",
        root(b"212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"),
    ),
    (
        "gnosis",
        root(b"f5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47"),
    ),
    (
        "chiado",
        root(b"9d642dac73058fbf39c0ae41ab1e34e4d889043cb199851ded7095bc99eb4c1e"),
    ),
];

/// The root of the network with this name, in any case, where it is known.
#[must_use]
pub fn of_network(name: &str) -> Option<Root> {
    ROOTS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, root)| *root)
}

/// Reads a root at compile time: a wrong digit in the table does not compile.
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses an index out of bounds"
)]
const fn root(digits: &[u8; 64]) -> Root {
    let mut root = [0; 32];
    let mut at = 0;
    while at < 32 {
        root[at] = (digit(digits[2 * at]) << 4) | digit(digits[2 * at + 1]);
        at += 1;
    }
    root
}

#[expect(clippy::panic, reason = "evaluated by the compiler, for which it is an error")]
const fn digit(character: u8) -> u8 {
    match character {
        b'0'..=b'9' => character - b'0',
        b'a'..=b'f' => character - b'a' + 10,
        _ => panic!("a lower-case hexadecimal digit"),
    }
}

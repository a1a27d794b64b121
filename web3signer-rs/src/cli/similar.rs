//! Finds the name that was probably meant. Only for error messages.

use std::collections::BTreeSet;

const AT_MOST: usize = 3;

/// Names that start alike or differ in a few letters, nearest first, at most three.
pub(super) fn similar(word: &str, names: BTreeSet<&str>) -> Vec<String> {
    // A word longer than any name is not a slip of the pen, and the work below grows with its length.
    if word.len() > 80 {
        return Vec::new();
    }
    let mut near: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (distance(word, name), name))
        .filter(|(far, name)| *far <= word.len() / 4 || (word.len() > 5 && name.starts_with(word)))
        .collect();
    near.sort_unstable();
    near.into_iter()
        .take(AT_MOST)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, up) in b.chars().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(x != y)).min(left + 1).min(up + 1);
            diagonal = *up;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("flaw", "lawn"), 2);
        assert_eq!(distance("eth2", "eth2"), 0);
    }

    #[test]
    fn a_typing_slip_is_found_and_nonsense_is_not() {
        let names = || BTreeSet::from(["eth2", "--network", "--http-listen-port", "--http-listen-host"]);
        assert_eq!(similar("eth3", names()), ["eth2"]);
        assert_eq!(
            similar("--http-listn-port", names()).first().unwrap(),
            "--http-listen-port"
        );
        assert_eq!(similar("--zzzz", names()), Vec::<String>::new());
        assert_eq!(similar(&"-".repeat(100_000), names()), Vec::<String>::new());
    }
}

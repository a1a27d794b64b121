//! Licence expressions as SPDX writes them.
//!
//! Two sources are read: the `license` of a crate's manifest, which is such an expression or an old form of it, and the
//! short names of Debian's copyright files, of which some are SPDX's under another name. What is neither becomes a
//! `LicenseRef-…` with the name as it was found; what is unknown stays unknown and is never guessed.
//! Source: SPDX 2.3, annexes A and D; Debian's machine-readable copyright format 1.0, section 7.1.

use std::collections::BTreeMap;

/// Longest licence text that is taken for one.
const MAX_BYTES: usize = 2000;

/// A licence, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Licence {
    /// A valid expression.
    expression: Option<String>,
    /// Names in it that are not on SPDX's list: `LicenseRef-…` to the name as it was found.
    references: BTreeMap<String, String>,
}

/// Debian's short names beside SPDX's. Those that are equal but for case are found too.
const NAMES: &[(&str, &str)] = &[
    ("AGPL-3", "AGPL-3.0-only"),
    ("AGPL-3+", "AGPL-3.0-or-later"),
    ("Apache-2", "Apache-2.0"),
    ("Artistic", "Artistic-1.0-Perl"),
    ("Artistic-1", "Artistic-1.0"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("BSD-4-clause", "BSD-4-Clause"),
    ("CC0", "CC0-1.0"),
    ("Expat", "MIT"),
    ("GFDL-1.2", "GFDL-1.2-only"),
    ("GFDL-1.3", "GFDL-1.3-only"),
    ("GPL-1", "GPL-1.0-only"),
    ("GPL-1+", "GPL-1.0-or-later"),
    ("GPL-2", "GPL-2.0-only"),
    ("GPL-2.0", "GPL-2.0-only"),
    ("GPL-2.0+", "GPL-2.0-or-later"),
    ("GPL-2+", "GPL-2.0-or-later"),
    ("GPL-3", "GPL-3.0-only"),
    ("GPL-3+", "GPL-3.0-or-later"),
    ("LGPL-2", "LGPL-2.0-only"),
    ("LGPL-2+", "LGPL-2.0-or-later"),
    ("LGPL-2.0", "LGPL-2.0-only"),
    ("LGPL-2.0+", "LGPL-2.0-or-later"),
    ("LGPL-2.1", "LGPL-2.1-only"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("LGPL-3", "LGPL-3.0-only"),
    ("LGPL-3+", "LGPL-3.0-or-later"),
    ("MPL-1.1", "MPL-1.1"),
    ("MPL-2", "MPL-2.0"),
    ("Zlib", "Zlib"),
];

/// Names on SPDX's list that occur as they are.
const LISTED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSL-1.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "CDDL-1.0",
    "EPL-1.0",
    "EPL-2.0",
    "FTL",
    "GFDL-1.2-only",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "OFL-1.1",
    "PSF-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

impl Licence {
    /// Nothing is known.
    #[must_use]
    pub const fn unknown() -> Self {
        Self {
            expression: None,
            references: BTreeMap::new(),
        }
    }

    /// The expression, if anything is known.
    #[must_use]
    pub fn expression(&self) -> Option<&str> {
        self.expression.as_deref()
    }

    /// Names that are not on SPDX's list: reference and name.
    #[must_use]
    pub const fn references(&self) -> &BTreeMap<String, String> {
        &self.references
    }

    /// From the `license` of a crate's manifest. An old form with slashes means "or".
    #[must_use]
    pub fn of_crate(text: &str) -> Self {
        let text = text.trim().replace('/', " OR ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let sound = |word: &&str| {
            let inner = word.trim_matches(['(', ')']);
            inner
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-.+".contains(&b))
        };
        if text.is_empty() || text.len() > MAX_BYTES || !words.iter().all(sound) {
            return Self::unknown();
        }
        Self {
            expression: Some(words.join(" ")),
            references: BTreeMap::new(),
        }
    }

    /// From short names of a Debian copyright file that all hold (for different files). Sorted, each once.
    #[must_use]
    pub fn of_debian<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut terms = BTreeMap::new();
        let mut references = BTreeMap::new();
        for name in names.into_iter().map(str::trim) {
            if !name.is_empty() && name.len() <= MAX_BYTES {
                for term in terms_of(name, &mut references) {
                    terms.insert(term.to_ascii_lowercase(), term);
                }
            }
        }
        let many = terms.len() > 1;
        let terms: Vec<String> = terms
            .into_values()
            .map(|term| {
                if many && term.contains(" OR ") {
                    format!("({term})")
                } else {
                    term
                }
            })
            .collect();
        Self {
            expression: (!terms.is_empty()).then(|| terms.join(" AND ")),
            references,
        }
    }
}

/// The terms of `A or B, and C and D` that all hold: `A OR B`, `C`, `D`. A comma binds weaker than the words, and "and"
/// stronger than "or".
fn terms_of(text: &str, references: &mut BTreeMap<String, String>) -> Vec<String> {
    let one = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut terms = Vec::new();
    for group in one.split(", and ") {
        let any: Vec<Vec<String>> = group
            .split(" or ")
            .map(|side| side.split(" and ").map(|name| single(name, references)).collect())
            .collect();
        match any.as_slice() {
            [all] => terms.extend(all.iter().cloned()),
            any => terms.push(
                any.iter()
                    .map(|all| all.join(" AND "))
                    .collect::<Vec<_>>()
                    .join(" OR "),
            ),
        }
    }
    terms
}

/// One short name: SPDX's own, or a reference to the name.
fn single(name: &str, references: &mut BTreeMap<String, String>) -> String {
    let name = name.trim_matches([' ', ',']);
    let listed = LISTED.iter().find(|listed| listed.eq_ignore_ascii_case(name));
    if let Some(listed) = listed {
        return (*listed).to_owned();
    }
    let known = NAMES.iter().find(|(debian, _)| debian.eq_ignore_ascii_case(name));
    if let Some((_, spdx)) = known {
        return (*spdx).to_owned();
    }
    let mut tail = String::new();
    for character in name.chars().take(80) {
        let plain = character.is_ascii_alphanumeric() || matches!(character, '.' | '-');
        tail.push(if plain { character } else { '-' });
    }
    let reference = format!("LicenseRef-debian-{tail}");
    references.insert(reference.clone(), name.to_owned());
    reference
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crate_of(text: &str) -> Option<String> {
        Licence::of_crate(text).expression().map(str::to_owned)
    }

    #[test]
    fn crates_say_it_in_both_forms() {
        assert_eq!(crate_of("MIT OR Apache-2.0").unwrap(), "MIT OR Apache-2.0");
        assert_eq!(crate_of("MIT/Apache-2.0").unwrap(), "MIT OR Apache-2.0");
        let both = "ISC AND (Apache-2.0 OR ISC)";
        assert_eq!(crate_of(both).unwrap(), both);
        for unknown in ["", "  ", "see <the file>", "a\u{202e}b"] {
            assert_eq!(crate_of(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn debian_names_become_spdx() {
        let licence = Licence::of_debian(["GPL-2+", "Expat", "GPL-2+", "MPL-2.0"]);
        assert_eq!(licence.expression(), Some("GPL-2.0-or-later AND MIT AND MPL-2.0"));
        assert!(licence.references().is_empty());
        let licence = Licence::of_debian(["GPL-2+ or MPL-1.1", "ISC"]);
        assert_eq!(
            licence.expression(),
            Some("(GPL-2.0-or-later OR MPL-1.1) AND ISC")
        );
        let licence = Licence::of_debian(["GPL-2 or Expat, and ISC", "ISC and Expat"]);
        assert_eq!(
            licence.expression(),
            Some("(GPL-2.0-only OR MIT) AND ISC AND MIT")
        );
        assert_eq!(Licence::of_debian([""]), Licence::unknown());
    }

    #[test]
    fn what_is_not_listed_is_kept_by_name() {
        let licence = Licence::of_debian(["GPL-2+ with OpenSSL exception", "my <own>"]);
        assert_eq!(
            licence.expression(),
            Some("LicenseRef-debian-GPL-2--with-OpenSSL-exception AND LicenseRef-debian-my--own-")
        );
        let names: Vec<_> = licence.references().values().collect();
        assert_eq!(names, ["GPL-2+ with OpenSSL exception", "my <own>"]);
    }
}

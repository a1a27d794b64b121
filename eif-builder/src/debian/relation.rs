//! Relations between packages: the grammar of `Depends`, `Provides`, `Conflicts` and their like.
//!
//! Source: Debian Policy 4.7, sections 7.1 and 7.5. Only what binary packages may have: architecture
//! lists and build profiles (`[amd64]`, `<!nocheck>`) belong to source packages and are refused.

use core::fmt;

use super::version::{NotVersion, Version};

/// One relation: a package name, perhaps for another architecture, perhaps with a bound on its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The package, real or virtual.
    pub name: &'a str,
    /// What follows the colon in `python3:any`.
    pub qualifier: Option<&'a str>,
    /// The bound on the version.
    pub bound: Option<(Operator, Version<'a>)>,
}

/// How a version must stand to the one written in a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// A field that does not follow the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelationError {
    /// Not `name[:arch] [(op version)]`.
    #[error("`{0}` is not a package relation")]
    Syntax(String),
    /// The version in the relation is malformed.
    #[error("the relation `{relation}` has a malformed version")]
    Version {
        /// The whole relation.
        relation: String,
        /// What is wrong with the version.
        #[source]
        source: NotVersion,
    },
}

impl Operator {
    /// Whether `version` stands in this relation to `bound`.
    #[must_use]
    pub fn holds(self, version: Version<'_>, bound: Version<'_>) -> bool {
        match self {
            Self::Earlier => version < bound,
            Self::EarlierOrEqual => version <= bound,
            Self::Equal => version == bound,
            Self::LaterOrEqual => version >= bound,
            Self::Later => version > bound,
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        }
    }
}

impl<'a> Relation<'a> {
    /// Parses one alternative.
    ///
    /// # Errors
    /// [`RelationError`] when the text does not follow the grammar.
    pub fn parse(text: &'a str) -> Result<Self, RelationError> {
        let text = text.trim_matches(is_space);
        let syntax = || RelationError::Syntax(text.chars().take(120).collect());
        let (head, bound) = match text.split_once('(') {
            Some((head, bound)) => {
                let bound = bound.strip_suffix(')').ok_or_else(syntax)?;
                (head.trim_end_matches(is_space), Some(parse_bound(bound, text)?))
            }
            None => (text, None),
        };
        let (name, qualifier) = match head.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (head, None),
        };
        let word = |w: &str| {
            w.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if !is_package_name(name) || qualifier.is_some_and(|q| q.is_empty() || !word(q)) {
            return Err(syntax());
        }
        Ok(Self {
            name,
            qualifier,
            bound,
        })
    }

    /// Whether a package of this name and version satisfies the relation.
    #[must_use]
    pub fn accepts(&self, name: &str, version: Version<'_>) -> bool {
        self.name == name
            && self
                .bound
                .is_none_or(|(operator, bound)| operator.holds(version, bound))
    }

    /// Whether the qualifier asks for something that a package on amd64 can be.
    #[must_use]
    pub fn is_for_amd64(&self) -> bool {
        matches!(self.qualifier, None | Some("any" | "amd64" | "all"))
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((operator, version)) = self.bound {
            write!(f, " ({} {version})", operator.sign())?;
        }
        Ok(())
    }
}

/// Whether the text is a package name (Policy 5.6.1): at least two of `a-z 0-9 + - .`, an alphanumeric first.
#[must_use]
pub fn is_package_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    (2..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(allowed)
}

/// The groups of a field, separated by commas: each must be satisfied by one of its alternatives.
pub fn groups(field: &str) -> impl Iterator<Item = &str> {
    field
        .split(',')
        .map(|group| group.trim_matches(is_space))
        .filter(|group| !group.is_empty())
}

/// The alternatives of a group, in the order of preference.
///
/// # Errors
/// [`RelationError`] for the first that does not follow the grammar.
pub fn alternatives(group: &str) -> Result<Vec<Relation<'_>>, RelationError> {
    group.split('|').map(Relation::parse).collect()
}

fn parse_bound<'a>(text: &'a str, whole: &str) -> Result<(Operator, Version<'a>), RelationError> {
    let text = text.trim_matches(is_space);
    let operators = [
        ("<<", Operator::Earlier),
        ("<=", Operator::EarlierOrEqual),
        (">=", Operator::LaterOrEqual),
        (">>", Operator::Later),
        ("=", Operator::Equal),
    ];
    let found = operators
        .into_iter()
        .find_map(|(sign, operator)| text.strip_prefix(sign).map(|version| (operator, version)));
    let (operator, version) =
        found.ok_or_else(|| RelationError::Syntax(whole.chars().take(120).collect()))?;
    let version =
        Version::parse(version.trim_start_matches(is_space)).map_err(|source| RelationError::Version {
            relation: whole.chars().take(120).collect(),
            source,
        })?;
    Ok((operator, version))
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_falls_apart_into_groups_and_alternatives() {
        let field = "libc6 (>= 2.38), perl:any|perl5 , \n default-mta | mail-transport-agent";
        let parsed: Vec<Vec<String>> = groups(field)
            .map(|g| alternatives(g).unwrap().iter().map(ToString::to_string).collect())
            .collect();
        assert_eq!(
            parsed,
            [
                vec!["libc6 (>= 2.38)"],
                vec!["perl:any", "perl5"],
                vec!["default-mta", "mail-transport-agent"]
            ]
        );
    }

    #[test]
    fn bounds_are_tried_against_versions() {
        let version = |v| Version::parse(v).unwrap();
        for (text, smaller, equal, larger) in [
            ("aa (<< 2)", true, false, false),
            ("aa (<= 2)", true, true, false),
            ("aa (= 2)", false, true, false),
            ("aa(>=2)", false, true, true),
            ("aa (>> 2)", false, false, true),
            ("aa", true, true, true),
        ] {
            let relation = Relation::parse(text).unwrap();
            assert_eq!(relation.accepts("aa", version("2~1")), smaller, "{text}");
            assert_eq!(relation.accepts("aa", version("2-0")), equal, "{text}");
            assert_eq!(relation.accepts("aa", version("2.0")), larger, "{text}");
            assert!(!relation.accepts("ab", version("2")));
        }
    }

    #[test]
    fn qualifiers_other_than_ours_are_known_as_such() {
        assert!(Relation::parse("python3:any").unwrap().is_for_amd64());
        assert!(!Relation::parse("wine32:i386").unwrap().is_for_amd64());
    }

    #[test]
    fn what_is_outside_the_grammar_is_refused() {
        for bad in [
            "",
            "a",
            "Aa",
            "aa (2)",
            "aa (< 2)",
            "aa (>= 2",
            "aa >= 2",
            "aa [amd64]",
            "aa <!nocheck>",
            "aa:",
            "aa:an y",
            "aa (>= x)",
            "aa bb",
            "é",
        ] {
            assert!(Relation::parse(bad).is_err(), "{bad}");
        }
    }
}

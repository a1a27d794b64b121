//! The paragraph format of Debian's control and index files (deb822): `Field: value`, continuation lines
//! that begin with a blank, paragraphs parted by empty lines.
//!
//! A reader of borrowed text, made for the 57 MB of `Packages`: nothing is copied.
//! Source: Debian Policy 4.7, section 5.1; apt's `sources.list(5)` uses it too.

/// One paragraph.
#[derive(Clone, Copy, Debug)]
pub struct Stanza<'a>(&'a str);

/// A line that is neither a field nor a continuation of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StanzaError {
    /// The line has no colon after a field name, or continues nothing.
    #[error("`{0}` is neither a field nor the continuation of one")]
    Line(String),
    /// The same field stands twice in one paragraph.
    #[error("the field `{0}` stands twice in one paragraph")]
    Twice(String),
}

/// The paragraphs of `text`, in order. Lines that begin with `#` are comments, as in apt's own files.
pub fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    let mut rest = text;
    core::iter::from_fn(move || {
        rest = rest.trim_start_matches('\n');
        if rest.is_empty() {
            return None;
        }
        let (stanza, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
        rest = after;
        Some(Stanza(stanza))
    })
}

impl<'a> Stanza<'a> {
    /// The fields in order: name, and value without surrounding blanks. Continuation lines stay in the
    /// value with their line breaks.
    ///
    /// # Errors
    /// [`StanzaError::Line`] in place of a field that is malformed; the iteration may end there.
    pub fn fields(&self) -> impl Iterator<Item = Result<(&'a str, &'a str), StanzaError>> + use<'a> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            while rest.starts_with('#') {
                rest = rest.split_once('\n').map_or("", |(_, after)| after);
            }
            if rest.is_empty() {
                return None;
            }
            let end = field_end(rest);
            let (field, after) = rest.split_at(end);
            rest = after.strip_prefix('\n').unwrap_or(after);
            let line = || {
                StanzaError::Line(
                    field
                        .lines()
                        .next()
                        .unwrap_or_default()
                        .chars()
                        .take(120)
                        .collect(),
                )
            };
            let Some((name, value)) = field.split_once(':') else {
                return Some(Err(line()));
            };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
                return Some(Err(line()));
            }
            Some(Ok((name, value.trim_matches([' ', '\t', '\n']))))
        })
    }

    /// The values of the wanted fields, in the order of `names`; names match without regard to case.
    ///
    /// # Errors
    /// [`StanzaError`] for a malformed line, or a wanted field that stands twice.
    pub fn pick<const N: usize>(&self, names: [&str; N]) -> Result<[Option<&'a str>; N], StanzaError> {
        let mut found = [None; N];
        for field in self.fields() {
            let (name, value) = field?;
            for (wanted, slot) in names.iter().zip(&mut found) {
                if name.eq_ignore_ascii_case(wanted) && slot.replace(value).is_some() {
                    return Err(StanzaError::Twice(name.to_owned()));
                }
            }
        }
        Ok(found)
    }
}

/// Where the field that begins `text` ends: at the first line break not followed by a blank.
fn field_end(text: &str) -> usize {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|t| t.find('\n')) {
        let end = from + at;
        match text.as_bytes().get(end + 1) {
            Some(b' ' | b'\t') => from = end + 1,
            _ => return end,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\n\nPackage: aa\nFiles:\n x 1\n y 2\nEmpty:\n\n\n# comment\nPackage:bb\n";

    #[test]
    fn paragraphs_and_fields() {
        let all: Vec<Vec<_>> = stanzas(TEXT)
            .map(|s| s.fields().map(Result::unwrap).collect())
            .collect();
        assert_eq!(
            all,
            [
                vec![("Package", "aa"), ("Files", "x 1\n y 2"), ("Empty", "")],
                vec![("Package", "bb")]
            ]
        );
        assert_eq!(stanzas("").count(), 0);
        assert_eq!(stanzas("\n\n\n").count(), 0);
    }

    #[test]
    fn wanted_fields_are_picked_whatever_their_case() {
        let stanza = stanzas("A: 1\nb: 2\nC: 3").next().unwrap();
        assert_eq!(stanza.pick(["B", "X", "a"]), Ok([Some("2"), None, Some("1")]));
    }

    #[test]
    fn malformed_lines_and_repeated_fields_are_refused() {
        for bad in [
            "no colon",
            " continues nothing\nA: 1",
            ": value",
            "A b: 1",
            "A: 1\nnonsense",
        ] {
            let stanza = stanzas(bad).next().unwrap();
            assert!(matches!(stanza.pick(["A"]), Err(StanzaError::Line(_))), "{bad}");
        }
        let stanza = stanzas("A: 1\na: 2").next().unwrap();
        assert_eq!(stanza.pick(["A"]), Err(StanzaError::Twice("a".into())));
    }
}

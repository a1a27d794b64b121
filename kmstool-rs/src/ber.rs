//! A bounded reader of BER: what CMS needs of ITU-T X.690 section 8, and no more.
//!
//! Grammar-driven: the caller says which tag comes next, so nesting is bounded by the caller's code and only constructed
//! octet strings recurse ([`MAX_CHUNK_DEPTH`]). Nothing is copied before its length was checked against the input.
//! Only one-byte tags; any spelling of a length that X.690 allows is read, up to eight octets.

/// How deep octet strings may nest inside an octet string. KMS and OpenSSL nest one level.
pub(crate) const MAX_CHUNK_DEPTH: u8 = 4;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// Bit of the tag byte that says "made of other elements".
pub(crate) const CONSTRUCTED: u8 = 0x20;
/// Context-specific tag 0, primitive; [`CONSTRUCTED`] is added for the other form.
pub(crate) const CONTEXT_0: u8 = 0x80;
/// Context-specific tag 1, constructed.
pub(crate) const CONTEXT_1_CONSTRUCTED: u8 = 0xA1;

/// Why bytes are not the BER that was expected. `at` is an offset in the whole input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BerError {
    /// The input, or the element around, ends too early.
    #[error("offset {at}: {wanted} more bytes expected, {left} left")]
    Truncated {
        /// Where bytes were wanted.
        at: usize,
        /// How many; the largest number when it does not fit.
        wanted: usize,
        /// How many there are.
        left: usize,
    },
    /// Another tag.
    #[error("offset {at}: tag {expected:#04x} expected, found {found:#04x}")]
    Tag {
        /// Where the tag is.
        at: usize,
        /// The tag of the grammar.
        expected: u8,
        /// The tag in the input.
        found: u8,
    },
    /// A length of more than eight octets, or the reserved first octet.
    #[error("offset {at}: unusable length octet {first:#04x}")]
    Length {
        /// Where the length is.
        at: usize,
        /// Its first octet.
        first: u8,
    },
    /// An indefinite length on a primitive element.
    #[error("offset {at}: primitive element of indefinite length")]
    IndefinitePrimitive {
        /// Where its length is.
        at: usize,
    },
    /// Bytes after the last element that the grammar knows.
    #[error("offset {at}: unexpected bytes after the last element")]
    Trailing {
        /// Where they start.
        at: usize,
    },
    /// Octet strings nested deeper than four levels.
    #[error("offset {at}: octet strings nested too deep")]
    Depth {
        /// Where the limit was passed.
        at: usize,
    },
    /// An indefinite-length element without its end-of-contents octets.
    #[error("offset {at}: end of contents expected")]
    EndOfContents {
        /// Where they should be.
        at: usize,
    },
}

enum Length {
    Definite(usize),
    Indefinite,
}

/// Reads elements one after another from `rest`.
///
/// Invariant: `at` is the offset of `rest` in the whole input.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
    indefinite: bool,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self {
            rest: input,
            at: 0,
            indefinite: false,
        }
    }

    /// The tag of the next element, none at the end of the element around.
    pub(crate) fn peek(&self) -> Option<u8> {
        if self.at_end() {
            None
        } else {
            self.rest.first().copied()
        }
    }

    /// Errors unless everything was read. Only for definite lengths and the whole input.
    pub(crate) const fn finish(&self) -> Result<(), BerError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(BerError::Trailing { at: self.at })
        }
    }

    /// The contents of a primitive element with this tag.
    pub(crate) fn primitive(&mut self, tag: u8) -> Result<&'a [u8], BerError> {
        self.tag(tag)?;
        let at = self.at;
        match self.length()? {
            Length::Definite(length) => self.take(length),
            Length::Indefinite => Err(BerError::IndefinitePrimitive { at }),
        }
    }

    /// Reads a constructed element with this tag; `read` must consume all of its contents.
    pub(crate) fn constructed<T, E: From<BerError>>(
        &mut self,
        tag: u8,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.tag(tag)?;
        match self.length()? {
            Length::Definite(length) => {
                let at = self.at;
                let rest = self.take(length)?;
                let mut inner = Self {
                    rest,
                    at,
                    indefinite: false,
                };
                let value = read(&mut inner)?;
                inner.finish()?;
                Ok(value)
            }
            Length::Indefinite => {
                let mut inner = Self {
                    rest: self.rest,
                    at: self.at,
                    indefinite: true,
                };
                let value = read(&mut inner)?;
                self.rest = inner.rest;
                self.at = inner.at;
                self.end_of_contents()?;
                Ok(value)
            }
        }
    }

    /// An octet string with this (primitive) tag: primitive, or constructed of chunks in any number and any form.
    pub(crate) fn octets(&mut self, tag: u8) -> Result<Vec<u8>, BerError> {
        let mut octets = Vec::new();
        self.chunk(tag, MAX_CHUNK_DEPTH, &mut octets)?;
        Ok(octets)
    }

    fn chunk(&mut self, tag: u8, depth: u8, octets: &mut Vec<u8>) -> Result<(), BerError> {
        if self.peek() != Some(tag | CONSTRUCTED) {
            octets.extend_from_slice(self.primitive(tag)?);
            return Ok(());
        }
        let depth = depth.checked_sub(1).ok_or(BerError::Depth { at: self.at })?;
        self.constructed(tag | CONSTRUCTED, |inner| {
            while inner.peek().is_some() {
                inner.chunk(OCTET_STRING, depth, octets)?;
            }
            Ok(())
        })
    }

    fn at_end(&self) -> bool {
        if self.indefinite {
            self.rest.starts_with(&[0, 0])
        } else {
            self.rest.is_empty()
        }
    }

    fn end_of_contents(&mut self) -> Result<(), BerError> {
        let at = self.at;
        if self.take(2)? == [0, 0] {
            Ok(())
        } else {
            Err(BerError::EndOfContents { at })
        }
    }

    fn tag(&mut self, expected: u8) -> Result<(), BerError> {
        let at = self.at;
        let found = self.byte()?;
        if found == expected {
            Ok(())
        } else {
            Err(BerError::Tag { at, expected, found })
        }
    }

    fn length(&mut self) -> Result<Length, BerError> {
        let at = self.at;
        let first = self.byte()?;
        match first {
            0..=0x7F => Ok(Length::Definite(first.into())),
            0x80 => Ok(Length::Indefinite),
            0x81..=0x88 => {
                let octets = self.take(usize::from(first & 0x7F))?;
                let value = octets
                    .iter()
                    .fold(0_u64, |value, &octet| value << 8 | u64::from(octet));
                Ok(Length::Definite(usize::try_from(value).unwrap_or(usize::MAX)))
            }
            _ => Err(BerError::Length { at, first }),
        }
    }

    fn byte(&mut self) -> Result<u8, BerError> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn take(&mut self, wanted: usize) -> Result<&'a [u8], BerError> {
        let (taken, rest) = self.rest.split_at_checked(wanted).ok_or(BerError::Truncated {
            at: self.at,
            wanted,
            left: self.rest.len(),
        })?;
        self.rest = rest;
        self.at += wanted;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets(bytes: &[u8]) -> Result<Vec<u8>, BerError> {
        let mut reader = Reader::new(bytes);
        let value = reader.octets(OCTET_STRING)?;
        reader.finish()?;
        Ok(value)
    }

    #[test]
    fn every_form_of_an_octet_string() {
        for form in [
            &[4, 2, 1, 2][..],
            &[4, 0x81, 2, 1, 2],
            &[4, 0x88, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2],
            &[0x24, 4 + 2, 4, 1, 1, 4, 1, 2],
            &[0x24, 0x80, 4, 1, 1, 4, 0, 4, 1, 2, 0, 0],
            &[0x24, 0x80, 0x24, 3, 4, 1, 1, 0x24, 0x80, 4, 1, 2, 0, 0, 0, 0],
        ] {
            assert_eq!(octets(form), Ok(vec![1, 2]), "{form:02x?}");
        }
        assert_eq!(octets(&[0x24, 0x80, 0, 0]), Ok(vec![]));
    }

    #[test]
    fn refusals() {
        let truncated = |at, wanted, left| Err(BerError::Truncated { at, wanted, left });
        assert_eq!(octets(&[]), truncated(0, 1, 0));
        assert_eq!(octets(&[4]), truncated(1, 1, 0));
        assert_eq!(
            octets(&[4, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]),
            truncated(6, 0xFFFF_FFFF, 0)
        );
        assert_eq!(
            octets(&[4, 0x88, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1]),
            truncated(10, usize::MAX, 1)
        );
        assert_eq!(
            octets(&[4, 0x89, 0]),
            Err(BerError::Length { at: 1, first: 0x89 })
        );
        assert_eq!(
            octets(&[4, 0xFF, 0]),
            Err(BerError::Length { at: 1, first: 0xFF })
        );
        assert_eq!(
            octets(&[4, 0x80, 0, 0]),
            Err(BerError::IndefinitePrimitive { at: 1 })
        );
        assert_eq!(octets(&[4, 0, 9]), Err(BerError::Trailing { at: 2 }));
        assert_eq!(octets(&[0x24, 3, 4, 2, 0]), truncated(4, 2, 1));
        let tag = |at, found| {
            Err(BerError::Tag {
                at,
                expected: OCTET_STRING,
                found,
            })
        };
        assert_eq!(octets(&[3, 0]), tag(0, 3));
        assert_eq!(octets(&[0x24, 0x80, 0, 1]), tag(2, 0));
        let mut reader = Reader::new(&[0x30, 0x80, 5, 0, 0, 1]);
        let found = reader.constructed(SEQUENCE, |inner| inner.primitive(NULL).map(<[u8]>::len));
        assert_eq!(found, Err(BerError::EndOfContents { at: 4 }));
    }

    #[test]
    fn depth_is_bounded_without_recursion() {
        let deep = |levels| {
            [
                &[0x24, 0x80].repeat(levels)[..],
                &[4, 1, 7],
                &[0, 0].repeat(levels),
            ]
            .concat()
        };
        assert_eq!(octets(&deep(4)), Ok(vec![7]));
        assert_eq!(octets(&deep(5)), Err(BerError::Depth { at: 8 }));
        assert_eq!(octets(&deep(1_000_000)), Err(BerError::Depth { at: 8 }));
    }
}

//! A bounded CBOR reader: pulls items from a slice, allocates nothing, never looks past the end.
//!
//! It reads what attestation documents are made of and refuses the rest of RFC 8949: floats, simple
//! values but false, true and null, strings in chunks, and heads longer than their value needs.
//! Arrays and maps may have definite or indefinite length. Equal map keys are the caller's to find;
//! since heads are minimal, equal keys have equal bytes. It has no writer.

/// How deep [`Reader::skip`] follows arrays, maps and tags; an attestation envelope needs 2.
const MAX_DEPTH: usize = 8;

/// Why bytes are not the CBOR that attestation documents use. Offsets count from the start of the part read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CborError {
    /// The item needs more bytes than there are.
    #[error("the item at byte {offset} needs {needed} more bytes, {left} are left")]
    Truncated {
        /// Where the missing bytes should begin.
        offset: usize,
        /// How many are needed there.
        needed: u64,
        /// How many there are.
        left: usize,
    },
    /// Bytes follow the item.
    #[error("{left} bytes follow the item that ends at byte {offset}")]
    Trailing {
        /// Where the item ended.
        offset: usize,
        /// How many bytes follow.
        left: usize,
    },
    /// A float, a simple value, a reserved head or a break in the wrong place.
    #[error("byte {offset} is {byte:#04x}: a float, an unknown simple value, or a break out of place")]
    Unsupported {
        /// Where it is.
        offset: usize,
        /// The first byte of the item.
        byte: u8,
    },
    /// A string given in chunks (indefinite length).
    #[error("the string at byte {offset} has indefinite length")]
    ChunkedString {
        /// Where it begins.
        offset: usize,
    },
    /// A number or length written in more bytes than it needs.
    #[error("the head at byte {offset} is longer than its value {value} needs")]
    NonMinimal {
        /// Where the head begins.
        offset: usize,
        /// Its value.
        value: u64,
    },
    /// A text string that is not UTF-8.
    #[error("the text at byte {offset} is not UTF-8")]
    NotUtf8 {
        /// Where its head begins.
        offset: usize,
    },
    /// Arrays, maps or tags nested too deeply.
    #[error("items are nested more than {MAX_DEPTH} deep at byte {offset}")]
    TooDeep {
        /// Where the limit was passed.
        offset: usize,
    },
    /// A map has the same key twice.
    #[error("the map key at byte {offset} was there before")]
    DuplicateKey {
        /// Where the second one begins.
        offset: usize,
    },
}

/// One item, or the head of one that contains others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    Unsigned(u64),
    /// The number -1 - n.
    Negative(u64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Count),
    Map(Count),
    Tag(u64),
    Bool(bool),
    Null,
}

impl Item<'_> {
    /// What this is, for error messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "an unsigned integer",
            Self::Negative(_) => "a negative integer",
            Self::Bytes(_) => "a byte string",
            Self::Text(_) => "a text string",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Tag(_) => "a tag",
            Self::Bool(_) => "a boolean",
            Self::Null => "null",
        }
    }
}

/// How many elements (pairs, for a map) of a container are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Definite(u64),
    Indefinite,
}

/// A position in a slice of CBOR. Invariant: `at <= bytes.len()`.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) const fn offset(&self) -> usize {
        self.at
    }

    /// The next item, or the head of the next container.
    pub(crate) fn item(&mut self) -> Result<Item<'a>, CborError> {
        let offset = self.at;
        let first = self.byte()?;
        let (major, info) = (first >> 5, first & 0x1f);
        Ok(match (major, info) {
            (2 | 3, 31) => return Err(CborError::ChunkedString { offset }),
            (4, 31) => Item::Array(Count::Indefinite),
            (5, 31) => Item::Map(Count::Indefinite),
            (7, 20) => Item::Bool(false),
            (7, 21) => Item::Bool(true),
            (7, 22) => Item::Null,
            (7, _) | (_, 28..) => return Err(CborError::Unsupported { offset, byte: first }),
            _ => {
                let value = self.argument(offset, info)?;
                match major {
                    0 => Item::Unsigned(value),
                    1 => Item::Negative(value),
                    2 => Item::Bytes(self.take(value)?),
                    3 => Item::Text(
                        core::str::from_utf8(self.take(value)?).map_err(|_| CborError::NotUtf8 { offset })?,
                    ),
                    4 => Item::Array(Count::Definite(value)),
                    5 => Item::Map(Count::Definite(value)),
                    _ => Item::Tag(value),
                }
            }
        })
    }

    /// Whether another element (pair) of the container follows; counts it, or consumes the break.
    pub(crate) fn more(&mut self, count: &mut Count) -> Result<bool, CborError> {
        match count {
            Count::Definite(0) => Ok(false),
            Count::Definite(left) => {
                *left -= 1;
                Ok(true)
            }
            Count::Indefinite => {
                let is_break = self.peek()? == 0xff;
                if is_break {
                    self.at += 1;
                }
                Ok(!is_break)
            }
        }
    }

    /// Passes over one whole item and checks that it is well formed.
    pub(crate) fn skip(&mut self) -> Result<(), CborError> {
        self.skip_within(MAX_DEPTH)
    }

    /// Asserts that everything was read.
    pub(crate) fn finish(self) -> Result<(), CborError> {
        let left = self.left();
        if left == 0 {
            Ok(())
        } else {
            Err(CborError::Trailing {
                offset: self.at,
                left,
            })
        }
    }

    fn skip_within(&mut self, depth: usize) -> Result<(), CborError> {
        let offset = self.at;
        let item = self.item()?;
        let (mut count, per_element) = match item {
            Item::Array(count) => (count, 1),
            Item::Map(count) => (count, 2),
            Item::Tag(_) => (Count::Definite(1), 1),
            _ => return Ok(()),
        };
        let depth = depth.checked_sub(1).ok_or(CborError::TooDeep { offset })?;
        while self.more(&mut count)? {
            for _ in 0..per_element {
                self.skip_within(depth)?;
            }
        }
        Ok(())
    }

    /// The argument of a head: `info` itself below 24, else the next 1, 2, 4 or 8 bytes, big-endian.
    fn argument(&mut self, offset: usize, info: u8) -> Result<u64, CborError> {
        if info < 24 {
            return Ok(u64::from(info));
        }
        let length = 1_u64 << (info - 24);
        let value = self
            .take(length)?
            .iter()
            .fold(0, |value, byte| (value << 8) | u64::from(*byte));
        let least = match length {
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        if value < least {
            Err(CborError::NonMinimal { offset, value })
        } else {
            Ok(value)
        }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn peek(&self) -> Result<u8, CborError> {
        self.bytes.get(self.at).copied().ok_or(CborError::Truncated {
            offset: self.at,
            needed: 1,
            left: 0,
        })
    }

    fn byte(&mut self) -> Result<u8, CborError> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], CborError> {
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| self.at.checked_add(length))
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or_else(|| CborError::Truncated {
                offset: self.at,
                needed: length,
                left: self.left(),
            })?;
        self.at += taken.len();
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;

//! A bounded big-endian reader over bytes in memory: no parser of this crate indexes a slice.

/// Fewer bytes were left than a field needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} bytes are needed at offset {at}, only {left} are left")]
pub struct Short {
    /// Offset of the field, from the start of the parsed bytes.
    pub at: usize,
    /// Bytes that the field needs.
    pub wanted: usize,
    /// Bytes that are left.
    pub left: usize,
}

/// Takes fields from the front of a slice.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Bytes not yet taken.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn bytes(&mut self, wanted: usize) -> Result<&'a [u8], Short> {
        let short = self.short(wanted);
        let (taken, rest) = self.rest.split_at_checked(wanted).ok_or(short)?;
        self.advance(rest, wanted);
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let short = self.short(N);
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.advance(rest, N);
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Short> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_be_bytes)
    }

    const fn short(&self, wanted: usize) -> Short {
        Short {
            at: self.at,
            wanted,
            left: self.rest.len(),
        }
    }

    const fn advance(&mut self, rest: &'a [u8], taken: usize) {
        self.rest = rest;
        self.at = self.at.saturating_add(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_big_endian_fields_and_never_past_the_end() {
        let mut reader = Reader::new(&[1, 0, 2, 0, 0, 0, 3, 9]);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.u16(), Ok(2));
        assert_eq!(reader.u32(), Ok(3));
        assert_eq!(
            reader.u64(),
            Err(Short {
                at: 7,
                wanted: 8,
                left: 1
            })
        );
        assert_eq!((reader.at(), reader.left()), (7, 1));
        assert_eq!(
            reader.bytes(usize::MAX),
            Err(Short {
                at: 7,
                wanted: usize::MAX,
                left: 1
            })
        );
        assert_eq!(reader.bytes(1), Ok(&[9][..]));
        assert_eq!(reader.left(), 0);
    }
}

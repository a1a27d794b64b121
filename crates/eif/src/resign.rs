//! An existing image with another signature: the header and the signature section change, no other byte does.
//!
//! ```text
//! | header: count, table, CRC | sections before | 12 + signature | sections after |
//! ```
//! An image without signature gets one at its end, where AWS's builder puts it. It makes no signature.

use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::header::{HEADER_BYTES, HEADER_BYTES_IN_CRC, MAX_SECTIONS, TableEntry};
use crate::parse::{EifError, EifFile};
use crate::section::{SECTION_HEADER_BYTES, SectionHeader, SectionKind};
use crate::signature::Signature;

const BUFFER_BYTES: usize = 256 * 1024;

/// Why an image cannot be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResignError {
    /// Signatures exist from version 3 on.
    #[error(
        "an image of version {version} has no place for a signature, expected version 3 or 4; build it anew"
    )]
    Version {
        /// The image's version.
        version: u16,
    },
    /// The section table is full.
    #[error("the image has {MAX_SECTIONS} sections already, none is left for a signature")]
    Full,
    /// The image is larger than a file can be.
    #[error("the image with its signature is larger than a file can be")]
    TooLarge,
    /// The image could not be read.
    #[error(transparent)]
    Image(#[from] EifError),
    /// The new image could not be written.
    #[error("cannot write the signed image")]
    Output(#[source] io::Error),
}

impl<R: Read + Seek> EifFile<R> {
    /// Writes this image to `out`, which must be empty, with `signature` in place of the one it has or has not.
    ///
    /// Nothing is checked but the form: that the signature is of this image is the caller's to know. The header comes
    /// last, over zeros, so what was cut short is no image.
    ///
    /// # Errors
    /// [`ResignError`]; `out` then holds no image.
    pub fn write_signed<W: Write + Seek>(
        &mut self,
        signature: &Signature,
        out: &mut W,
    ) -> Result<(), ResignError> {
        let mut header = self.header().clone();
        if header.version < 3 {
            return Err(ResignError::Version {
                version: header.version,
            });
        }
        let bytes = signature.encode();
        let size = bytes.len() as u64;
        let sections = self.sections().to_vec();
        let place = sections
            .iter()
            .position(|section| section.kind == SectionKind::Signature);
        if place.is_none() && sections.len() >= MAX_SECTIONS {
            return Err(ResignError::Full);
        }
        let mut order: Vec<Option<usize>> = (0..sections.len())
            .map(|index| (Some(index) != place).then_some(index))
            .collect();
        if place.is_none() {
            order.push(None);
        }
        // The table first: the CRC begins with it.
        let mut offset = HEADER_BYTES;
        header.sections.clear();
        for source in &order {
            let size = source.map_or(size, |index| {
                sections.get(index).map_or(0, |section| section.size)
            });
            header.sections.push(TableEntry { offset, size });
            let end = offset.checked_add(SECTION_HEADER_BYTES);
            offset = end
                .and_then(|end| end.checked_add(size))
                .ok_or(ResignError::TooLarge)?;
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(header.encode().get(..HEADER_BYTES_IN_CRC).unwrap_or_default());
        out.rewind().map_err(ResignError::Output)?;
        out.write_all(&[0; 548]).map_err(ResignError::Output)?;
        let mut put = |piece: &[u8]| {
            crc.update(piece);
            out.write_all(piece).map_err(ResignError::Output)
        };
        for source in order {
            let kind_and_size = source
                .and_then(|index| sections.get(index))
                .map(|s| (s.kind, s.size));
            let (kind, size) = kind_and_size.unwrap_or((SectionKind::Signature, size));
            put(&SectionHeader { kind, size }.encode())?;
            match source {
                Some(index) => copy(self, index, size, &mut put)?,
                None => put(&bytes)?,
            }
        }
        header.crc = crc.finalize();
        out.seek(SeekFrom::Start(0)).map_err(ResignError::Output)?;
        out.write_all(&header.encode()).map_err(ResignError::Output)?;
        out.flush().map_err(ResignError::Output)
    }
}

/// One section's data, all of it or [`EifError::Changed`].
fn copy<R: Read + Seek>(
    image: &mut EifFile<R>,
    index: usize,
    size: u64,
    put: &mut dyn FnMut(&[u8]) -> Result<(), ResignError>,
) -> Result<(), ResignError> {
    let mut source = image.section_reader(index)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut copied = 0_u64;
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(EifError::Read(error).into()),
        };
        put(buffer.get(..count).unwrap_or_default())?;
        copied += count as u64;
    }
    if copied == size {
        return Ok(());
    }
    Err(EifError::Changed { index }.into())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::header::Header;
    use crate::signature::PcrSignature;

    const UNSIGNED: &[u8] = include_bytes!("../tests/data/x86_64.eif");
    const SIGNED: &[u8] = include_bytes!("../tests/data/signed.eif");

    fn signed_with(image: &[u8], signature: &Signature) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        let mut file = EifFile::open(Cursor::new(image)).unwrap();
        file.write_signed(signature, &mut out).unwrap();
        out.into_inner()
    }

    fn aws() -> Signature {
        let file = EifFile::open(Cursor::new(SIGNED)).unwrap();
        file.signature().cloned().unwrap()
    }

    fn longer() -> Signature {
        let mut first = aws().signatures()[0].clone();
        first.certificate_pem.splice(0..0, b"a comment\n".iter().copied());
        Signature::new(vec![PcrSignature { ..first }]).unwrap()
    }

    #[test]
    fn the_same_signature_again_changes_nothing() {
        assert!(signed_with(SIGNED, &aws()) == SIGNED);
    }

    #[test]
    fn only_header_and_signature_change() {
        let (unsigned, signed) = (UNSIGNED, signed_with(UNSIGNED, &longer()));
        assert_eq!(signed[548..unsigned.len()], unsigned[548..]);
        assert_eq!(Header::parse(&signed).unwrap().sections.len(), 6);
        let again = signed_with(&signed, &aws());
        let direct = signed_with(UNSIGNED, &aws());
        assert!(again == direct, "signing again is signing");
        for bytes in [&signed, &again] {
            let mut file = EifFile::open(Cursor::new(bytes)).unwrap();
            let measured = file.measure().unwrap();
            assert_eq!(measured.crc, file.header().crc);
            assert!(measured.measurements.pcr8.is_some());
            let mut before = EifFile::open(Cursor::new(UNSIGNED)).unwrap();
            let expected = before.measure().unwrap().measurements;
            assert_eq!(
                (
                    measured.measurements.pcr0,
                    measured.measurements.pcr1,
                    measured.measurements.pcr2
                ),
                (expected.pcr0, expected.pcr1, expected.pcr2)
            );
        }
    }

    /// A signature in the middle, as a foreign tool may put it: what follows moves as a whole.
    #[test]
    fn sections_after_the_signature_move() {
        let file = EifFile::open(Cursor::new(SIGNED)).unwrap();
        let mut header = file.header().clone();
        let (last, rest) = header.sections.split_last().unwrap();
        let end = |entry: &TableEntry| usize::try_from(entry.offset + 12 + entry.size).unwrap();
        let (kernel, signature) = (rest[0], *last);
        let cut = end(&kernel);
        let start = usize::try_from(signature.offset).unwrap();
        let mut body = SIGNED[548..cut].to_vec();
        body.extend(&SIGNED[start..]);
        body.extend(&SIGNED[cut..start]);
        let mut sections = vec![kernel];
        let mut offset = cut as u64;
        for entry in std::iter::once(&signature).chain(&rest[1..]) {
            sections.push(TableEntry {
                offset,
                size: entry.size,
            });
            offset += 12 + entry.size;
        }
        header.sections = sections;
        let mut middle = header.encode();
        middle.extend(body);
        let resigned = signed_with(&middle, &longer());
        let mut file = EifFile::open(Cursor::new(&resigned)).unwrap();
        let measured = file.measure().unwrap();
        assert_eq!(measured.crc, file.header().crc);
        assert_eq!(file.sections()[1].kind, SectionKind::Signature);
        let grown = resigned.len() - middle.len();
        let after = cut + 12 + usize::try_from(signature.size).unwrap();
        assert_eq!(resigned[after + grown..], middle[after..]);
    }

    #[test]
    fn no_place_for_it_is_an_error() {
        let mut old = UNSIGNED.to_vec();
        old[5] = 3;
        // Version 3 has no metadata; version 2 neither that nor a signature.
        EifFile::open(Cursor::new(&old)).unwrap_err();
        let file = EifFile::open(Cursor::new(UNSIGNED)).unwrap();
        let mut header = file.header().clone();
        let metadata = header.sections[2];
        let start = usize::try_from(metadata.offset).unwrap();
        let size = usize::try_from(metadata.size).unwrap() + 12;
        header.version = 2;
        header.sections.remove(2);
        for entry in header.sections.iter_mut().skip(2) {
            entry.offset -= size as u64;
        }
        let mut version2 = header.encode();
        version2.extend(&UNSIGNED[548..start]);
        version2.extend(&UNSIGNED[start + size..]);
        let mut out = Cursor::new(Vec::new());
        let mut file = EifFile::open(Cursor::new(&version2)).unwrap();
        let error = file.write_signed(&aws(), &mut out).unwrap_err();
        assert!(matches!(error, ResignError::Version { version: 2 }), "{error}");
        assert!(out.get_ref().is_empty());
    }
}

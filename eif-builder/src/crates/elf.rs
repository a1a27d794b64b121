//! What a program file must be before it goes into an image: a static, position-independent x86-64 executable.
//!
//! Only what decides that is read: the file header and the program headers. Source: ELF-64 Object File Format,
//! version 1.5; System V ABI for AMD64.

/// Bytes of the file header and of one program header.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PT_LOAD: u32 = 1;
const DT_NEEDED: u64 = 1;

/// Why a file is not such a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// Not ELF, not 64 bits, not little-endian or not for x86-64.
    #[error("it is not an x86-64 ELF file")]
    NotElf,
    /// Its headers point outside the file.
    #[error("its headers are cut off")]
    Truncated,
    /// It is linked to a fixed address.
    #[error("it is not position-independent")]
    NotPie,
    /// It wants a dynamic loader or a shared library.
    #[error("it is not static: it asks for a loader or a shared library")]
    NotStatic,
    /// Memory that is writable and executable at once, also the stack.
    #[error("it has a segment that is writable and executable")]
    WritableCode,
}

/// Checks a program file.
///
/// # Errors
/// [`ElfError`] with the first rule that it breaks.
pub fn check_static_pie(file: &[u8]) -> Result<(), ElfError> {
    let ident = file.get(..7).ok_or(ElfError::NotElf)?;
    if ident != b"\x7fELF\x02\x01\x01" || u16_at(file, 18)? != EM_X86_64 {
        return Err(ElfError::NotElf);
    }
    if u16_at(file, 16)? != ET_DYN {
        return Err(ElfError::NotPie);
    }
    let start = usize::try_from(u64_at(file, 32)?).map_err(|_| ElfError::Truncated)?;
    let (size, count) = (usize::from(u16_at(file, 54)?), usize::from(u16_at(file, 56)?));
    if start < HEADER || size != PROGRAM_HEADER {
        return Err(ElfError::Truncated);
    }
    let end = size.checked_mul(count).and_then(|n| n.checked_add(start));
    let headers = end
        .and_then(|end| file.get(start..end))
        .ok_or(ElfError::Truncated)?;
    let mut dynamic = false;
    for header in headers.chunks_exact(PROGRAM_HEADER) {
        let flags = u32_at(header, 4)?;
        match u32_at(header, 0)? {
            PT_INTERP => return Err(ElfError::NotStatic),
            PT_LOAD | PT_GNU_STACK if flags & (PF_X | PF_W) == PF_X | PF_W => {
                return Err(ElfError::WritableCode);
            }
            PT_DYNAMIC => {
                dynamic = true;
                check_dynamic(segment(file, header)?)?;
            }
            _ => {}
        }
    }
    // Position-independent code is relocated by itself at start, through its dynamic section.
    if dynamic { Ok(()) } else { Err(ElfError::NotPie) }
}

/// A dynamic section (16-byte entries: tag, value) must not name a shared library.
fn check_dynamic(section: &[u8]) -> Result<(), ElfError> {
    for entry in section.chunks_exact(16) {
        match u64_at(entry, 0)? {
            DT_NEEDED => return Err(ElfError::NotStatic),
            0 => return Ok(()),
            _ => {}
        }
    }
    Err(ElfError::Truncated)
}

fn segment<'a>(file: &'a [u8], header: &[u8]) -> Result<&'a [u8], ElfError> {
    let number = |at| u64_at(header, at).and_then(|n| usize::try_from(n).map_err(|_| ElfError::Truncated));
    let (offset, size) = (number(8)?, number(32)?);
    let end = offset.checked_add(size).ok_or(ElfError::Truncated)?;
    file.get(offset..end).ok_or(ElfError::Truncated)
}

fn bytes<const N: usize>(data: &[u8], at: usize) -> Result<[u8; N], ElfError> {
    let end = at.checked_add(N).ok_or(ElfError::Truncated)?;
    data.get(at..end)
        .and_then(|b| b.try_into().ok())
        .ok_or(ElfError::Truncated)
}

fn u16_at(data: &[u8], at: usize) -> Result<u16, ElfError> {
    bytes(data, at).map(u16::from_le_bytes)
}

fn u32_at(data: &[u8], at: usize) -> Result<u32, ElfError> {
    bytes(data, at).map(u32::from_le_bytes)
}

fn u64_at(data: &[u8], at: usize) -> Result<u64, ElfError> {
    bytes(data, at).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file header, a loadable segment and a dynamic section, as small as the format allows.
    fn program(kinds: &[(u32, u32)], tags: &[u64]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend(ET_DYN.to_le_bytes());
        file.extend(EM_X86_64.to_le_bytes());
        file.resize(32, 0);
        file.extend(64_u64.to_le_bytes());
        file.resize(54, 0);
        file.extend(56_u16.to_le_bytes());
        file.extend(u16::try_from(kinds.len()).unwrap().to_le_bytes());
        file.resize(64, 0);
        let offset = (HEADER + kinds.len() * PROGRAM_HEADER) as u64;
        for (kind, flags) in kinds {
            file.extend(kind.to_le_bytes());
            file.extend(flags.to_le_bytes());
            for value in [offset, 0, 0, tags.len() as u64 * 16, 0, 0] {
                file.extend(value.to_le_bytes());
            }
        }
        for tag in tags {
            file.extend(tag.to_le_bytes());
            file.extend([0; 8]);
        }
        file
    }

    const GOOD: &[(u32, u32)] = &[(PT_LOAD, 5), (PT_DYNAMIC, 6), (PT_GNU_STACK, 6)];

    #[test]
    fn each_rule_has_its_error() {
        assert_eq!(check_static_pie(&program(GOOD, &[30, 0])), Ok(()));
        assert_eq!(
            check_static_pie(&program(GOOD, &[DT_NEEDED, 0])),
            Err(ElfError::NotStatic)
        );
        assert_eq!(
            check_static_pie(&program(GOOD, &[30])),
            Err(ElfError::Truncated),
            "no end of the section"
        );
        assert_eq!(
            check_static_pie(&program(&[(PT_INTERP, 4)], &[0])),
            Err(ElfError::NotStatic)
        );
        assert_eq!(
            check_static_pie(&program(&[(PT_LOAD, 7)], &[0])),
            Err(ElfError::WritableCode)
        );
        assert_eq!(
            check_static_pie(&program(&[(PT_GNU_STACK, 7)], &[0])),
            Err(ElfError::WritableCode)
        );
        assert_eq!(
            check_static_pie(&program(&[(PT_LOAD, 5)], &[0])),
            Err(ElfError::NotPie)
        );
        let mut fixed = program(GOOD, &[0]);
        fixed[16] = 2;
        assert_eq!(check_static_pie(&fixed), Err(ElfError::NotPie));
        assert_eq!(check_static_pie(b"#!/bin/sh\n"), Err(ElfError::NotElf));
    }

    #[test]
    fn cut_and_flipped_files_never_panic() {
        let good = program(GOOD, &[30, 0]);
        for length in 0..good.len() {
            let cut = &good[..length];
            assert!(
                check_static_pie(cut).is_err() || length >= good.len() - 8,
                "{length}"
            );
        }
        // What is read of the file header: identity, type, machine, place and number of program headers.
        let read = [0..7, 16..20, 32..40, 54..58];
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let refused = check_static_pie(&bad).is_err();
                let must = bad != good && read.iter().any(|range| range.contains(&at));
                assert!(refused || !must, "byte {at} = {value}");
            }
        }
    }
}

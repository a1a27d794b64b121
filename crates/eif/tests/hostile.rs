//! Cut off, corrupted and absurd images: always an error or a wrong CRC, never a panic or a large allocation.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;

use eif::{EifError, EifFile, HeaderError, LayoutError, SectionKind};

const IMAGES: [&[u8]; 3] = [
    include_bytes!("data/x86_64.eif"),
    include_bytes!("data/aarch64_one_ramdisk.eif"),
    include_bytes!("data/signed.eif"),
];

fn open(bytes: &[u8]) -> Result<EifFile<Cursor<&[u8]>>, EifError> {
    EifFile::open(Cursor::new(bytes))
}

/// Whether the file is taken for a sound image.
fn sound(bytes: &[u8]) -> bool {
    match open(bytes) {
        Ok(mut image) => image.measure().unwrap().crc == image.header().crc,
        Err(_) => false,
    }
}

#[test]
fn cut_off_anywhere() {
    for image in IMAGES {
        assert!(sound(image));
        for length in 0..image.len() {
            match open(&image[..length]) {
                Err(EifError::Header(HeaderError::Truncated(_))) => assert!(length < 548),
                Err(EifError::Layout(LayoutError::BeyondEnd { .. })) => assert!(length >= 548),
                other => panic!("{length}: {other:?}"),
            }
        }
    }
}

#[test]
fn one_more_byte() {
    for image in IMAGES {
        let longer = [image, &[0]].concat();
        assert!(matches!(
            open(&longer),
            Err(EifError::Layout(LayoutError::Trailing { .. }))
        ));
    }
}

#[test]
fn one_bit_wrong_anywhere() {
    for image in IMAGES {
        for at in 0..image.len() {
            // Most of the header is refused without reading on; the rest is the CRC's to find.
            let bits = if at < 560 { 0..8 } else { at % 8..at % 8 + 1 };
            for bit in bits {
                let mut bytes = image.to_vec();
                bytes[at] ^= 1 << bit;
                assert!(!sound(&bytes), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn absurd_sizes_and_offsets() {
    for value in [1 << 31, 1 << 32, 1 << 63, u64::MAX - 11, u64::MAX] {
        for index in 0..4 {
            for column in [0x1c, 0x11c] {
                let mut bytes = IMAGES[0].to_vec();
                bytes[column + 8 * index..][..8].copy_from_slice(&value.to_be_bytes());
                assert!(matches!(open(&bytes), Err(EifError::Layout(_))));
            }
        }
        // The size in the kernel's own header.
        let mut bytes = IMAGES[0].to_vec();
        bytes[552..560].copy_from_slice(&value.to_be_bytes());
        let error = open(&bytes).unwrap_err();
        assert!(matches!(
            error,
            EifError::Layout(LayoutError::SizeMismatch { index: 0, .. })
        ));
    }
}

#[test]
fn sections_are_not_held_beyond_the_callers_limit() {
    let mut image = open(IMAGES[0]).unwrap();
    assert!(matches!(
        image.section_bytes(0, 20),
        Err(EifError::TooLarge {
            kind: SectionKind::Kernel,
            size: 21,
            limit: 20
        })
    ));
    assert_eq!(image.section_bytes(0, 21).unwrap().len(), 21);
    assert!(matches!(
        image.section_bytes(9, 21),
        Err(EifError::NoSuchSection { index: 9 })
    ));
}

#[test]
fn a_file_that_shrinks_while_it_is_measured() {
    let dir = std::env::temp_dir().join(format!("eif-hostile-{}", std::process::id()));
    std::fs::write(&dir, IMAGES[0]).unwrap();
    let mut image = EifFile::open(std::fs::File::open(&dir).unwrap()).unwrap();
    let writable = std::fs::File::options().write(true).open(&dir).unwrap();
    writable.set_len(IMAGES[0].len() as u64 - 1).unwrap();
    let outcome = image.measure();
    std::fs::remove_file(&dir).unwrap();
    assert!(matches!(outcome, Err(EifError::Changed { index: 4 })));
}

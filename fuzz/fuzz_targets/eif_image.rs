//! Enclave images: header, table, sections, signature, and the same read by `EifFile` that QEMU and AWS's tools read.
#![no_main]

use std::io::Cursor;

use eif::{EifFile, SignedPcr};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut image) = EifFile::open(Cursor::new(bytes)) else {
        return;
    };
    let measured = image.measure().expect("an image in memory can be read");
    assert_eq!(measured.sections.len(), image.sections().len());
    let mut end = eif::HEADER_BYTES;
    for section in image.sections() {
        assert_eq!(section.offset, end, "no gap and no overlap");
        end = section.offset + eif::SECTION_HEADER_BYTES + section.size;
    }
    assert_eq!(end, bytes.len() as u64);
    let Some(signature) = image.signature().cloned() else {
        return;
    };
    for signed in signature.signatures() {
        if let Ok(parsed) = SignedPcr::parse(&signed.cose) {
            assert_eq!(SignedPcr::parse(&parsed.encode()).as_ref(), Ok(&parsed));
        }
    }
    // The same signature again: whatever was sound stays, and the registers with it.
    let mut out = Cursor::new(Vec::new());
    image
        .write_signed(&signature, &mut out)
        .expect("it has a signature, so it has a place for one");
    let mut again = EifFile::open(Cursor::new(out.into_inner())).expect("what is written is an image");
    assert_eq!(
        again.measure().expect("read back").measurements,
        measured.measurements
    );
});

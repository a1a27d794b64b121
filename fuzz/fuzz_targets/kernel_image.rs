//! Kernels as `diff` looks into them: bzImage header, packed payload, embedded configuration, sections.
#![no_main]

use eif_builder::diff::kernels;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let same = kernels(bytes, bytes);
    assert!(same.changes.is_empty());
    assert!(same.options.is_none_or(|options| options.is_empty()));
    assert!(same.sections.is_none_or(|sections| sections.is_empty()));
});

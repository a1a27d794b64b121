//! Ramdisks: cpio archives, packed in any way, one after another.
#![no_main]

use eif_builder::cpio_read::Budget;
use eif_builder::initramfs::list;
use libfuzzer_sys::fuzz_target;

const BUDGET: Budget = Budget {
    bytes: 16 << 20,
    entries: 2000,
};

fuzz_target!(|bytes: &[u8]| {
    let mut budget = BUDGET;
    let listing = list(&mut &bytes[..], &mut budget);
    let entries: usize = listing.segments.iter().map(|segment| segment.entries.len()).sum();
    assert!(entries <= BUDGET.entries);
    for entry in listing.segments.iter().flat_map(|segment| &segment.entries) {
        assert!(entry.mode <= 0o7777);
        assert!(
            !entry.path.chars().any(char::is_control),
            "a name can reach a terminal"
        );
    }
});

//! PID 1's service table: what decodes is sound by its own rules and encodes to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use services::Table;

fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = Table::decode(bytes) else {
        return;
    };
    assert_eq!(table.check(), Ok(()));
    assert_eq!(table.encode().as_deref().ok(), Some(bytes));
});

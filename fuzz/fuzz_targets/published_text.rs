//! Texts that come with an image: measurements, locks and manifests, the bill of materials.
#![no_main]

use eif_builder::lock::Lock;
use eif_builder::report::materials;
use eif_builder::request::Request;
use eif_builder::verify::Published;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(published) = Published::read("fuzz", bytes) {
        let pcrs = [&published.pcrs.pcr0, &published.pcrs.pcr1, &published.pcrs.pcr2];
        assert!(pcrs.iter().all(|pcr| !pcr.is_zero()), "debug measurements passed");
    }
    drop(materials::read(
        bytes,
        &[("PCR0", "00"), ("PCR1", "11"), ("PCR2", "22")],
    ));
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    drop(Request::from_manifest(text));
    if let Ok(lock) = Lock::parse(text)
        && let Ok(written) = lock.to_text()
    {
        assert_eq!(Lock::parse(&written).as_ref().ok(), Some(&lock));
    }
});

//! KMS key policies: what is read is linted without a panic, and reads back as the same.
#![no_main]

use kms_policy::lint::lint;
use kms_policy::policy::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(policy) = Policy::parse(bytes) else {
        return;
    };
    let findings = lint(&policy, Some(&[]));
    assert!(findings.is_sorted());
    let again = Policy::parse(policy.to_json().as_bytes()).expect("what is written is a policy");
    assert_eq!(lint(&again, Some(&[])), findings);
});

//! What Debian publishes: signed release files, indices of packages and sources, relations and versions in them.
#![no_main]

use std::sync::LazyLock;

use eif_builder::debian::clearsign::verify;
use eif_builder::debian::index::{packages, sources};
use eif_builder::debian::keyring::Keyring;
use eif_builder::debian::relation::{alternatives, groups};
use eif_builder::debian::version::Version;
use eif_builder::lock::Archive;
use libfuzzer_sys::fuzz_target;

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| Keyring::debian().expect("the keys of the repository"));

fuzz_target!(|bytes: &[u8]| {
    // A signature of Debian's cannot be made up.
    assert!(verify(bytes, &KEYRING, 1_790_000_000).is_err());
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let found = packages(text, Archive::Debian).unwrap_or_default();
    assert!(found.len() <= text.len());
    drop(sources(text, Archive::Debian, &["linux"]));
    for group in groups(text) {
        drop(alternatives(group));
    }
    let (one, two) = text.split_once('\n').unwrap_or((text, ""));
    if let (Ok(one), Ok(two)) = (Version::parse(one), Version::parse(two)) {
        assert_eq!(one.cmp(&two), two.cmp(&one).reverse());
    }
});

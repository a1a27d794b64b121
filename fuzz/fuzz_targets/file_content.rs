//! Contents of two files as `diff` compares them: texts, programs, zips, archives. The first two bytes cut the input.
#![no_main]

use eif_builder::diff::{Content, contents};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, rest)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let cut = usize::from(u16::from_be_bytes(*cut)).min(rest.len());
    let (a, b) = rest.split_at(cut);
    let text = match contents("path", a, b) {
        Content::Text { unified, .. } => unified,
        Content::Elf(members) | Content::Zip(members) => members
            .iter()
            .map(|member| member.name.clone() + &member.words())
            .collect(),
        Content::Archive(_) => String::new(),
        Content::Bytes(reason) => reason,
    };
    let shown = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    assert!(
        text.chars().all(shown),
        "a content can reach a terminal: {text:?}"
    );
});

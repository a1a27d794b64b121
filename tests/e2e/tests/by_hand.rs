//! `docs/verify-by-hand.md` on the native image: the lines of the document give the PCRs that `build` printed.
//!
//! `eif-builder/tests/by_hand.rs` does the same on images of AWS's own builder.

use std::process::Command;

use e2e::{pcrs, place, said};

#[test]
fn the_lines_of_the_document_give_the_pcrs_of_the_native_image() {
    let document = include_str!("../../../docs/verify-by-hand.md");
    let (_, rest) = document.split_once("```sh\n").unwrap();
    let (recipe, _) = rest.split_once("```\n").unwrap();
    let out = place("NITRO_OUT_DIR");
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", recipe])
        .env("EIF", out.join("native.eif"))
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let [pcr0, pcr1, pcr2] = pcrs(&out.join("native.pcrs.json"));
    let expected = format!("PCR0 {pcr0}\nPCR1 {pcr1}\nPCR2 {pcr2}\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}

//! `docs/verify-by-hand.md` as a reader would follow it: exactly its lines, on images whose PCRs others computed.
//!
//! `tests/e2e/tests/by_hand.rs` does the same on the native image. The expected registers are those that AWS's own
//! builder returned, see `crates/eif/tests/data/README.md`.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const DOCUMENT: &str = include_str!("../../docs/verify-by-hand.md");
/// A recipe that nobody reads proves nothing.
const MOST_LINES: usize = 25;

const TWO_RAMDISKS: &str = "\
PCR0 b42665ebedb7ec4dd3af16df8cdec68e6f362563185fb478bd739c335db79be11d39e6ee54c6a7126ba6d73a0a054aac
PCR1 239b571396f39d813b3cdde2732aa605456c7aeec7490e5a6686a87d3d0d2cac4f279c433b8b585f791bd648eca8044c
PCR2 77d239ae4decf3f8c92f7df8cad2fb779a2c26c369f4a5ada4a2b7bd10aefee6d8916728e1b0838d4d0e429234499d62
";
const ONE_RAMDISK: &str = "\
PCR0 239b571396f39d813b3cdde2732aa605456c7aeec7490e5a6686a87d3d0d2cac4f279c433b8b585f791bd648eca8044c
PCR1 239b571396f39d813b3cdde2732aa605456c7aeec7490e5a6686a87d3d0d2cac4f279c433b8b585f791bd648eca8044c
PCR2 21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a
";

/// The one block of commands in the document.
fn recipe() -> &'static str {
    let (_, rest) = DOCUMENT.split_once("```sh\n").unwrap();
    let (recipe, rest) = rest.split_once("```\n").unwrap();
    assert!(!rest.contains("```"), "a second block would go untested");
    recipe
}

fn follow(image: &Path) -> Output {
    let scratch = tempfile::tempdir().unwrap();
    Command::new("sh")
        .args(["-c", recipe()])
        .env("EIF", image)
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap()
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/eif/tests/data")
        .join(name)
}

#[test]
fn it_is_short_and_calls_nothing_of_ours() {
    assert!(
        recipe().lines().count() <= MOST_LINES,
        "{} lines",
        recipe().lines().count()
    );
    for ours in ["eif-builder", "target/", "make "] {
        assert!(!recipe().contains(ours), "the recipe calls {ours}");
    }
}

#[test]
fn it_gives_the_registers_of_known_images() {
    for (name, expected) in [
        ("x86_64.eif", TWO_RAMDISKS),
        ("signed.eif", TWO_RAMDISKS),
        ("aarch64_one_ramdisk.eif", ONE_RAMDISK),
    ] {
        let output = follow(&sample(name));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{name}");
        assert!(output.status.success(), "{name}");
    }
}

/// A register of nothing would look like a register.
#[test]
fn it_prints_no_register_of_a_file_that_is_no_image() {
    let dir = tempfile::tempdir().unwrap();
    let good = fs::read(sample("x86_64.eif")).unwrap();
    let mut moved = good.clone();
    // The lowest byte of the first section's offset.
    moved[28 + 7] ^= 1;
    let mut long = good.clone();
    long.push(0);
    for (name, bytes) in [
        ("empty", &[][..]),
        ("text", b"not an image at all"),
        ("cut", &good[..good.len() - 1]),
        ("long", &long),
        ("moved", &moved),
        ("header", &good[..548]),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let output = follow(&path);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{name}");
        assert!(!output.status.success(), "{name}");
        assert!(!output.stderr.is_empty(), "{name} is refused without a word");
    }
}

//! `parent completions` and `parent man` need no configuration: they run where packages are built.

use std::fs;
use std::process::Command;

#[test]
fn they_are_written_without_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let parent = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_parent"))
            .args(["--config", "/nonexistent"])
            .args(args)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    let script = dir.path().join("completions");
    fs::write(&script, parent(&["completions", "bash"])).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
    assert!(
        checked.status.success() && checked.stderr.is_empty(),
        "{checked:?}"
    );
    parent(&["man", dir.path().to_str().unwrap()]);
    let page = fs::read_to_string(dir.path().join("parent-watchdog.1")).unwrap();
    assert!(page.contains("SIGHUP"), "{page}");
}

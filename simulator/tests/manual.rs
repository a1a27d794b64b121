//! `simulator completions` and `simulator man`: what is for people is there, what is for the program itself is not.

use std::fs;
use std::process::Command;

#[test]
fn they_show_what_is_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_simulator"))
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
    fs::write(&script, simulator(&["completions", "bash"])).unwrap();
    let checked = Command::new("bash").arg("-n").arg(&script).output().unwrap();
    assert!(
        checked.status.success() && checked.stderr.is_empty(),
        "{checked:?}"
    );
    simulator(&["man", dir.path().to_str().unwrap()]);
    let page = fs::read_to_string(dir.path().join("simulator-run.1")).unwrap();
    assert!(page.contains("vsock_PORT"), "{page}");
    assert!(dir.path().join("simulator-kms.1").exists());
    let own_use = dir.path().join("simulator-launch.1");
    assert!(!own_use.exists(), "a hidden command has a page");
}

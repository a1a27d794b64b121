//! Made-up hosts: one that has everything, and that one without each thing in turn.

use std::collections::BTreeSet;

use super::*;

/// A host with everything but what is named.
struct Made {
    without: &'static str,
    cargo: &'static str,
    meminfo: &'static str,
    free: u64,
    /// A file of settings and its text.
    setting: Option<(&'static str, &'static str)>,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            without: "",
            cargo: "cargo 1.95.0 (abc 2026-01-01)\n",
            meminfo: "MemTotal: 9 kB\nMemAvailable:   16777216 kB\n",
            free: 100 << 30,
            setting: None,
        }
    }
}

impl Machine for Made {
    fn run(&self, program: &Path, args: &[&str]) -> Option<Result<String, String>> {
        let program = program.to_str()?;
        match (program, args) {
            (program, _) if program == self.without => None,
            ("unshare", _) if self.setting.is_some() => Some(Err("not permitted".to_owned())),
            ("python3", ["-c", ..]) if self.without == "venv" => Some(Err(String::new())),
            ("pkg-config", ["--exists", ..]) if self.without == "headers" => Some(Err(String::new())),
            ("initdb" | "google-chrome" | "chromium-browser", _) => None,
            ("cargo", _) => Some(Ok(self.cargo.to_owned())),
            _ => Some(Ok(String::new())),
        }
    }

    fn read(&self, path: &Path) -> Option<String> {
        if path == Path::new("/proc/meminfo") {
            return Some(self.meminfo.to_owned());
        }
        let (file, text) = self.setting?;
        (path == Path::new(file)).then(|| text.to_owned())
    }

    fn exists(&self, path: &Path) -> bool {
        path.to_str() != Some(self.without)
            && ["/", "/cache", "/dev/kvm"].iter().any(|p| path == Path::new(p))
    }

    fn writable(&self, path: &Path) -> bool {
        self.without != format!("write {}", path.display())
    }

    fn free_bytes(&self, _: &Path) -> Option<u64> {
        Some(self.free)
    }

    fn matches(&self, pattern: &str) -> bool {
        self.without.is_empty() || !pattern.contains(self.without)
    }
}

fn settings() -> Settings {
    Settings {
        store: Some("/cache/store".into()),
        mirrors: MirrorOptions {
            debian: Some("http://mirror.invalid/debian".to_owned()),
            ..MirrorOptions::default()
        },
        etc: "/nonexistent".into(),
        cargo: "cargo".into(),
        cpus: 2,
    }
}

/// What is not as it must be.
fn wrong(made: &Made) -> Vec<(String, State)> {
    let report = examine(made, &settings());
    for finding in &report.findings {
        assert_eq!(finding.state == State::Ok, finding.mend.is_empty(), "{finding:?}");
        assert!(
            !finding.found.is_empty() && !finding.reason.is_empty(),
            "{finding:?}"
        );
    }
    let wrong = report
        .findings
        .into_iter()
        .filter(|finding| finding.state != State::Ok);
    wrong.map(|finding| (finding.name, finding.state)).collect()
}

#[track_caller]
fn lacks(made: &Made, name: &str) {
    assert_eq!(wrong(made), [(name.to_owned(), State::Lacking)]);
}

#[test]
fn a_host_with_everything_is_fit() {
    let report = examine(&Made::default(), &settings());
    assert_eq!(wrong(&Made::default()), []);
    assert!(PURPOSES.iter().all(|purpose| report.is_fit(*purpose)));
    assert!(
        !report.to_string().contains("mirror.invalid"),
        "a report is pasted into bug trackers"
    );
}

#[test]
fn each_missing_tool_is_named_with_its_package() {
    for tool in TOOLS {
        let without = tool.command;
        let made = Made {
            without,
            ..Made::default()
        };
        let report = examine(&made, &settings());
        let text = report.to_string();
        assert!(
            text.contains(&format!("sudo apt-get install {}\n", tool.package)),
            "{text}"
        );
        for purpose in PURPOSES {
            assert_eq!(report.is_fit(purpose), purpose < tool.purpose, "{text}");
        }
    }
    let made = |without| Made {
        without,
        ..Made::default()
    };
    lacks(&made("venv"), "python3 venv");
    lacks(&made("headers"), "openssl headers");
    lacks(&made("postgresql"), "postgresql");
    lacks(&made("chromium"), "browser");
    lacks(&made("libfaketime"), "libfaketime");
    lacks(&made("cargo"), "Rust");
}

#[test]
fn namespaces_that_are_forbidden_come_with_the_setting() {
    let setting = Some(("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n"));
    let made = Made {
        setting,
        ..Made::default()
    };
    lacks(&made, "user namespaces");
    let text = examine(&made, &settings()).to_string();
    assert!(text.contains("apparmor_restrict_unprivileged_userns=0"), "{text}");
    // Without `unshare` a setting that forbids is believed, and its absence is not called a trial.
    let untried = Made {
        without: "unshare",
        ..Made::default()
    };
    assert_eq!(wrong(&untried), []);
    assert!(examine(&untried, &settings()).to_string().contains("not tried"));
    let made = Made {
        without: "unshare",
        setting: Some(("/proc/sys/user/max_user_namespaces", "0\n")),
        ..Made::default()
    };
    lacks(&made, "user namespaces");
}

#[test]
fn an_old_rust_is_lacking() {
    for cargo in ["cargo 1.94.1 (x)", "cargo 0.99.0", "cargo", "", "cargo x.y"] {
        let made = Made {
            cargo,
            ..Made::default()
        };
        lacks(&made, "Rust");
    }
    for cargo in ["cargo 1.95.0-nightly (x)", "cargo 1.100.3", "cargo 2.0.0"] {
        let made = Made {
            cargo,
            ..Made::default()
        };
        assert_eq!(wrong(&made), [], "{cargo}");
    }
}

#[test]
fn room_and_memory_are_looked_at() {
    let disk = |free| {
        wrong(&Made {
            free,
            ..Made::default()
        })
    };
    let lacking = |name: &str| (name.to_owned(), State::Lacking);
    assert_eq!(disk(9 << 30), [lacking("store for tests")]);
    assert_eq!(disk(7 << 30), [lacking("store"), lacking("store for tests")]);
    let made = Made {
        without: "write /cache",
        ..Made::default()
    };
    assert_eq!(wrong(&made), [lacking("store"), lacking("store for tests")]);
    let made = Made {
        meminfo: "MemAvailable: 2000000 kB\n",
        ..Made::default()
    };
    lacks(&made, "memory");
    let mut many = settings();
    many.cpus = 64;
    let report = examine(&Made::default(), &many);
    assert!(report.to_string().contains("--jobs 2"), "64 jobs in 16 GiB");
    assert!(report.is_fit(Purpose::Bench), "poor is not lacking");
}

#[test]
fn a_wrong_mirror_is_lacking_and_none_is_poor() {
    let mut settings = settings();
    settings.mirrors.debian = Some("mirror".to_owned());
    assert!(!examine(&Made::default(), &settings).is_fit(Purpose::Build));
    settings.mirrors.debian = None;
    let report = examine(&Made::default(), &settings);
    assert!(report.is_fit(Purpose::Build));
    assert!(report.to_string().contains("set DEBIAN_MIRROR"), "{report}");
}

#[test]
fn the_script_and_the_doctor_name_the_same_tools() {
    let script = include_str!("../../../scripts/host-deps.sh");
    let named: BTreeSet<(&str, &str)> = script
        .lines()
        .filter_map(|line| line.trim().strip_prefix("need "))
        .filter_map(|rest| rest.split_once(' '))
        .collect();
    let ours: BTreeSet<(&str, &str)> = TOOLS.iter().map(|tool| (tool.command, tool.package)).collect();
    assert_eq!(named, ours);
    for package in [
        "python3-venv",
        "chromium",
        "postgresql",
        "libssl-dev",
        "libfaketime",
    ] {
        assert!(script.contains(package), "{package}");
    }
    let workspace = include_str!("../../../Cargo.toml");
    assert!(workspace.contains(&format!("rust-version = \"{}.{}\"", RUST.0, RUST.1)));
}

#[test]
fn json_says_what_the_host_is_fit_for() {
    let made = Made {
        without: "zsh",
        ..Made::default()
    };
    let json = examine(&made, &settings()).to_json();
    assert_eq!(
        json["fit"],
        serde_json::json!({"build": true, "run": true, "test": false, "bench": false})
    );
}

//! Finding a QEMU that has the `nitro-enclave` machine.
//!
//! Either a bundle, a folder that can lie anywhere (`bin/`, `lib/` with its own dynamic loader, `share/` with the
//! firmware), or the one that is installed. Debian builds QEMU without that machine, so a bundle is the rule.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

const PROGRAM: &str = "qemu-system-x86_64";
const LOADER: &str = "ld-linux-x86-64.so.2";
const MACHINE: &str = "nitro-enclave";

/// Why there is no emulator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The given folder is not a bundle.
    #[error("{dir} is no emulator bundle: it has no {missing}; `make emulator` builds one")]
    NotABundle {
        /// The folder.
        dir: PathBuf,
        /// The file that it lacks.
        missing: &'static str,
    },
    /// There is no QEMU in `PATH`.
    #[error("no {PROGRAM} in PATH; `make emulator` builds one, `--emulator DIR` names it")]
    NotInstalled,
    /// The installed QEMU was built without the machine.
    #[error(
        "{program} has no {MACHINE} machine (Debian builds it without libcbor); `make emulator` builds one, \
         `--emulator DIR` names it"
    )]
    NoMachine {
        /// The program.
        program: PathBuf,
    },
    /// The program could not be asked for its machines.
    #[error("cannot run {program} -M help")]
    Run {
        /// The program.
        program: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

/// How QEMU is started: the program and the arguments that come before those of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emulator {
    words: Vec<OsString>,
}

impl Emulator {
    /// The emulator in `bundle`, or else the first in the folders of `path` (the value of `PATH`).
    ///
    /// # Errors
    /// [`EmulatorError`] says what is missing and which command makes it. The machine list is looked at in either case.
    pub fn find(bundle: Option<&Path>, path: Option<&OsStr>) -> Result<Self, EmulatorError> {
        let found = match bundle {
            Some(dir) => Self::bundle(dir)?,
            None => Self::installed(path.unwrap_or_default())?,
        };
        found.check()?;
        Ok(found)
    }

    /// The program, its own arguments, then `arguments`.
    #[must_use]
    pub fn command(&self, arguments: Vec<OsString>) -> Vec<OsString> {
        self.words.iter().cloned().chain(arguments).collect()
    }

    fn bundle(dir: &Path) -> Result<Self, EmulatorError> {
        let part = |sub: &str, name: &'static str| {
            let path = dir.join(sub).join(name);
            let missing = || EmulatorError::NotABundle {
                dir: dir.to_owned(),
                missing: name,
            };
            path.is_file().then_some(path).ok_or_else(missing)
        };
        let (loader, program) = (part("lib", LOADER)?, part("bin", PROGRAM)?);
        part("share", "bios-microvm.bin")?;
        let words: [OsString; 6] = [
            loader.into(),
            "--library-path".into(),
            dir.join("lib").into(),
            program.into(),
            "-L".into(),
            dir.join("share").into(),
        ];
        Ok(Self { words: words.into() })
    }

    fn installed(path: &OsStr) -> Result<Self, EmulatorError> {
        let found = std::env::split_paths(path)
            .map(|dir| dir.join(PROGRAM))
            .find(|program| program.is_file());
        let program = found.ok_or(EmulatorError::NotInstalled)?;
        Ok(Self {
            words: vec![program.into()],
        })
    }

    fn check(&self) -> Result<(), EmulatorError> {
        let program = || PathBuf::from(self.words.first().cloned().unwrap_or_default());
        let words = self.command(vec!["-M".into(), "help".into()]);
        let (first, rest) = words.split_first().ok_or(EmulatorError::NotInstalled)?;
        let output = Command::new(first)
            .args(rest)
            .output()
            .map_err(|source| EmulatorError::Run {
                program: program(),
                source,
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let named = text
            .lines()
            .any(|line| line.split_whitespace().next() == Some(MACHINE));
        named
            .then_some(())
            .ok_or_else(|| EmulatorError::NoMachine { program: program() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    const WITH: &str = "#!/bin/sh\necho 'Supported machines are:'\necho 'nitro-enclave  AWS Nitro Enclave'\n";
    const WITHOUT: &str = "#!/bin/sh\necho 'Supported machines are:'\necho 'microvm  not a nitro-enclave'\n";

    #[test]
    fn a_bundle_is_run_with_its_own_loader() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (file, missing) in [
            ("lib/ld-linux-x86-64.so.2", LOADER),
            ("bin/qemu-system-x86_64", PROGRAM),
        ] {
            let error = Emulator::find(Some(dir.path()), None).unwrap_err();
            assert!(error.to_string().contains(missing) && error.to_string().contains("make emulator"));
            script(&at(file), WITH);
        }
        script(&at("share/bios-microvm.bin"), "");
        let emulator = Emulator::find(Some(dir.path()), None).unwrap();
        let words = emulator.command(vec!["-m".into()]);
        let lib = at("lib");
        assert_eq!(
            words[..3],
            [
                lib.join(LOADER).into_os_string(),
                "--library-path".into(),
                lib.into()
            ]
        );
        assert_eq!(
            words[4..],
            ["-L".into(), at("share").into_os_string(), "-m".into()]
        );
    }

    #[test]
    fn the_installed_one_must_have_the_machine() {
        let [with, without, none] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        script(&with.path().join(PROGRAM), WITH);
        script(&without.path().join(PROGRAM), WITHOUT);
        let find = |dirs: &[&Path]| Emulator::find(None, Some(&std::env::join_paths(dirs).unwrap()));
        find(&[none.path(), with.path()]).unwrap();
        let error = find(&[none.path(), without.path(), with.path()]).unwrap_err();
        assert!(
            matches!(&error, EmulatorError::NoMachine { program } if program.starts_with(without.path()))
        );
        assert!(error.to_string().contains("make emulator"));
        assert!(matches!(find(&[none.path()]), Err(EmulatorError::NotInstalled)));
        assert!(matches!(
            Emulator::find(None, None),
            Err(EmulatorError::NotInstalled)
        ));
    }
}

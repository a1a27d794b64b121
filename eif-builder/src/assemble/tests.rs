//! What is refused, and that nothing is left behind.

use std::os::unix::fs::symlink;

use eif::{BuildInfo, EifFile};

use super::*;
use crate::file::{FileError, OpenError};

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, data) in [
            ("kernel", "the kernel"),
            ("r0", "ramdisk 0"),
            ("r1", ""),
            ("empty", ""),
        ] {
            fs::write(dir.path().join(name), data).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn assembly(&self) -> Assembly {
        Assembly {
            kernel: self.path("kernel"),
            cmdline: "console=ttyS0".to_owned(),
            ramdisks: vec![self.path("r0"), self.path("r1")],
            output: self.path("out.eif"),
            architecture: Architecture::X86_64,
            default_mem: 1 << 30,
            default_cpus: 2,
            metadata: Metadata {
                image_name: "n".to_owned(),
                image_version: "1".to_owned(),
                build: BuildInfo {
                    build_time: String::new(),
                    build_tool: String::new(),
                    build_tool_version: String::new(),
                    operating_system: String::new(),
                    kernel_version: String::new(),
                },
                docker_info: Value::Null,
                custom: Value::Null,
            },
            signature: None,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "sorted here")]
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn assemble_with(&self, change: impl FnOnce(&mut Assembly)) {
        let mut assembly = self.assembly();
        change(&mut assembly);
        assemble(&assembly).unwrap();
    }

    fn refused(&self, change: impl FnOnce(&mut Assembly)) -> AssembleError {
        let before = self.files();
        let mut assembly = self.assembly();
        change(&mut assembly);
        let error = assemble(&assembly).unwrap_err();
        assert_eq!(self.files(), before, "{error}");
        error
    }
}

#[test]
fn writes_an_image_and_replaces_an_old_one() {
    let bench = Bench::new();
    fs::write(bench.path("out.eif"), "an old one").unwrap();
    let written = assemble(&bench.assembly()).unwrap();
    let mut image = EifFile::open(File::open(bench.path("out.eif")).unwrap()).unwrap();
    assert_eq!(image.measure().unwrap().measurements, written.measurements);
    assert_eq!(bench.files(), ["empty", "kernel", "out.eif", "r0", "r1"]);
    let first = fs::read(bench.path("out.eif")).unwrap();
    assemble(&bench.assembly()).unwrap();
    assert_eq!(fs::read(bench.path("out.eif")).unwrap(), first);
}

#[test]
fn parts_at_fault() {
    use AssembleError::{CommandLine, EmptyKernel, Open, Write};
    let bench = Bench::new();
    let absent = bench.path("absent");
    assert!(matches!(
        bench.refused(|a| a.kernel.clone_from(&absent)),
        Open { role: "kernel", .. }
    ));
    assert!(matches!(
        bench.refused(|a| a.ramdisks.push(absent)),
        Open { role: "ramdisk", .. }
    ));
    assert!(matches!(
        bench.refused(|a| a.kernel = bench.path("empty")),
        EmptyKernel { .. }
    ));
    assert!(matches!(
        bench.refused(|a| a.ramdisks.push(bench.path("."))),
        Open {
            role: "ramdisk",
            source: OpenError::NotAFile(_)
        }
    ));
    bench.assemble_with(|a| a.cmdline = "x".repeat(MAX_COMMAND_LINE_BYTES));
    fs::remove_file(bench.path("out.eif")).unwrap();
    assert!(matches!(
        bench.refused(|a| a.cmdline = "x".repeat(2048)),
        CommandLine { actual: 2048 }
    ));
    let writing = |change: &dyn Fn(&mut Assembly)| match bench.refused(change) {
        Write { source, .. } => source,
        other => panic!("{other:?}"),
    };
    assert!(matches!(writing(&|a| a.ramdisks.clear()), WriteError::NoRamdisk));
    assert!(matches!(
        writing(&|a| a.ramdisks = vec![bench.path("r0"); 30]),
        WriteError::TooManyRamdisks {
            actual: 30,
            limit: 29
        }
    ));
    assert!(matches!(
        writing(&|a| a.cmdline.push('\0')),
        WriteError::NulInCmdline { at: 13 }
    ));
}

#[test]
fn the_output_is_never_an_input() {
    use AssembleError::{Output, OutputIsInput};
    let bench = Bench::new();
    fs::hard_link(bench.path("r1"), bench.path("hard")).unwrap();
    symlink("kernel", bench.path("soft")).unwrap();
    for name in ["kernel", "r0", "r1", "hard", "soft", "../x/./kernel"] {
        let output = match name.strip_prefix("../x/") {
            Some(rest) => bench.path(rest),
            None => bench.path(name),
        };
        assert!(
            matches!(bench.refused(|a| a.output = output), OutputIsInput { .. }),
            "{name}"
        );
    }
    assert_eq!(fs::read(bench.path("kernel")).unwrap(), b"the kernel");
    assert!(matches!(
        bench.refused(|a| a.output = PathBuf::from("/")),
        Output(PartialError::NoFileName { .. })
    ));
    assert!(matches!(
        bench.refused(|a| a.output = bench.path("no/such/folder")),
        Output(PartialError::File(FileError { action: "create", .. }))
    ));
    fs::create_dir(bench.path("folder")).unwrap();
    assert!(matches!(
        bench.refused(|a| a.output = bench.path("folder")),
        Output(PartialError::File(FileError {
            action: "replace",
            ..
        }))
    ));
}

#[test]
fn custom_metadata_is_short_json() {
    use AssembleError::{CustomMetadata, CustomMetadataTooLong, Open};
    let bench = Bench::new();
    let read = |text: &str| {
        fs::write(bench.path("m"), text).unwrap();
        custom_metadata(&bench.path("m"))
    };
    assert_eq!(read(r#"{"a": 1}"#).unwrap(), serde_json::json!({ "a": 1 }));
    let long = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    read(&long(4096)).unwrap();
    assert!(matches!(read(&long(4097)), Err(CustomMetadataTooLong { .. })));
    assert!(matches!(read("{"), Err(CustomMetadata { .. })));
    assert!(matches!(custom_metadata(&bench.path("absent")), Err(Open { .. })));
    assert!(matches!(
        custom_metadata(&bench.path(".")),
        Err(Open {
            source: OpenError::NotAFile(_),
            ..
        })
    ));
}

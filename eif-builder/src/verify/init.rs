//! Whether there is a first program: the kernel runs `/init` of what all ramdisks make together, or what `rdinit=` names.
//!
//! Later ramdisks replace files of earlier ones, as in the kernel. Only programs and links are kept in memory, and the image's
//! policy, which the same reading picks for [`trust`].

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use eif::{EifError, EifFile, SectionKind};

use super::report::causes;
use super::{Check, Report, trust};
use crate::cpio_read::{Budget, Head, HeadKind, Visitor, components, printable};
use crate::initramfs;
use crate::pick::Picker;

/// Longest command line that is looked at; the kernel takes 2048 bytes.
const MAX_CMDLINE_BYTES: u64 = 64 * 1024;
/// Links followed, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// What may be, or lead to, the first program.
#[derive(Clone, Debug)]
enum Node {
    Program { ramdisk: usize, mode: u16, size: u32 },
    Link(Vec<u8>),
}

#[derive(Debug, Default)]
struct Finder {
    ramdisk: usize,
    nodes: BTreeMap<Vec<Vec<u8>>, Node>,
}

impl Visitor for Finder {
    fn begin(&mut self, head: &Head) -> io::Result<()> {
        let path = components(&head.name);
        let node = match &head.kind {
            HeadKind::File if head.mode & 0o111 != 0 => Node::Program {
                ramdisk: self.ramdisk,
                mode: head.mode,
                size: head.size,
            },
            HeadKind::Symlink(target) => Node::Link(target.clone()),
            _ => {
                self.nodes.remove(&path);
                return Ok(());
            }
        };
        self.nodes.insert(path, node);
        Ok(())
    }
}

impl Finder {
    /// The program that `path` leads to, through links.
    fn resolve(&self, path: &[u8]) -> Option<&Node> {
        let mut path = components(path);
        for _ in 0..=MAX_LINKS {
            let link = (1..=path.len()).find_map(|count| {
                let (here, rest) = path.split_at(count);
                match self.nodes.get(here) {
                    Some(Node::Link(target)) => Some((here, target, rest)),
                    _ => None,
                }
            });
            let Some((here, target, rest)) = link else {
                return self.nodes.get(&path);
            };
            let mut next = if target.starts_with(b"/") {
                Vec::new()
            } else {
                here.split_last()
                    .map(|(_, parent)| parent.to_vec())
                    .unwrap_or_default()
            };
            for part in components(target) {
                if part == b".." {
                    next.pop();
                } else {
                    next.push(part);
                }
            }
            next.extend_from_slice(rest);
            path = next;
        }
        None
    }
}

/// Reads the ramdisks and says whether the kernel finds a first program, and what their policy weakens.
pub(super) fn check<R: Read + Seek>(
    image: &mut EifFile<R>,
    mut budget: Budget,
    report: &mut Report,
) -> io::Result<()> {
    let wanted = match first_program(image) {
        Ok(wanted) => wanted,
        Err(EifError::Read(error)) => return Err(error),
        Err(error) => {
            report.push(Check::failed("init", causes(&error)));
            return Ok(());
        }
    };
    let mut seen = (Finder::default(), Picker::new(&[control::policy::PATH]));
    let sections: Vec<_> = (0..image.sections().len())
        .filter(|&index| {
            image
                .sections()
                .get(index)
                .is_some_and(|s| s.kind == SectionKind::Ramdisk)
        })
        .collect();
    for (ramdisk, section) in sections.into_iter().enumerate() {
        seen.0.ramdisk = ramdisk;
        let problem = match image.section_reader(section) {
            Ok(mut reader) => initramfs::walk(&mut reader, &mut budget, &mut seen).problem,
            Err(EifError::Read(error)) => return Err(error),
            Err(error) => {
                report.push(Check::failed("init", causes(&error)));
                return Ok(());
            }
        };
        if let Some(problem) = problem {
            let detail = format!(
                "ramdisk {ramdisk} cannot be read to its end, so what runs first cannot be told: {}",
                causes(&problem)
            );
            report.push(Check::failed("init", detail).next("`eif-builder describe` shows what comes before"));
            return Ok(());
        }
    }
    let (finder, picker) = seen;
    if let Some(policy) = picker.found().get(control::policy::PATH) {
        trust::look(policy, report);
    }
    let shown = printable(&wanted);
    match finder.resolve(&wanted) {
        Some(&Node::Program { ramdisk, mode, size }) => {
            let detail =
                format!("{shown} is a program of {size} bytes, mode {mode:04o}, in ramdisk {ramdisk}");
            report.push(Check::ok("init", detail));
            if ramdisk > 0 {
                report.caveat(format!(
                    "{shown} comes from ramdisk {ramdisk}: PCR1 does not cover it, PCR0 and PCR2 do"
                ));
            }
        }
        _ => report.push(
            Check::failed(
                "init",
                format!("no ramdisk holds the program {shown}: the kernel would panic"),
            )
            .next("add it to the first ramdisk, with mode 0500 or more"),
        ),
    }
    Ok(())
}

/// `/init`, or what the last `rdinit=` of the command line names.
fn first_program<R: Read + Seek>(image: &mut EifFile<R>) -> Result<Vec<u8>, EifError> {
    let index = image
        .sections()
        .iter()
        .position(|s| s.kind == SectionKind::Cmdline);
    let cmdline = match index {
        Some(index) => image.section_bytes(index, MAX_CMDLINE_BYTES)?,
        None => Vec::new(),
    };
    // What follows ` -- ` is for the first program itself.
    let mut words = cmdline
        .split(u8::is_ascii_whitespace)
        .take_while(|word| *word != b"--");
    let named = words
        .by_ref()
        .filter_map(|word| word.strip_prefix(b"rdinit="))
        .last();
    Ok(named.unwrap_or(b"/init").to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder(nodes: &[(&str, Node)]) -> Finder {
        let nodes = nodes
            .iter()
            .map(|(path, node)| (components(path.as_bytes()), node.clone()));
        Finder {
            ramdisk: 0,
            nodes: nodes.collect(),
        }
    }

    const PROGRAM: Node = Node::Program {
        ramdisk: 0,
        mode: 0o755,
        size: 1,
    };

    fn link(target: &str) -> Node {
        Node::Link(target.as_bytes().to_vec())
    }

    #[test]
    fn links_lead_to_the_program() {
        let nodes = [
            ("nix/store/x/bin/init", PROGRAM),
            ("init", link("/nix/store/x/bin/init")),
            ("sbin", link("nix/store/x/bin")),
            ("other/up", link("../sbin/init")),
            ("a", link("b")),
            ("b", link("a")),
            ("gone", link("/nowhere")),
        ];
        let finder = finder(&nodes);
        for path in [
            "/init",
            "init",
            "./init",
            "/sbin/init",
            "/other/up",
            "//sbin//init",
        ] {
            let found = finder.resolve(path.as_bytes());
            assert!(matches!(found, Some(Node::Program { .. })), "{path}");
        }
        for path in ["/a", "/gone", "/sbin", "/", "", "/nix"] {
            let found = finder.resolve(path.as_bytes());
            assert!(!matches!(found, Some(Node::Program { .. })), "{path}");
        }
    }

    #[test]
    fn what_comes_later_replaces() {
        let mut finder = Finder::default();
        let head = |mode, kind, size| Head {
            at: 0,
            name: b"./init".to_vec(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            size,
            mtime: 0,
            nlink: 1,
            ino: 0,
            device: (0, 0),
        };
        finder.begin(&head(0o755, HeadKind::File, 7)).unwrap();
        assert!(matches!(
            finder.resolve(b"/init"),
            Some(Node::Program { size: 7, .. })
        ));
        finder.begin(&head(0o644, HeadKind::File, 7)).unwrap();
        assert!(finder.resolve(b"/init").is_none(), "it cannot be run");
        finder.ramdisk = 1;
        finder.begin(&head(0o500, HeadKind::File, 9)).unwrap();
        assert!(matches!(
            finder.resolve(b"/init"),
            Some(Node::Program { ramdisk: 1, .. })
        ));
        finder.begin(&head(0o755, HeadKind::Directory, 0)).unwrap();
        assert!(finder.resolve(b"/init").is_none());
    }
}

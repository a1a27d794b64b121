//! Two kernels: version, options where they carry their configuration (`CONFIG_IKCONFIG`), sections where they can be
//! unpacked.
//!
//! ```text
//! bzImage: | boot sector, setup header ... | code | packed vmlinux (ELF) + 4 bytes of size |
//! vmlinux: ... "IKCFG_ST" gzip(.config) "IKCFG_ED" ...
//! ```
//! Source: Linux `Documentation/arch/x86/boot.rst` (`setup_sects`, `payload_offset`, `payload_length`, `kernel_version`),
//! `kernel/configs.c`.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde::Serialize;

use super::anatomy::{self, Member, MemberChange};
use super::{Change, DiffError, Side};
use crate::compression::Limited;
use crate::cpio_read::printable;
use crate::digest::Sha256;

/// Largest kernel that is looked into; a larger one is compared as bytes.
const MAX_KERNEL_BYTES: u64 = 64 << 20;
/// Largest unpacked kernel.
const MAX_VMLINUX_BYTES: u64 = 160 << 20;
/// Longest configuration; a distribution's has 300 KiB.
const MAX_CONFIG_BYTES: u64 = 4 << 20;
const CONFIG_START: &[u8] = b"IKCFG_ST";
/// Most options that are listed.
const MAX_OPTIONS: usize = 2000;
/// Window of a zstd stream, as a power of two.
const ZSTD_WINDOW_LOG: u32 = 27;
const XZ_MEMORY_BYTES: u64 = 128 << 20;

/// How two kernels differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KernelDifference {
    /// Version text, kind of file, packing, sizes.
    pub changes: Vec<Change>,
    /// Options that differ, when both carry their configuration.
    pub options: Option<Vec<Change>>,
    /// Sections of the unpacked kernels that differ, when both can be unpacked.
    pub sections: Option<Vec<MemberChange>>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

/// One kernel, reduced to what is compared.
#[derive(Debug, Default)]
pub(super) struct Kernel {
    facts: Vec<(&'static str, String)>,
    options: Option<BTreeMap<String, String>>,
    sections: Option<Vec<Member>>,
    notes: Vec<String>,
}

pub(super) fn read(side: &mut Side<'_>, index: usize) -> Result<Kernel, DiffError> {
    let sections = side.image.sections();
    if sections.get(index).map_or(0, |section| section.size) > MAX_KERNEL_BYTES {
        let notes = vec![format!(
            "a kernel of more than {MAX_KERNEL_BYTES} bytes is compared as bytes"
        )];
        return Ok(Kernel {
            notes,
            ..Kernel::default()
        });
    }
    Ok(of_bytes(&side.bytes(index, MAX_KERNEL_BYTES)?))
}

/// What a kernel's bytes tell.
pub(super) fn of_bytes(bytes: &[u8]) -> Kernel {
    let mut kernel = Kernel::default();
    if bytes.get(0x202..0x206) == Some(b"HdrS") {
        kernel.facts.push(("kind", "bzImage".to_owned()));
        bzimage(bytes, &mut kernel);
    } else {
        let arm = bytes.get(56..60) == Some(b"ARM\x64");
        kernel
            .facts
            .push(("kind", if arm { "arm64 Image" } else { "unknown" }.to_owned()));
        look_into(bytes, &mut kernel);
    }
    kernel
}

fn bzimage(bytes: &[u8], kernel: &mut Kernel) {
    let u16_at = |at: usize| {
        bytes
            .get(at..)?
            .first_chunk()
            .map(|field| u16::from_le_bytes(*field))
    };
    let u32_at = |at: usize| {
        bytes
            .get(at..)?
            .first_chunk()
            .map(|field| u32::from_le_bytes(*field))
    };
    if let Some(at) = u16_at(0x20e).filter(|at| *at != 0) {
        let text = bytes.get(usize::from(at) + 0x200..).unwrap_or_default();
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = text.get(..text.len().min(200)).unwrap_or_default();
        kernel.facts.push(("version", printable(text)));
    }
    // Zero stands for four (boot.rst).
    let sectors = bytes
        .get(0x1f1)
        .map_or(0, |&sectors| if sectors == 0 { 4 } else { usize::from(sectors) });
    let code = (sectors + 1) * 512;
    let field = |at: usize| u32_at(at).and_then(|value| usize::try_from(value).ok());
    let payload = field(0x248).zip(field(0x24c)).and_then(|(offset, length)| {
        let start = code.checked_add(offset)?;
        bytes.get(start..start.checked_add(length)?)
    });
    let setup = bytes.get(..code).unwrap_or(bytes);
    kernel
        .facts
        .push(("setup code, SHA-256", Sha256::of(setup).to_string()));
    let Some(payload) = payload.filter(|payload| !payload.is_empty()) else {
        kernel
            .notes
            .push("it has no payload where its header says".to_owned());
        return;
    };
    let (name, unpacked) = unpack(payload);
    kernel.facts.push(("packing", name.to_owned()));
    match unpacked {
        Ok(vmlinux) => {
            kernel.facts.push(("unpacked size", vmlinux.len().to_string()));
            look_into(&vmlinux, kernel);
        }
        Err(error) => kernel
            .notes
            .push(format!("its payload ({name}) cannot be unpacked: {error}")),
    }
}

/// The payload's packing and what it unpacks to.
fn unpack(payload: &[u8]) -> (&'static str, io::Result<Vec<u8>>) {
    let all = |reader: &mut dyn Read| {
        let mut bytes = Vec::new();
        Limited::new(reader, MAX_VMLINUX_BYTES)
            .read_to_end(&mut bytes)
            .map(|_| bytes)
    };
    match payload {
        [0x1f, 0x8b, ..] => ("gzip", all(&mut flate2::bufread::GzDecoder::new(payload))),
        [0xfd, 0x37, ..] => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0);
            let unpacked = stream
                .map_err(io::Error::from)
                .and_then(|stream| all(&mut liblzma::bufread::XzDecoder::new_stream(payload, stream)));
            ("xz", unpacked)
        }
        [0x28, 0xb5, ..] => {
            let decoder = zstd::stream::read::Decoder::with_buffer(payload).and_then(|decoder| {
                let mut decoder = decoder.single_frame();
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Ok(decoder)
            });
            ("zstd", decoder.and_then(|mut decoder| all(&mut decoder)))
        }
        [0x7f, b'E', ..] => ("none", Ok(payload.to_vec())),
        _ => ("unknown", Err(io::Error::other("not gzip, xz or zstd"))),
    }
}

fn look_into(bytes: &[u8], kernel: &mut Kernel) {
    kernel.sections = anatomy::elf(bytes);
    kernel.options = config(bytes);
    if kernel.options.is_none() {
        kernel
            .notes
            .push("it does not carry its configuration (CONFIG_IKCONFIG)".to_owned());
    }
}

/// The embedded configuration, option by option.
fn config(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    // The marker's text may stand elsewhere too; what follows the true one is gzip.
    let mut places = memchr_all(bytes, CONFIG_START);
    places.find_map(|at| {
        let packed = bytes
            .get(at + CONFIG_START.len()..)
            .filter(|rest| rest.starts_with(&[0x1f, 0x8b]))?;
        let mut text = String::new();
        let unpacked = flate2::bufread::GzDecoder::new(packed);
        Limited::new(unpacked, MAX_CONFIG_BYTES)
            .read_to_string(&mut text)
            .ok()?;
        Some(text.lines().filter_map(option).collect())
    })
}

/// Places of `needle`, at most a few: a hostile kernel may be full of them.
fn memchr_all<'a>(bytes: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let ends = bytes.windows(needle.len()).enumerate();
    ends.filter(move |(_, window)| *window == needle)
        .map(|(at, _)| at)
        .take(16)
}

/// `CONFIG_X=y`, or `# CONFIG_X is not set`.
fn option(line: &str) -> Option<(String, String)> {
    let (name, value) = match line
        .strip_prefix("# ")
        .and_then(|rest| rest.strip_suffix(" is not set"))
    {
        Some(name) => (name, "n"),
        None => line.split_once('=')?,
    };
    name.starts_with("CONFIG_")
        .then(|| (printable(name.as_bytes()), printable(value.as_bytes())))
}

pub(super) fn compare(a: Kernel, b: Kernel) -> KernelDifference {
    let value = |facts: &[(&str, String)], what: &str| {
        let found = facts.iter().find(|(name, _)| *name == what);
        found.map_or_else(|| "-".to_owned(), |(_, value)| value.clone())
    };
    let mut names: Vec<_> = a.facts.iter().chain(&b.facts).map(|(name, _)| *name).collect();
    let mut known = std::collections::BTreeSet::new();
    names.retain(|name| known.insert(*name));
    let changes = names
        .into_iter()
        .filter_map(|name| Change::of(name, value(&a.facts, name), value(&b.facts, name)));
    let options = a.options.zip(b.options).map(|(a, b)| {
        let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
        let value = |of: &BTreeMap<String, String>, name: &String| {
            of.get(name).map_or("-", String::as_str).to_owned()
        };
        let options = names
            .into_iter()
            .filter_map(|name| Change::of(name, value(&a, name), value(&b, name)));
        options.take(MAX_OPTIONS).collect()
    });
    let note = |side: &str, notes: Vec<String>| {
        notes
            .into_iter()
            .map(|note| format!("{side}: {note}"))
            .collect::<Vec<_>>()
    };
    let notes = [note("the first", a.notes), note("the second", b.notes)].concat();
    KernelDifference {
        changes: changes.collect(),
        options,
        sections: a.sections.zip(b.sections).map(|(a, b)| anatomy::members(&a, &b)),
        notes,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A bzImage of one setup sector whose payload is `payload`, with a version text.
    fn bzimage(version: &str, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 1024];
        bytes[0x1f1] = 1;
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        bytes[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
        bytes[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    fn vmlinux(config: &str) -> Vec<u8> {
        [
            b"code IKCFG_ST no gzip here ",
            CONFIG_START,
            &gzip(config.as_bytes()),
            b"IKCFG_ED more",
        ]
        .concat()
    }

    #[test]
    fn options_of_every_packing() {
        let text = "#\n# Linux\n#\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"a=b\"\n";
        let vmlinux = vmlinux(text);
        let packed = [gzip(&vmlinux), zstd::encode_all(&vmlinux[..], 1).unwrap(), {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(&vmlinux).unwrap();
            encoder.finish().unwrap()
        }];
        let expected = [("CONFIG_A", "y"), ("CONFIG_B", "n"), ("CONFIG_C", "\"a=b\"")];
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        for packed in packed {
            // The size that the kernel's build appends.
            let kernel = of_bytes(&bzimage("6.12.1 (x)", &[&packed[..], &[1, 2, 3, 4]].concat()));
            assert_eq!(kernel.options.as_ref(), Some(&expected), "{:?}", kernel.notes);
            assert!(kernel.facts.contains(&("version", "6.12.1 (x)".to_owned())));
        }
        assert_eq!(of_bytes(&vmlinux).options, Some(expected));
    }

    #[test]
    fn what_differs_is_named() {
        let one = of_bytes(&bzimage("6.12.1", &gzip(&vmlinux("CONFIG_A=y\nCONFIG_B=y\n"))));
        let two = of_bytes(&bzimage(
            "6.12.2",
            &gzip(&vmlinux("CONFIG_A=m\nCONFIG_B=y\nCONFIG_C=y\n")),
        ));
        let found = compare(one, two);
        let brief: Vec<_> = found
            .options
            .unwrap()
            .iter()
            .map(|change| format!("{} {} {}", change.what, change.a, change.b))
            .collect();
        assert_eq!(brief, ["CONFIG_A y m", "CONFIG_C - y"]);
        assert!(found.changes.iter().any(|change| change.what == "version"));
    }

    #[test]
    fn hostile_headers_and_bombs_are_notes() {
        let mut lying = bzimage("x", b"payload");
        lying[0x248..0x24c].fill(0xff);
        assert!(of_bytes(&lying).notes[0].contains("no payload"));
        let zeros = io::repeat(0).take(MAX_VMLINUX_BYTES + 1);
        let bomb = zstd::encode_all(zeros, 1).unwrap();
        let kernel = of_bytes(&bzimage("x", &bomb));
        assert!(
            kernel.notes[0].contains("cannot be unpacked: unpacks to more than"),
            "{:?}",
            kernel.notes
        );
        let whole = bzimage("6.12.1", &gzip(&vmlinux("CONFIG_A=y\n")));
        for end in 0..whole.len() {
            assert!(of_bytes(&whole[..end]).options.is_none());
        }
        let full = CONFIG_START.repeat(1000);
        assert!(of_bytes(&full).options.is_none());
    }
}

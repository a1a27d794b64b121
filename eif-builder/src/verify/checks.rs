//! The checks, each a function from what was read to one line of the report. What the ramdisks hold is `init`'s.

use std::io::{self, Read, Seek};

use attest::UnixMs;
use eif::{Architecture, EifError, EifFile, Measured, Measurements, Pcr, SectionKind, Signature, SignedPcr};

use super::report::causes;
use super::{Check, Published, Report};
use crate::digest::Sha256;
use crate::sign::certificate::SigningCertificate;

/// Longest metadata that is looked at. AWS's tools write less than 16 KiB unless Docker says more.
const MAX_METADATA_BYTES: u64 = 1024 * 1024;
/// An enclave's memory holds the image and what its ramdisks unpack to; `nitro-cli` refuses less than this many times.
const MEMORY_FACTOR: u64 = 4;
/// Bytes of a kernel that tell its kind: the setup header of a bzImage ends before.
const KERNEL_HEAD_BYTES: u64 = 0x240;

/// Why the next step after a wrong register is always the same.
const ASK_DIFF: &str = "`eif-builder diff` with the published image says what differs and why";

/// What broke the rules of the format before anything could be measured.
pub(super) fn not_an_image(error: &EifError) -> Check {
    Check::failed(
        "form",
        format!("this is not an image that can be relied on: {}", causes(error)),
    )
    .next("fetch the image again; a tool that accepts it may measure other bytes than the hypervisor")
}

pub(super) fn form<R: Read + Seek>(image: &EifFile<R>) -> Check {
    let sections = image.sections().len();
    let version = image.header().version;
    Check::ok(
        "form",
        format!("version {version}, {sections} sections that fill the file without gap or overlap"),
    )
}

pub(super) fn crc<R: Read + Seek>(image: &EifFile<R>, measured: &Measured) -> Check {
    let (stored, computed) = (image.header().crc, measured.crc);
    if stored == computed {
        return Check::ok(
            "crc",
            format!("the CRC-32 of the bytes is {computed:08x}, as the header says"),
        );
    }
    Check::failed(
        "crc",
        "the CRC-32 in the header is not that of the bytes: the file was damaged or altered",
    )
    .values(format_args!("{computed:08x}"), format_args!("{stored:08x}"))
    .next("fetch the image again")
}

/// Whether the kernel is one for the machine that the header names, by the marks that boot loaders go by.
/// Source: Linux `Documentation/arch/x86/boot.rst` (0x1fe, 0x202, 0x236), `Documentation/arch/arm64/booting.rst` (56).
pub(super) fn architecture<R: Read + Seek>(image: &mut EifFile<R>) -> io::Result<Check> {
    let name = "architecture";
    let claimed = image.header().architecture;
    let Some(index) = image
        .sections()
        .iter()
        .position(|s| s.kind == SectionKind::Kernel)
    else {
        return Ok(Check::failed(name, "there is no kernel"));
    };
    let mut head = Vec::new();
    match image.section_reader(index) {
        Ok(reader) => reader.take(KERNEL_HEAD_BYTES).read_to_end(&mut head)?,
        Err(EifError::Read(error)) => return Err(error),
        Err(error) => return Ok(Check::failed(name, causes(&error))),
    };
    let at = |offset: usize, bytes: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(bytes));
    let bit64 = head.get(0x236).is_some_and(|flags| flags & 1 == 1);
    let found = if at(0x1fe, &[0x55, 0xaa]) && at(0x202, b"HdrS") {
        if bit64 {
            "a bzImage for x86_64"
        } else {
            "a bzImage without 64-bit entry"
        }
    } else if at(56, b"ARM\x64") {
        "an Image for aarch64"
    } else {
        "neither a bzImage nor an arm64 Image"
    };
    let (expected, right) = match claimed {
        Architecture::X86_64 => ("a bzImage for x86_64", found == "a bzImage for x86_64"),
        Architecture::Aarch64 => ("an Image for aarch64", found == "an Image for aarch64"),
    };
    Ok(if right {
        Check::ok(name, format!("{}, and the kernel is {found}", claimed.name()))
    } else {
        Check::failed(
            name,
            format!(
                "the header says {}, the kernel is another kind of file",
                claimed.name()
            ),
        )
        .values(expected, found)
        .next("build the image for the machine that it should run on")
    })
}

/// The registers, each against the published one.
pub(super) fn registers(found: &Measurements, published: Option<&Published>) -> Vec<Check> {
    let expected = published.map(|published| &published.pcrs);
    let hex = |pcr: &kms_policy::pcr::Pcr| Pcr::from_bytes(*pcr.as_bytes());
    let one = |name, what: &str, actual: Pcr, expected: Option<Pcr>| match expected {
        None => Check::not_asked(name, format!("{what}: nothing was given to compare with")).found(actual),
        Some(expected) if expected == actual => {
            Check::ok(name, format!("{what}: as published")).found(actual)
        }
        Some(expected) => Check::failed(name, format!("{what}: not as published"))
            .values(expected, actual)
            .next(ASK_DIFF),
    };
    let mut checks = vec![
        one(
            "pcr0",
            "kernel, command line and all ramdisks",
            found.pcr0,
            expected.map(|pcrs| hex(&pcrs.pcr0)),
        ),
        one(
            "pcr1",
            "kernel, command line and the first ramdisk",
            found.pcr1,
            expected.map(|pcrs| hex(&pcrs.pcr1)),
        ),
        one(
            "pcr2",
            "all ramdisks but the first",
            found.pcr2,
            expected.map(|pcrs| hex(&pcrs.pcr2)),
        ),
    ];
    let published8 = expected.and_then(|pcrs| pcrs.pcr8.as_ref()).map(hex);
    checks.push(match (found.pcr8, published8) {
        (Some(actual), expected) => one("pcr8", "the signing certificate", actual, expected),
        (None, None) => Check::not_asked("pcr8", "the image is not signed, and no PCR8 is published"),
        (None, Some(expected)) => Check::failed("pcr8", "the image is not signed, but a PCR8 is published")
            .values(expected, "no signature")
            .next("fetch the signed image; the published one has a signature"),
    });
    checks
}

pub(super) fn whole_file(expected: Sha256, actual: Sha256) -> Check {
    if expected == actual {
        return Check::ok("file", "SHA-256 of the whole file: as published").found(actual);
    }
    Check::failed(
        "file",
        "SHA-256 of the whole file: not as published. Where PCR0 to PCR2 are, only the metadata, the signature or the \
         header differs, none of which runs",
    )
    .values(expected, actual)
    .next(ASK_DIFF)
}

/// Every signature of the section, and the dates of each certificate.
pub(super) fn signature(section: Option<&Signature>, pcr0: &Pcr, at: UnixMs, report: &mut Report) {
    let Some(section) = section else {
        report.push(Check::not_asked(
            "signature",
            "the image is not signed; PCR8 is zero",
        ));
        return;
    };
    for (index, signature) in section.signatures().iter().enumerate() {
        let certificate = match SigningCertificate::from_pem(&signature.certificate_pem) {
            Ok(certificate) => certificate,
            Err(error) => {
                let detail = format!(
                    "the certificate of signature {index} is unusable: {}",
                    causes(&error)
                );
                report.push(Check::failed("certificate", detail).next("sign the image anew"));
                continue;
            }
        };
        report.push(dates(&certificate, at));
        report.push(signed(&signature.cose, &certificate, pcr0));
    }
    if section.signatures().len() > 1 {
        report.caveat("there is more than one signature; the hypervisor looks at the first only");
    }
    report.caveat(
        "no authority vouches for the signing certificate: only its PCR8, known beforehand, says whose it is",
    );
}

fn dates(certificate: &SigningCertificate, at: UnixMs) -> Check {
    let SigningCertificate {
        subject,
        not_before,
        not_after,
        sha256,
        ..
    } = certificate;
    match certificate.check_dates(at) {
        Ok(()) => Check::ok(
            "certificate",
            format!("{subject}, valid from {not_before} to {not_after}, SHA-256 {sha256}"),
        ),
        Err(error) => Check::failed("certificate", format!("{subject}: {error}"))
            .next("sign the image anew under a certificate that is valid: `eif-builder sign`"),
    }
}

fn signed(cose: &[u8], certificate: &SigningCertificate, pcr0: &Pcr) -> Check {
    let name = "signature";
    let again = "do not run it; sign the image that you checked: `eif-builder sign`";
    let signed = match SignedPcr::parse(cose) {
        Ok(signed) => signed,
        Err(error) => return Check::failed(name, causes(&error)).next(again),
    };
    if signed.algorithm != certificate.algorithm {
        return Check::failed(name, "it claims another algorithm than the certificate's key has")
            .values(certificate.algorithm.name(), signed.algorithm.name())
            .next(again);
    }
    if signed.index != 0 {
        return Check::failed(name, "it is over another register than PCR0")
            .values("PCR0", format_args!("PCR{}", signed.index))
            .next(again);
    }
    if signed.value != *pcr0 {
        return Check::failed(name, "it is over another PCR0: the signature of another image")
            .values(pcr0, signed.value)
            .next(again);
    }
    if !certificate.made(&signed) {
        return Check::failed(name, "it was not made by the certificate's key").next(again);
    }
    let algorithm = signed.algorithm.name();
    Check::ok(
        name,
        format!("{algorithm} over the PCR0 computed here, made by the certificate's key"),
    )
}

pub(super) fn memory<R: Read + Seek>(image: &EifFile<R>) -> Check {
    let ramdisks = image.sections().iter().filter(|s| s.kind == SectionKind::Ramdisk);
    let bytes = ramdisks.fold(0_u64, |sum, section| sum.saturating_add(section.size));
    let (needed, asked) = (bytes.saturating_mul(MEMORY_FACTOR), image.header().default_mem);
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    if asked >= needed {
        return Check::ok(
            "memory",
            format!(
                "it asks for {} MiB, at least {MEMORY_FACTOR} times the {} MiB of its ramdisks",
                asked >> 20,
                mib(bytes)
            ),
        );
    }
    Check::failed(
        "memory",
        format!("it asks for less than {MEMORY_FACTOR} times its ramdisks, and would not start with that"),
    )
    .values(
        format_args!("{} MiB or more", mib(needed)),
        format_args!("{} MiB", asked >> 20),
    )
    .next("build it with more memory, or start it with `nitro-cli run-enclave --memory`")
}

/// Metadata is not measured, so it can only be wrong, never right.
pub(super) fn metadata<R: Read + Seek>(image: &mut EifFile<R>, report: &mut Report) -> io::Result<()> {
    let Some(index) = image
        .sections()
        .iter()
        .position(|s| s.kind == SectionKind::Metadata)
    else {
        return Ok(());
    };
    let parsed = match image.section_bytes(index, MAX_METADATA_BYTES) {
        Ok(bytes) => serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|error| causes(&error)),
        Err(EifError::Read(error)) => return Err(error),
        Err(error) => Err(causes(&error)),
    };
    report.push(match parsed {
        Ok(_) => Check::ok("metadata", "it is JSON"),
        Err(reason) => Check::failed(
            "metadata",
            format!("it is not the JSON that AWS's tools read: {reason}"),
        )
        .next("build the image anew"),
    });
    report.caveat("the metadata is in no register: whoever wrote the file chose what it says");
    Ok(())
}

//! Whatever is written is read back, with the registers of a plain computation.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;

use eif::{Architecture, Digest, EifFile, EifWriter, Part, Parts, Pcr, PcrSignature, SectionKind, Signature};
use proptest::collection::vec;
use proptest::prelude::*;

fn signature(cose: Vec<u8>) -> Signature {
    let certificate_pem = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_vec();
    Signature::new(vec![PcrSignature {
        certificate_pem,
        cose,
    }])
    .unwrap()
}

fn pcr(parts: &[&[u8]]) -> Pcr {
    Pcr::extended_with(&Digest::of(&parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn write_then_read(
        kernel in vec(any::<u8>(), 0..3000),
        cmdline in vec(1_u8.., 0..300),
        metadata in vec(any::<u8>(), 0..300),
        ramdisks in vec(vec(any::<u8>(), 0..700), 1..=28),
        cose in proptest::option::of(vec(any::<u8>(), 0..300)),
        aarch64: bool,
        default_mem: u64,
        default_cpus: u64,
    ) {
        let architecture = if aarch64 { Architecture::Aarch64 } else { Architecture::X86_64 };
        let signature = cose.map(signature);
        let mut out = Cursor::new(Vec::new());
        let mut sources: Vec<&[u8]> = ramdisks.iter().map(Vec::as_slice).collect();
        let written = EifWriter { architecture, default_mem, default_cpus }.write(Parts {
            kernel: Part { source: &mut &kernel[..], size: kernel.len() as u64 },
            cmdline: &cmdline,
            metadata: &metadata,
            ramdisks: sources.iter_mut().map(|data| Part { size: data.len() as u64, source: data }).collect(),
            signature: signature.as_ref(),
        }, &mut out).unwrap();

        let mut image = EifFile::open(out).unwrap();
        let measured = image.measure().unwrap();
        prop_assert_eq!(measured.crc, image.header().crc);
        prop_assert_eq!(measured.crc, written.crc);
        prop_assert_eq!(measured.measurements, written.measurements);
        prop_assert_eq!(image.length(), written.size);
        prop_assert_eq!(image.signature(), signature.as_ref());
        let header = image.header();
        prop_assert_eq!(
            (header.version, header.architecture, header.default_mem, header.default_cpus),
            (4, architecture, default_mem, default_cpus)
        );

        let all: Vec<&[u8]> = [&kernel[..], &cmdline].into_iter().chain(ramdisks.iter().map(Vec::as_slice)).collect();
        prop_assert_eq!(written.measurements.pcr0, pcr(&all));
        prop_assert_eq!(written.measurements.pcr1, pcr(&all[..3]));
        prop_assert_eq!(written.measurements.pcr2, pcr(&all[3..]));
        prop_assert_eq!(written.measurements.pcr8, signature.is_some().then(|| pcr(&[&[0x30, 0]])));

        let ramdisk_indexes = 3..3 + ramdisks.len();
        let mut data = vec![kernel, cmdline, metadata];
        data.extend(ramdisks);
        data.extend(signature.map(|signature| signature.encode()));
        prop_assert_eq!(image.sections().len(), data.len());
        for (index, data) in data.iter().enumerate() {
            let report = written.sections[index];
            prop_assert_eq!(report.sha384, Digest::of(data));
            prop_assert_eq!(report.sha384, measured.sections[index]);
            prop_assert_eq!(&image.section_bytes(index, 1 << 20).unwrap(), data);
            let section = image.sections()[index];
            prop_assert_eq!((section.kind, section.offset, section.size), (report.kind, report.offset, report.size));
            prop_assert_eq!(section.kind == SectionKind::Ramdisk, ramdisk_indexes.contains(&index));
        }
    }
}

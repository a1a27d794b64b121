//! Images that AWS's own builder wrote: read, measured, and written again byte for byte.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;

use eif::{Architecture, BuildInfo, EifFile, EifWriter, Metadata, Part, Parts, SectionKind, Signature};

const X86_64: &[u8] = include_bytes!("data/x86_64.eif");
const AARCH64: &[u8] = include_bytes!("data/aarch64_one_ramdisk.eif");
const SIGNED: &[u8] = include_bytes!("data/signed.eif");

const TWO_RAMDISKS: [&str; 3] = [
    "b42665ebedb7ec4dd3af16df8cdec68e6f362563185fb478bd739c335db79be11d39e6ee54c6a7126ba6d73a0a054aac",
    "239b571396f39d813b3cdde2732aa605456c7aeec7490e5a6686a87d3d0d2cac4f279c433b8b585f791bd648eca8044c",
    "77d239ae4decf3f8c92f7df8cad2fb779a2c26c369f4a5ada4a2b7bd10aefee6d8916728e1b0838d4d0e429234499d62",
];
const ONE_RAMDISK: [&str; 3] = [
    TWO_RAMDISKS[1],
    TWO_RAMDISKS[1],
    "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a",
];
const CERTIFICATE: &str =
    "b4c77072d5965beba7a0ed85d70dff0a5d15d327aa313cdfe78cf27a6b4259ca424cabab08f486d3e5dcdccb55d31468";

/// As in `data/README.md`.
fn again(architecture: Architecture, ramdisks: usize, signature: Option<&Signature>) -> Vec<u8> {
    let metadata = Metadata {
        image_name: "golden".to_owned(),
        image_version: "1.0".to_owned(),
        build: BuildInfo {
            build_time: "2020-01-01T00:00:00+00:00".to_owned(),
            build_tool: "aws-nitro-enclaves-image-format".to_owned(),
            build_tool_version: "0.8.1".to_owned(),
            operating_system: "Linux".to_owned(),
            kernel_version: "6.12.0".to_owned(),
        },
        docker_info: serde_json::Value::Null,
        custom: serde_json::json!({ "note": "golden" }),
    };
    let mut kernel = &b"a kernel of 21 bytes."[..];
    let mut data = [&b"ramdisk 0\n"[..], b"ramdisk 1, the application\n"];
    let parts = Parts {
        kernel: Part {
            size: 21,
            source: &mut kernel,
        },
        cmdline: b"console=ttyS0 panic=30",
        metadata: &metadata.to_bytes(),
        ramdisks: data
            .iter_mut()
            .take(ramdisks)
            .map(|data| Part {
                size: data.len() as u64,
                source: data,
            })
            .collect(),
        signature,
    };
    let writer = EifWriter {
        architecture,
        default_mem: 1 << 30,
        default_cpus: 2,
    };
    let mut out = Cursor::new(Vec::new());
    writer.write(parts, &mut out).unwrap();
    out.into_inner()
}

#[test]
fn aws_images_are_read_and_measured() {
    for (bytes, registers, pcr8) in [
        (X86_64, TWO_RAMDISKS, None),
        (AARCH64, ONE_RAMDISK, None),
        (SIGNED, TWO_RAMDISKS, Some(CERTIFICATE)),
    ] {
        let mut image = EifFile::open(Cursor::new(bytes)).unwrap();
        let measured = image.measure().unwrap();
        let found = measured.measurements;
        assert_eq!(
            [found.pcr0, found.pcr1, found.pcr2].map(|pcr| pcr.to_string()),
            registers
        );
        assert_eq!(found.pcr8.map(|pcr| pcr.to_string()).as_deref(), pcr8);
        assert_eq!(measured.crc, image.header().crc);
        assert_eq!(measured.sections.len(), image.sections().len());
        assert_eq!(
            (image.header().default_mem, image.header().default_cpus),
            (1 << 30, 2)
        );
        assert_eq!(image.length(), bytes.len() as u64);
        assert_eq!(image.section_bytes(1, 100).unwrap(), b"console=ttyS0 panic=30");
    }
}

#[test]
fn the_same_parts_give_the_same_bytes() {
    assert_eq!(again(Architecture::X86_64, 2, None), X86_64);
    assert_eq!(again(Architecture::Aarch64, 1, None), AARCH64);
    let image = EifFile::open(Cursor::new(SIGNED)).unwrap();
    assert_eq!(again(Architecture::X86_64, 2, image.signature()), SIGNED);
}

#[test]
fn the_signature_section_is_taken_apart_and_put_together() {
    let mut image = EifFile::open(Cursor::new(SIGNED)).unwrap();
    let index = image
        .sections()
        .iter()
        .position(|section| section.kind == SectionKind::Signature)
        .unwrap();
    let bytes = image.section_bytes(index, 32_768).unwrap();
    let signature = Signature::parse(&bytes).unwrap();
    assert_eq!(signature.encode(), bytes);
    assert!(
        signature.signatures()[0]
            .certificate_pem
            .starts_with(b"-----BEGIN CERTIFICATE-----")
    );
    // An untagged array of four, the form of COSE_Sign1.
    assert_eq!(signature.signatures()[0].cose[0], 0x84);
    assert_eq!(signature.certificate_der()[0], 0x30);
}

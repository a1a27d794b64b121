//! For the same parts, our images are AWS's images byte for byte, and each side reads the other's.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::Path;

use aws_nitro_enclaves_image_format::utils::SignKeyData;
use differential::{assemble_with_aws, assembly, ramdisk, read_with_aws, registers};
use eif::{Architecture, EifFile, EifWriter, Part, Parts};
use eif_builder::assemble::{Assembly, assemble};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Bytes without a pattern that a wrong offset would hide.
fn bytes(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Ours, written without `assemble`, which refuses an empty kernel.
fn write_ours(assembly: &Assembly) -> Vec<u8> {
    let open = |path: &Path| (File::open(path).unwrap(), fs::metadata(path).unwrap().len());
    let (mut kernel, size) = open(&assembly.kernel);
    let mut ramdisks: Vec<_> = assembly.ramdisks.iter().map(|path| open(path)).collect();
    let parts = Parts {
        kernel: Part {
            source: &mut kernel,
            size,
        },
        cmdline: assembly.cmdline.as_bytes(),
        metadata: &assembly.metadata.to_bytes(),
        ramdisks: ramdisks
            .iter_mut()
            .map(|(file, size)| Part {
                source: file,
                size: *size,
            })
            .collect(),
        signature: assembly.signature.as_ref(),
    };
    let writer = EifWriter {
        architecture: assembly.architecture,
        default_mem: assembly.default_mem,
        default_cpus: assembly.default_cpus,
    };
    let mut out = File::create_new(&assembly.output).unwrap();
    writer.write(parts, &mut out).unwrap();
    fs::read(&assembly.output).unwrap()
}

/// Sizes of the kernel and the ramdisks, and what is not a size.
struct Shape<'a> {
    kernel: usize,
    ramdisks: &'a [usize],
    cmdline: &'a str,
    architecture: Architecture,
    custom: Value,
    docker: Value,
}

fn check(shape: Shape<'_>) {
    let dir = tempfile::tempdir().unwrap();
    let mut assembly = assembly(
        dir.path(),
        shape.cmdline,
        shape.ramdisks.len(),
        shape.architecture,
    );
    assembly.metadata.custom = shape.custom;
    assembly.metadata.docker_info = shape.docker;
    fs::write(&assembly.kernel, bytes(99, shape.kernel)).unwrap();
    for (index, &size) in shape.ramdisks.iter().enumerate() {
        fs::write(ramdisk(dir.path(), index), bytes(index, size)).unwrap();
    }
    let theirs_path = dir.path().join("theirs.eif");
    let mut theirs = assemble_with_aws(&assembly, &theirs_path, None).unwrap();
    theirs.remove("HashAlgorithm");
    let ours = write_ours(&assembly);
    assert!(
        ours == fs::read(&theirs_path).unwrap(),
        "other bytes for {:?}",
        shape.ramdisks
    );

    let mut reading = read_with_aws(&assembly.output).unwrap();
    reading.registers.remove("HashAlgorithm");
    assert!(reading.crc_ok);
    assert_eq!(reading.registers, theirs);
    assert_eq!(reading.image_name.as_deref(), Some("image"));

    let mut image = EifFile::open(File::open(&theirs_path).unwrap()).unwrap();
    let measured = image.measure().unwrap();
    assert_eq!(registers(&measured.measurements), theirs);
    assert_eq!(measured.crc, image.header().crc);
}

fn plain(kernel: usize, ramdisks: &[usize]) -> Shape<'_> {
    Shape {
        kernel,
        ramdisks,
        cmdline: "reboot=k panic=30 pci=off nomodules console=ttyS0 random.trust_cpu=on",
        architecture: Architecture::X86_64,
        custom: Value::Null,
        docker: Value::Null,
    }
}

#[test]
fn any_number_of_ramdisks() {
    for count in 1..=29 {
        let sizes: Vec<_> = (0..count).map(|index| 100 + 37 * index).collect();
        check(plain(1000, &sizes));
    }
}

#[test]
fn empty_and_odd_sizes() {
    for size in [
        0, 1, 2, 3, 11, 12, 13, 111, 112, 127, 128, 129, 65_535, 262_143, 262_144, 262_145, 5_000_001,
    ] {
        check(plain(size, &[7]));
        check(plain(7, &[size]));
        check(plain(7, &[3, size, 5]));
        check(plain(size, &[size, size]));
    }
    check(plain(0, &[0, 0, 0]));
}

#[test]
fn both_architectures_and_any_text() {
    let deep =
        json!({ "z": 1, "a": [null, true, -1.5e300, "\u{1}\"\\/é\u{2028}"], "": { "b": {}, "a": [] } });
    for architecture in [Architecture::X86_64, Architecture::Aarch64] {
        for cmdline in ["", " ", "quiet", "é \"quoted\" \\", &"x=1 ".repeat(2000)] {
            for (custom, docker) in [
                (Value::Null, Value::Null),
                (deep.clone(), json!({})),
                (json!("text"), deep.clone()),
            ] {
                check(Shape {
                    cmdline,
                    architecture,
                    custom,
                    docker,
                    ..plain(500, &[20, 30])
                });
            }
        }
    }
}

#[test]
fn assemble_is_the_same_writer() {
    let dir = tempfile::tempdir().unwrap();
    let assembly = assembly(dir.path(), "quiet", 2, Architecture::X86_64);
    fs::write(&assembly.kernel, bytes(9, 70_000)).unwrap();
    fs::write(ramdisk(dir.path(), 0), bytes(0, 1_000_001)).unwrap();
    fs::write(ramdisk(dir.path(), 1), bytes(1, 9_000_003)).unwrap();
    let theirs_path = dir.path().join("theirs.eif");
    assemble_with_aws(&assembly, &theirs_path, None).unwrap();
    assemble(&assembly).unwrap();
    assert!(fs::read(&assembly.output).unwrap() == fs::read(&theirs_path).unwrap());
}

/// A fresh P-384 key with a self-signed certificate, both PEM, in `dir`.
fn signing_key(dir: &Path) -> SignKeyData {
    use openssl::{asn1::Asn1Time, ec, hash::MessageDigest, nid::Nid, pkey::PKey, x509};
    let group = ec::EcGroup::from_curve_name(Nid::SECP384R1).unwrap();
    let key = PKey::from_ec_key(ec::EcKey::generate(&group).unwrap()).unwrap();
    let mut name = x509::X509Name::builder().unwrap();
    name.append_entry_by_text("CN", "differential test").unwrap();
    let name = name.build();
    let mut certificate = x509::X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate
        .set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    certificate
        .set_not_after(&Asn1Time::days_from_now(1).unwrap())
        .unwrap();
    certificate.sign(&key, MessageDigest::sha384()).unwrap();
    let path = dir.join("certificate.pem");
    fs::write(&path, certificate.build().to_pem().unwrap()).unwrap();
    fs::write(dir.join("key.pem"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    SignKeyData::new(dir.join("key.pem").to_str().unwrap(), &path).unwrap()
}

#[test]
fn signed_images() {
    let dir = tempfile::tempdir().unwrap();
    let mut assembly = assembly(dir.path(), "quiet", 2, Architecture::X86_64);
    fs::write(&assembly.kernel, bytes(9, 7000)).unwrap();
    fs::write(ramdisk(dir.path(), 0), bytes(0, 1001)).unwrap();
    fs::write(ramdisk(dir.path(), 1), bytes(1, 9003)).unwrap();
    let theirs_path = dir.path().join("theirs.eif");
    let mut theirs = assemble_with_aws(&assembly, &theirs_path, Some(signing_key(dir.path()))).unwrap();
    theirs.remove("HashAlgorithm");
    let image = EifFile::open(File::open(&theirs_path).unwrap()).unwrap();
    // Their signature in our image: it is over PCR0, which is the same.
    assembly.signature = image.signature().cloned();
    let written = assemble(&assembly).unwrap();
    assert_eq!(registers(&written.measurements), theirs);
    assert_eq!(theirs.len(), 4);
    assert!(fs::read(&assembly.output).unwrap() == fs::read(&theirs_path).unwrap());
    let reading = read_with_aws(&assembly.output).unwrap();
    assert_eq!((reading.crc_ok, reading.signature_ok), (true, Some(true)));
}

/// `crates/eif/tests/data`: the two unsigned files can be made again.
#[test]
fn golden_files_are_aws_own() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/eif/tests/data");
    let dir = tempfile::tempdir().unwrap();
    for (name, architecture, ramdisks) in [
        ("x86_64.eif", Architecture::X86_64, 2),
        ("aarch64_one_ramdisk.eif", Architecture::Aarch64, 1),
    ] {
        let mut assembly = assembly(dir.path(), "console=ttyS0 panic=30", ramdisks, architecture);
        fs::write(&assembly.kernel, "a kernel of 21 bytes.").unwrap();
        fs::write(ramdisk(dir.path(), 0), "ramdisk 0\n").unwrap();
        fs::write(ramdisk(dir.path(), 1), "ramdisk 1, the application\n").unwrap();
        assembly.metadata.image_name = "golden".to_owned();
        assembly.metadata.custom = json!({ "note": "golden" });
        assembly.metadata.build.build_time = "2020-01-01T00:00:00+00:00".to_owned();
        assembly.metadata.build.build_tool = "aws-nitro-enclaves-image-format".to_owned();
        assembly.metadata.build.build_tool_version = "0.8.1".to_owned();
        assembly.metadata.build.kernel_version = "6.12.0".to_owned();
        let theirs = dir.path().join(name);
        assemble_with_aws(&assembly, &theirs, None).unwrap();
        assert!(
            fs::read(&theirs).unwrap() == fs::read(data.join(name)).unwrap(),
            "{name}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn generated_shapes(
        kernel in 0..300_000_usize,
        ramdisks in proptest::collection::vec(prop_oneof![0..2000_usize, 0..600_000_usize], 1..6),
        cmdline in "[^\0]{0,200}",
        aarch64: bool,
        custom in proptest::option::of("\\PC{0,50}"),
    ) {
        let architecture = if aarch64 { Architecture::Aarch64 } else { Architecture::X86_64 };
        let custom = custom.map_or(Value::Null, |text| json!({ text.clone(): text }));
        check(Shape { kernel, ramdisks: &ramdisks, cmdline: &cmdline, architecture, custom, docker: Value::Null });
    }
}

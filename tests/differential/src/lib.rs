//! One set of parts, two builders: AWS's `EifBuilder` and ours.
//!
//! What both get is in files, since AWS's takes nothing else. AWS's crate panics where ours returns an error, so only
//! sound parts come here. It is large (OpenSSL, the AWS SDK): nothing but tests and benchmarks may depend on it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use aws_nitro_enclaves_image_format::defs::{EIF_HDR_ARCH_ARM64, EifBuildInfo, EifIdentityInfo};
use aws_nitro_enclaves_image_format::utils::eif_reader::EifReader;
use aws_nitro_enclaves_image_format::utils::{EifBuilder, SignKeyData};
use eif::{Architecture, BuildInfo, Metadata};
use eif_builder::assemble::Assembly;
use sha2::{Digest as _, Sha384};

/// Names of the registers and, under `HashAlgorithm`, of the hash.
pub type Registers = BTreeMap<String, String>;

/// Parts in files, with the header values that AWS's builder always writes.
#[must_use]
pub fn assembly(dir: &Path, cmdline: &str, ramdisks: usize, architecture: Architecture) -> Assembly {
    Assembly {
        kernel: dir.join("kernel"),
        cmdline: cmdline.to_owned(),
        ramdisks: (0..ramdisks).map(|index| ramdisk(dir, index)).collect(),
        output: dir.join("ours.eif"),
        architecture,
        default_mem: 1 << 30,
        default_cpus: 2,
        metadata: Metadata {
            image_name: "image".to_owned(),
            image_version: "1.0".to_owned(),
            build: BuildInfo {
                build_time: "1970-01-01T00:00:00Z".to_owned(),
                build_tool: "differential".to_owned(),
                build_tool_version: "0".to_owned(),
                operating_system: "Linux".to_owned(),
                kernel_version: "6.12".to_owned(),
            },
            docker_info: serde_json::Value::Null,
            custom: serde_json::Value::Null,
        },
        signature: None,
    }
}

/// Where ramdisk `index` is expected.
#[must_use]
pub fn ramdisk(dir: &Path, index: usize) -> PathBuf {
    dir.join(format!("ramdisk{index}"))
}

/// The same assembly by AWS's builder, into `output`; signed if there is a key.
///
/// # Errors
/// When `output` cannot be made. Whatever else is wrong is a panic in AWS's crate.
pub fn assemble_with_aws(
    assembly: &Assembly,
    output: &Path,
    key: Option<SignKeyData>,
) -> io::Result<Registers> {
    let Metadata {
        image_name,
        image_version,
        build,
        docker_info,
        custom,
    } = assembly.metadata.clone();
    let identity = EifIdentityInfo {
        img_name: image_name,
        img_version: image_version,
        build_info: EifBuildInfo {
            build_time: build.build_time,
            build_tool: build.build_tool,
            build_tool_version: build.build_tool_version,
            img_os: build.operating_system,
            img_kernel: build.kernel_version,
        },
        docker_info,
        custom_info: custom,
    };
    let flags = match assembly.architecture {
        Architecture::X86_64 => 0,
        Architecture::Aarch64 => EIF_HDR_ARCH_ARM64,
    };
    let cmdline = assembly.cmdline.clone();
    let mut builder = EifBuilder::new(&assembly.kernel, cmdline, key, Sha384::new(), flags, identity);
    for ramdisk in &assembly.ramdisks {
        builder.add_ramdisk(ramdisk);
    }
    let mut options = File::options();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(output)?;
    Ok(builder.write_to(&mut file))
}

/// What AWS's reader finds in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsReading {
    /// Its registers.
    pub registers: Registers,
    /// Whether it finds the CRC right.
    pub crc_ok: bool,
    /// Whether the signature is by the certificate's key and of the PCR0 found; `None` for an unsigned image.
    pub signature_ok: Option<bool>,
    /// Name of the image in its metadata.
    pub image_name: Option<String>,
}

/// Reads an image with AWS's `EifReader`.
///
/// # Errors
/// When it refuses the file.
pub fn read_with_aws(path: &Path) -> Result<AwsReading> {
    let path = path
        .to_str()
        .ok_or_else(|| anyhow!("{} is not text", path.display()))?;
    let mut reader = EifReader::from_eif(path.to_owned()).map_err(anyhow::Error::msg)?;
    let crc_ok = reader.check_crc();
    let registers = reader.get_measurements().map_err(anyhow::Error::msg)?;
    if registers.contains_key("PCR8") {
        let found = registers.clone();
        reader.get_certificate_info(found).map_err(anyhow::Error::msg)?;
    }
    Ok(AwsReading {
        registers,
        crc_ok,
        signature_ok: reader.sign_check,
        image_name: reader.get_metadata().map(|metadata| metadata.img_name),
    })
}

/// Our registers in the form of AWS's; `HashAlgorithm` aside, which depends on the hash library.
#[must_use]
pub fn registers(measurements: &eif::Measurements) -> Registers {
    let json = measurements.to_json();
    let members = json.as_object().into_iter().flatten();
    let text = members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    text.filter(|(name, _)| name != "HashAlgorithm").collect()
}

/// Writes `bytes` where the builders look for a part.
///
/// # Errors
/// The operating system's reason.
pub fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::write(path, bytes)
}

//! The measurements of an image as `eif-builder` and `nitro-cli` print them.
//!
//! One reader for every program that takes them, so that no two take different ones from the same file.

use serde::Deserialize;

use crate::pcr::{Pcr, PcrError};
use crate::request::ImagePcrs;

/// Longest file of measurements that is read, in bytes. Ours has about 1 KiB, `nitro-cli describe-eif` prints less than 4.
pub const MAX_BYTES: usize = 64 * 1024;

/// Why bytes are not the measurements of an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasurementsError {
    /// Longer than any.
    #[error("the measurements of {label} have {actual} bytes, expected at most {MAX_BYTES}")]
    TooLarge {
        /// Label of the image.
        label: String,
        /// How many there are.
        actual: usize,
    },
    /// Not the JSON of measurements.
    #[error("the measurements of {label} are not the Measurements that nitro-cli prints")]
    Json {
        /// Label of the image.
        label: String,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// Measured by another hash than SHA-384.
    #[error("the measurements of {label} are by {found:?}, expected Sha384")]
    Algorithm {
        /// Label of the image.
        label: String,
        /// What the file says.
        found: String,
    },
    /// A register that is none.
    #[error("{name} of {label} is wrong")]
    Pcr {
        /// Label of the image.
        label: String,
        /// Name of the register.
        name: &'static str,
        /// Why.
        source: PcrError,
    },
}

#[derive(Deserialize)]
struct Outer {
    #[serde(rename = "Measurements")]
    measurements: Measurements,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Measurements {
    #[serde(rename = "HashAlgorithm")]
    algorithm: String,
    #[serde(rename = "PCR0")]
    pcr0: String,
    #[serde(rename = "PCR1")]
    pcr1: String,
    #[serde(rename = "PCR2")]
    pcr2: String,
    #[serde(rename = "PCR8")]
    pcr8: Option<String>,
}

/// Reads `{"Measurements": {"HashAlgorithm", "PCR0", "PCR1", "PCR2", "PCR8"?}}` with anything beside `Measurements`, or the
/// inner object alone. `label` becomes the label of the image and is named in errors.
///
/// # Errors
/// [`MeasurementsError`], by its variants.
pub fn read(label: &str, bytes: &[u8]) -> Result<ImagePcrs, MeasurementsError> {
    if bytes.len() > MAX_BYTES {
        return Err(MeasurementsError::TooLarge {
            label: label.to_owned(),
            actual: bytes.len(),
        });
    }
    let found = parse(bytes).map_err(|source| MeasurementsError::Json {
        label: label.to_owned(),
        source,
    })?;
    if found.algorithm.split_whitespace().next() != Some("Sha384") {
        return Err(MeasurementsError::Algorithm {
            label: label.to_owned(),
            found: found.algorithm,
        });
    }
    let pcr = |name, text: &str| -> Result<Pcr, MeasurementsError> {
        text.parse().map_err(|source| MeasurementsError::Pcr {
            label: label.to_owned(),
            name,
            source,
        })
    };
    Ok(ImagePcrs {
        label: label.to_owned(),
        pcr0: pcr("PCR0", &found.pcr0)?,
        pcr1: pcr("PCR1", &found.pcr1)?,
        pcr2: pcr("PCR2", &found.pcr2)?,
        pcr8: found.pcr8.map(|text| pcr("PCR8", &text)).transpose()?,
    })
}

fn parse(bytes: &[u8]) -> Result<Measurements, serde_json::Error> {
    let value: serde_json::Value = serde_json::from_slice(bytes)?;
    if value.get("Measurements").is_some() {
        // Read again from the bytes: the value above has lost what stands twice.
        Ok(serde_json::from_slice::<Outer>(bytes)?.measurements)
    } else {
        serde_json::from_slice(bytes)
    }
}

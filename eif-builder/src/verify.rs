//! The `verify` command: an image judged from its bytes alone, and every line explained.
//!
//! Everything is computed anew: CRC, sections, registers, signature. What is published is compared with that; nothing of
//! the image is believed. The file is read once for the registers and once more for what its ramdisks hold, never held.
//! It reads no clock and rebuilds nothing.

use std::fs::File;
use std::io;
use std::path::Path;

use attest::UnixMs;
use eif::{EifError, EifFile, Measured};
use kms_policy::measurements::{self, MeasurementsError};
use kms_policy::request::ImagePcrs;
use serde::Deserialize;

use crate::cpio_read::Budget;
use crate::cursor::Cursor;
use crate::digest::{NotSha256, Sha256};
use crate::file::{FileError, OpenError, failed, open_regular};

mod checks;
mod init;
mod report;
mod trust;

pub use report::{Check, Outcome, Report};

/// What an image is measured against: the file that `build` writes beside it, or what `nitro-cli` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The registers.
    pub pcrs: ImagePcrs,
    /// SHA-256 of the whole file, where it is published.
    pub eif_sha256: Option<Sha256>,
}

/// Why a file is no publication of measurements.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishedError {
    /// Not the JSON of measurements.
    #[error(transparent)]
    Pcrs(#[from] MeasurementsError),
    /// `EifSha256` is none.
    #[error("EifSha256 of {label} is wrong")]
    EifSha256 {
        /// Name of the file.
        label: String,
        /// Why.
        #[source]
        source: NotSha256,
    },
    /// Registers of debug mode, which every image has there.
    #[error(
        "{label} has an all-zero PCR{index}: every image in debug mode has it; use the measurements of the build"
    )]
    Zero {
        /// Name of the file.
        label: String,
        /// Which register.
        index: u8,
    },
}

impl Published {
    /// Reads `{"Measurements": {…}, "EifSha256": …}` with anything beside; `label` is used in errors.
    ///
    /// # Errors
    /// [`PublishedError`].
    pub fn read(label: &str, bytes: &[u8]) -> Result<Self, PublishedError> {
        #[derive(Deserialize)]
        struct Beside {
            #[serde(rename = "EifSha256")]
            eif_sha256: Option<String>,
        }
        let pcrs = measurements::read(label, bytes)?;
        let registers = [(0, pcrs.pcr0), (1, pcrs.pcr1), (2, pcrs.pcr2)];
        if let Some((index, _)) = registers.into_iter().find(|(_, pcr)| pcr.is_zero()) {
            let label = label.to_owned();
            return Err(PublishedError::Zero { label, index });
        }
        let beside: Beside = serde_json::from_slice(bytes).map_err(|source| {
            let label = label.to_owned();
            MeasurementsError::Json { label, source }
        })?;
        let eif_sha256 = beside.eif_sha256.map(|text| text.parse()).transpose();
        let eif_sha256 = eif_sha256.map_err(|source| PublishedError::EifSha256 {
            label: label.to_owned(),
            source,
        })?;
        Ok(Self { pcrs, eif_sha256 })
    }
}

/// What is asked of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// What it should be; without it only its own soundness is judged.
    pub published: Option<Published>,
    /// The instant at which the signing certificate has to be valid.
    pub at: UnixMs,
    /// How much its ramdisks may unpack to.
    pub budget: Budget,
}

/// Why an image was not judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read to its end.
    #[error(transparent)]
    Read(#[from] FileError),
}

/// Judges the image at `path`. A refused image is no error but a [`Report`] that says so.
///
/// # Errors
/// [`VerifyError`] when the file could not be looked at.
pub fn verify(path: &Path, parameters: &Parameters) -> Result<Report, VerifyError> {
    let file = open_regular(path)?;
    let unreadable = failed("read", path);
    let mut report = Report::new(parameters.at);
    let mut image = match EifFile::open(Cursor::new(&file)) {
        Ok(image) => image,
        Err(EifError::Read(source)) => return Err(unreadable(source).into()),
        Err(error) => {
            report.push(checks::not_an_image(&error));
            return Ok(report);
        }
    };
    let measured = match image.measure() {
        Ok(measured) => measured,
        Err(EifError::Read(source)) => return Err(unreadable(source).into()),
        Err(error) => {
            report.push(checks::not_an_image(&error));
            return Ok(report);
        }
    };
    report.measured(&measured.measurements);
    judge(&file, &mut image, &measured, parameters, &mut report).map_err(unreadable)?;
    Ok(report)
}

fn judge(
    file: &File,
    image: &mut EifFile<Cursor<'_>>,
    measured: &Measured,
    parameters: &Parameters,
    report: &mut Report,
) -> io::Result<()> {
    report.push(checks::form(image));
    report.push(checks::crc(image, measured));
    report.push(checks::architecture(image)?);
    let published = parameters.published.as_ref();
    for check in checks::registers(&measured.measurements, published) {
        report.push(check);
    }
    if let Some(expected) = published.and_then(|published| published.eif_sha256) {
        let (actual, _) = Sha256::of_reader(&mut Cursor::new(file))?;
        report.push(checks::whole_file(expected, actual));
    }
    checks::signature(
        image.signature(),
        &measured.measurements.pcr0,
        parameters.at,
        report,
    );
    report.push(checks::memory(image));
    init::check(image, parameters.budget, report)?;
    checks::metadata(image, report)?;
    if published.is_none() {
        report.caveat("no published measurements were given (--pcrs): any sound image passes");
    }
    Ok(())
}

//! The parent's side of the boot report: an enclave that must die says why, in one message, and closes.

use std::io::{self, Read};

use abi::boot::{FatalReport, REPORT_LEN, ReportError};
use thiserror::Error;

/// Why a connection to the report's port carried no report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BootReportError {
    /// It could not be read to its end.
    #[error("cannot read the boot report")]
    Read(#[source] io::Error),
    /// It is not a report.
    #[error("the enclave sent a malformed boot report")]
    Malformed(#[source] ReportError),
}

/// Reads the report up to the end of the stream, and no more than one byte beyond its length.
///
/// # Errors
/// [`BootReportError`].
pub fn read(stream: &mut impl Read) -> Result<FatalReport, BootReportError> {
    let mut bytes = Vec::with_capacity(REPORT_LEN + 1);
    let limit = u64::try_from(REPORT_LEN + 1).unwrap_or(u64::MAX);
    stream
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(BootReportError::Read)?;
    FatalReport::decode(&bytes).map_err(BootReportError::Malformed)
}

#[cfg(test)]
mod tests {
    use abi::boot::{FatalCode, Stage};

    use super::*;

    #[test]
    fn one_report_is_read() {
        let report = FatalReport {
            stage: Stage::Nsm,
            code: FatalCode::NsmAbsent,
            errno: 2,
            uptime_ms: 9,
            detail: 0,
        };
        let bytes = report.encode();
        assert_eq!(read(&mut &bytes[..]).unwrap(), report);
        for len in 0..bytes.len() {
            let error = read(&mut &bytes[..len]).unwrap_err();
            assert!(matches!(error, BootReportError::Malformed(ReportError::Length(n)) if n == len));
        }
        let long = [&bytes[..], &[0; 1000]].concat();
        let error = read(&mut &long[..]).unwrap_err();
        assert!(matches!(
            error,
            BootReportError::Malformed(ReportError::Length(17))
        ));
    }
}

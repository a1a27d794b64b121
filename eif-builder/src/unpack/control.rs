//! The control file of a `.deb`: what the package says about itself. Nothing else of the control archive is used.
//!
//! Source: `deb-control(5)`.

use std::io::Read;

use super::{Entry, Kind, Limits, Reason, Sink, SinkError, UnpackError, ar, entries};
use crate::compression::Limited;

/// Largest control file, in bytes. The longest in Debian have some tens of kilobytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// Bounds of the control archive. Most of it are checksums of the package's files.
const LIMITS: Limits = Limits {
    bytes: 64 << 20,
    entries: 1000,
};

#[derive(Default)]
struct Found(Option<Vec<u8>>);

impl Sink for Found {
    fn put(&mut self, entry: Entry<'_>) -> Result<(), SinkError> {
        if entry.path.as_str() != "/control" {
            return Ok(());
        }
        let Kind::File { size, content } = entry.kind else {
            return Err(SinkError::Refused("it is not a regular file"));
        };
        if size > MAX_BYTES {
            return Err(SinkError::Refused("it has more than 1 MiB"));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(SinkError::Content)?;
        match self.0.replace(bytes) {
            None => Ok(()),
            Some(_) => Err(SinkError::Refused("it stands twice in the archive")),
        }
    }
}

/// The text of the control file. `name` is used in errors.
///
/// # Errors
/// [`UnpackError`]: no package, no control file, or one that is no text.
pub fn read(name: &str, package: impl Read) -> Result<String, UnpackError> {
    let mut found = Found::default();
    let unpacked = ar::control_archive(package, |compression, control| {
        let stream = Limited::new(compression.reader(control)?, LIMITS.bytes);
        entries::unpack(stream, 0, LIMITS, &mut found)
    });
    let text = unpacked.and_then(|()| {
        let bytes = found
            .0
            .ok_or(Reason::Container("its control archive has no file `control`"))?;
        String::from_utf8(bytes).map_err(|_| Reason::Container("its control file is not UTF-8"))
    });
    text.map_err(|reason| UnpackError {
        archive: name.to_owned(),
        reason,
    })
}

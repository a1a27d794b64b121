//! The signed copy of a built image: the part in the store stays unsigned, whoever signs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::PipelineError;
use crate::file::{self, failed};
use crate::image::{EIF_FILE, PCRS_FILE};
use crate::partial;
use crate::sign::{self, Signer};

/// A signed copy of an image part's EIF with its measurements, in a folder that goes when this does.
pub(super) struct SignedImage {
    pub(super) dir: PathBuf,
}

impl SignedImage {
    pub(super) fn make(part: &Path, name: &str, out: &Path, signer: &Signer) -> Result<Self, PipelineError> {
        fs::create_dir_all(out).map_err(failed("create", out))?;
        let dir = partial::beside(&out.join(format!("{name}.signed")))?;
        fs::create_dir(&dir).map_err(failed("create", &dir))?;
        let image = Self { dir };
        let eif = image.dir.join(EIF_FILE);
        let done = sign::sign_image(&part.join(EIF_FILE), &eif, signer)?;
        let published = part.join(PCRS_FILE);
        let text = fs::read(&published).map_err(failed("read", &published))?;
        let mut pcrs: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&text)
            .map_err(io::Error::from)
            .map_err(failed("read", &published))?;
        pcrs.insert("Measurements".to_owned(), done.measurements.to_json());
        let sha256 = file::digest(&eif)?.to_string();
        pcrs.insert("EifSha256".to_owned(), sha256.into());
        let path = image.dir.join(PCRS_FILE);
        let text = format!("{:#}\n", serde_json::Value::Object(pcrs));
        fs::write(&path, text).map_err(failed("write", &path))?;
        Ok(image)
    }
}

impl Drop for SignedImage {
    fn drop(&mut self) {
        // What could not be removed is in a folder whose name says what it is.
        drop(fs::remove_dir_all(&self.dir));
    }
}

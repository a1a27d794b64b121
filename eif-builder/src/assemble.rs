//! Kernel, command line and ramdisks, given as files, to an image file.
//!
//! It checks what can be seen from outside the parts and leaves nothing half-made behind: the image is written beside
//! the output under another name and renamed when it is whole. It builds no part and parses no command line.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use eif::{Architecture, EifWriter, Metadata, Part, Parts, Signature, WriteError, Written};
use serde_json::Value;

use crate::file::{OpenError, failed, open_regular};
use crate::partial::{Partial, PartialError};
use crate::sign::{self, SignError, Signed, Signer};

/// Longest file of custom metadata in bytes, as AWS's tools allow it.
pub const MAX_CUSTOM_METADATA_BYTES: u64 = 4096;

/// Longest command line in bytes: `COMMAND_LINE_SIZE` of Linux on both machines, without its NUL.
pub const MAX_COMMAND_LINE_BYTES: usize = 2047;

/// What to put together.
#[derive(Clone, Debug)]
pub struct Assembly {
    /// A bzImage (`x86_64`) or an uncompressed Image (aarch64).
    pub kernel: PathBuf,
    /// The kernel's command line, without NUL.
    pub cmdline: String,
    /// 1 to 29 archives (28 if signed) in the order in which the kernel unpacks them.
    pub ramdisks: Vec<PathBuf>,
    /// Where the image goes; a file that is there is replaced.
    pub output: PathBuf,
    /// The machine that the kernel is for.
    pub architecture: Architecture,
    /// Memory in bytes that the image asks for when the operator names none.
    pub default_mem: u64,
    /// Processors that it asks for.
    pub default_cpus: u64,
    /// The metadata section.
    pub metadata: Metadata,
    /// A ready-made signature section, or `None` for an unsigned image.
    pub signature: Option<Signature>,
}

/// Why no image was made. The output is then as it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// A part cannot be opened.
    #[error("the {role} cannot be used")]
    Open {
        /// `kernel`, `ramdisk` or `custom metadata`.
        role: &'static str,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// There is nothing to boot.
    #[error("the kernel {} is empty", path.display())]
    EmptyKernel {
        /// Its path.
        path: PathBuf,
    },
    /// The image would replace one of its own parts.
    #[error("the output {} is the {role} {}", output.display(), path.display())]
    OutputIsInput {
        /// Where the image should go.
        output: PathBuf,
        /// `kernel` or `ramdisk`.
        role: &'static str,
        /// The part.
        path: PathBuf,
    },
    /// A command line above [`MAX_COMMAND_LINE_BYTES`], of which the kernel would drop the end.
    #[error("the command line has {actual} bytes; the kernel takes at most {MAX_COMMAND_LINE_BYTES}")]
    CommandLine {
        /// Its length in bytes.
        actual: usize,
    },
    /// The file beside the output could not be made or renamed.
    #[error(transparent)]
    Output(#[from] PartialError),
    /// The image was not signed, so there is none.
    #[error("cannot sign {}", output.display())]
    Sign {
        /// Where the image should go.
        output: PathBuf,
        /// Why.
        #[source]
        source: SignError,
    },
    /// The image could not be written.
    #[error("cannot assemble {}", output.display())]
    Write {
        /// Where the image should go.
        output: PathBuf,
        /// The writer's reason.
        #[source]
        source: WriteError,
    },
    /// Custom metadata above [`MAX_CUSTOM_METADATA_BYTES`].
    #[error("the custom metadata {} has more than 4096 bytes", path.display())]
    CustomMetadataTooLong {
        /// Its path.
        path: PathBuf,
    },
    /// Custom metadata that is not JSON.
    #[error("the custom metadata {} is not JSON", path.display())]
    CustomMetadata {
        /// Its path.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
}

/// An open part.
struct Input {
    role: &'static str,
    path: PathBuf,
    file: File,
    size: u64,
    /// Device and inode: the same file under another name is the same file.
    identity: (u64, u64),
}

/// Writes the image and measures it on the way.
///
/// # Errors
/// [`AssembleError`]; the output is then what it was before, and no other file is left.
pub fn assemble(assembly: &Assembly) -> Result<Written, AssembleError> {
    let (partial, written) = write(assembly)?;
    partial.rename_to(&assembly.output)?;
    Ok(written)
}

/// Writes the image, signed by `signer` in place of [`Assembly::signature`], or no image at all.
///
/// # Errors
/// [`AssembleError`]; the output is then what it was before, and no other file is left.
pub fn assemble_signed(assembly: &Assembly, signer: &Signer) -> Result<Signed, AssembleError> {
    let (unsigned, _) = write(assembly)?;
    let copy = sign::signed_copy(&unsigned.file, &assembly.output, signer);
    let (partial, done) = copy.map_err(|source| AssembleError::Sign {
        output: assembly.output.clone(),
        source,
    })?;
    partial.rename_to(&assembly.output)?;
    Ok(done)
}

fn write(assembly: &Assembly) -> Result<(Partial, Written), AssembleError> {
    let actual = assembly.cmdline.len();
    if actual > MAX_COMMAND_LINE_BYTES {
        return Err(AssembleError::CommandLine { actual });
    }
    let mut kernel = Input::open("kernel", &assembly.kernel)?;
    if kernel.size == 0 {
        return Err(AssembleError::EmptyKernel { path: kernel.path });
    }
    let ramdisks = assembly.ramdisks.iter().map(|path| Input::open("ramdisk", path));
    let mut ramdisks = ramdisks.collect::<Result<Vec<_>, _>>()?;
    refuse_to_replace(&assembly.output, std::iter::once(&kernel).chain(&ramdisks))?;

    let mut partial = Partial::beside(&assembly.output)?;
    let parts = Parts {
        kernel: kernel.part(),
        cmdline: assembly.cmdline.as_bytes(),
        metadata: &assembly.metadata.to_bytes(),
        ramdisks: ramdisks.iter_mut().map(Input::part).collect(),
        signature: assembly.signature.as_ref(),
    };
    let writer = EifWriter {
        architecture: assembly.architecture,
        default_mem: assembly.default_mem,
        default_cpus: assembly.default_cpus,
    };
    let written = writer
        .write(parts, &mut partial.file)
        .map_err(|source| AssembleError::Write {
            output: assembly.output.clone(),
            source,
        })?;
    Ok((partial, written))
}

/// Reads a file of custom metadata: at most 4096 bytes of JSON.
///
/// # Errors
/// [`AssembleError`] `Open`, `CustomMetadataTooLong` or `CustomMetadata`.
pub fn custom_metadata(path: &Path) -> Result<Value, AssembleError> {
    let role = "custom metadata";
    let input = Input::open(role, path)?;
    let mut bytes = Vec::new();
    let mut file = input.file.take(MAX_CUSTOM_METADATA_BYTES + 1);
    file.read_to_end(&mut bytes)
        .map_err(failed("read", path))
        .map_err(|error| AssembleError::Open {
            role,
            source: error.into(),
        })?;
    let path = path.to_owned();
    if bytes.len() as u64 > MAX_CUSTOM_METADATA_BYTES {
        return Err(AssembleError::CustomMetadataTooLong { path });
    }
    serde_json::from_slice(&bytes).map_err(|source| AssembleError::CustomMetadata { path, source })
}

impl Input {
    fn open(role: &'static str, path: &Path) -> Result<Self, AssembleError> {
        let fail = |source| AssembleError::Open { role, source };
        let file = open_regular(path).map_err(fail)?;
        let found = file
            .metadata()
            .map_err(failed("look at", path))
            .map_err(|error| fail(error.into()))?;
        Ok(Self {
            role,
            path: path.to_owned(),
            file,
            size: found.len(),
            identity: (found.dev(), found.ino()),
        })
    }

    fn part(&mut self) -> Part<'_> {
        Part {
            source: &mut self.file,
            size: self.size,
        }
    }
}

fn refuse_to_replace<'a>(
    output: &Path,
    mut inputs: impl Iterator<Item = &'a Input>,
) -> Result<(), AssembleError> {
    // Nothing there, or nothing that can be looked at: then it is none of the inputs, which are open.
    let Ok(there) = fs::metadata(output) else {
        return Ok(());
    };
    match inputs.find(|input| input.identity == (there.dev(), there.ino())) {
        None => Ok(()),
        Some(input) => Err(AssembleError::OutputIsInput {
            output: output.to_owned(),
            role: input.role,
            path: input.path.clone(),
        }),
    }
}

#[cfg(test)]
mod tests;

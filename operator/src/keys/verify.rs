//! Opening keystores: the proof that password, secret and public key belong together, before anything leaves the machine.

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use keystore::DecryptError;

use super::passwords::Passwords;
use super::sources::Source;
use crate::payload::{Plaintext, TooLong};
use crate::secret::SecretError;

/// Why a keystore is not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// No password.
    #[error("no password for {path}", path = .path.display())]
    Password {
        /// The keystore.
        path: PathBuf,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// It does not open, or holds another key.
    #[error("{path} was refused", path = .path.display())]
    Decrypt {
        /// The keystore.
        path: PathBuf,
        /// Why.
        #[source]
        source: DecryptError,
    },
    /// KMS would not take it.
    #[error("{path} cannot be encrypted", path = .path.display())]
    TooLong {
        /// The keystore.
        path: PathBuf,
        /// Why.
        #[source]
        source: TooLong,
    },
}

/// Opens every source, `jobs` at a time, and makes its plaintext. The answers are in the order of the sources.
#[must_use]
pub fn verify(
    sources: &[Source],
    passwords: &Passwords,
    compact: bool,
    jobs: usize,
    done: &(dyn Fn() + Sync),
) -> Vec<Result<Plaintext, VerifyError>> {
    let next = Mutex::new(sources.iter().enumerate());
    let results = Mutex::new(Vec::with_capacity(sources.len()));
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, sources.len().max(1)) {
            scope.spawn(|| {
                loop {
                    // Nothing panics while either lock is held.
                    let one = next
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .next();
                    let Some((index, source)) = one else { break };
                    let result = open(source, passwords, compact);
                    results
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((index, result));
                    done();
                }
            });
        }
    });
    let mut results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

fn open(source: &Source, passwords: &Passwords, compact: bool) -> Result<Plaintext, VerifyError> {
    let path = || source.path.clone();
    let password = passwords
        .of(&source.path)
        .map_err(|source| VerifyError::Password { path: path(), source })?;
    let secret = source
        .keystore
        .decrypt(&password)
        .map_err(|source| VerifyError::Decrypt { path: path(), source })?;
    if compact {
        Plaintext::secret_key(&secret)
    } else {
        Plaintext::keystore(&source.json, &password)
    }
    .map_err(|source| VerifyError::TooLong { path: path(), source })
}

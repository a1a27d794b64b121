//! The join: a sign request's bytes to a signature, in the order of checks that the contract gives.
//!
//! 1. The body is read (400). 2. The signing root is computed and compared (500). 3. The key is looked up (404).
//! 4. Slashing protection permits it (412, 500). 5. The root is signed.
//!
//! Upstream signs before step 4 and throws a refused signature away. Here a refused one never exists: the only way to a
//! signature of a slashable duty leads through the [`Permit`].

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use keystore::Signature;

use crate::client_keys::Allowed;
use crate::consensus::{BadRequest, CannotSign, Network, SignRequest};
use crate::duty::Root;
use crate::keys::{Keys, LoadedKey};
use crate::metrics::{Metrics, count};
use crate::pool::{Pool, PoolError};
use crate::slashing::Protection;
use crate::slashing::key::ValidatorKey;
use crate::slashing::refusal::{Permit, Refusal};

/// Bodies above this size are not parsed on the threads that serve connections.
const PARSE_HERE: usize = 64 << 10;

/// Everything that a signature needs.
#[derive(Debug)]
pub struct Signer {
    /// The network of `--network`.
    pub network: Network,
    /// The keys.
    pub keys: Arc<Keys>,
    /// Slashing protection, which may be off.
    pub protection: Arc<Protection>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Threads for signatures.
    pub pool: Pool,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignFault {
    /// The body is no sign request.
    #[error(transparent)]
    Bad(#[from] BadRequest),
    /// There is no root that may be signed.
    #[error(transparent)]
    Cannot(#[from] CannotSign),
    /// The key is not there, or not for this client.
    #[error("no such key")]
    NotFound,
    /// Slashing protection says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The signing thread failed.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

impl SignFault {
    /// The status of the contract.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Refused(refusal) => {
                StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Cannot(_) | Self::Pool(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A root that may be signed: either nothing about it can be slashed, or there is a permit.
enum Signable {
    Free(Root),
    Permitted(Root, Permit),
}

impl Signer {
    /// Makes the signature that a request asks for.
    ///
    /// # Errors
    /// See [`SignFault`].
    pub async fn sign(
        &self,
        allowed: &Allowed,
        identifier: &str,
        body: &[u8],
    ) -> Result<Signature, SignFault> {
        let parse = || SignRequest::parse(body);
        let request = if body.len() > PARSE_HERE {
            tokio::task::block_in_place(parse)
        } else {
            parse()
        };
        let request = request.inspect_err(|_| count(&self.metrics.malformed))?;
        let resolved = if body.len() > PARSE_HERE {
            tokio::task::block_in_place(|| request.resolve(&self.network))
        } else {
            request.resolve(&self.network)
        }?;
        let key = self.find(allowed, identifier)?;
        let signable = match resolved.slashable {
            None => Signable::Free(resolved.signing_root),
            Some(duty) => {
                let name = ValidatorKey::from_bytes(key.public_key().to_bytes());
                let permit = self.protection.permit(&name, &duty).await?;
                Signable::Permitted(duty.signing_root, permit)
            }
        };
        Ok(self.pool_sign(key, signable).await?)
    }

    /// Signs bytes as they are: the signing extension. They are JSON text, never a 32-byte root.
    ///
    /// # Errors
    /// [`SignFault::NotFound`], [`SignFault::Pool`].
    pub async fn sign_text(
        &self,
        allowed: &Allowed,
        identifier: &str,
        text: Arc<[u8]>,
    ) -> Result<Signature, SignFault> {
        let key = self.find(allowed, identifier)?;
        Ok(self.pool.run(move || key.sign(&text)).await?)
    }

    fn find(&self, allowed: &Allowed, identifier: &str) -> Result<Arc<LoadedKey>, SignFault> {
        self.keys
            .find(identifier)
            .filter(|key| allowed.has(key.public_key().as_bytes()))
            .ok_or_else(|| {
                count(&self.metrics.missing_identifier);
                SignFault::NotFound
            })
    }

    async fn pool_sign(&self, key: Arc<LoadedKey>, signable: Signable) -> Result<Signature, PoolError> {
        let metrics = Arc::clone(&self.metrics);
        self.pool
            .run(move || {
                let (Signable::Free(root) | Signable::Permitted(root, Permit { .. })) = signable;
                let started = Instant::now();
                let signature = key.sign(&root);
                metrics.signing.note(started.elapsed());
                signature
            })
            .await
    }
}

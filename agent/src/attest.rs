//! `attest`: a document that commits to what the enclave claims, and never carries a public key.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::answer::Attestation;
use control::claims::{Claims, user_data};
use control::text::Nonce;

use crate::core::Core;
use crate::failure::Failure;
use crate::measured::sha384;

impl Core {
    /// What is claimed now.
    #[must_use]
    pub fn claims(&self) -> Claims {
        let (config_sha384, slashing_store) = self.with_machine(|machine| {
            let config = machine.config();
            (
                config.and_then(|config| config.hash.text()),
                config.map(|config| config.config.fields().slashing_store.clone()),
            )
        });
        self.with_held(|held| {
            let state = held.state.as_deref();
            Claims {
                config_sha384,
                tls_certificate_sha256: state.map(|state| state.tls.sha256.clone()),
                tls_public_key_sha256: state.map(|state| state.tls.public_key_sha256.clone()),
                public_keys: state.map(|state| state.public_keys.clone()).unwrap_or_default(),
                artefact_versions: state.map(|state| state.artefact_versions),
                // Before the signer runs no store is in use.
                slashing_store: slashing_store.filter(|_| state.is_some()),
            }
        })
    }

    /// `attest`.
    ///
    /// # Errors
    /// [`Failure::Nsm`], [`Failure::Late`] or [`Failure::Claims`].
    pub async fn attest(self: Arc<Self>, nonce: Nonce) -> Result<Attestation, Failure> {
        let claims = self.claims().canonical()?;
        let data = user_data(&sha384(&[claims.as_bytes()]));
        let nsm = Arc::clone(&self.parts.nsm);
        let document = self
            .in_turn(move || Ok(nsm.attest(Some(&data), Some(&nonce.to_bytes()))?))
            .await?;
        Ok(Attestation {
            attestation_document: STANDARD.encode(document),
            claims: Some(claims),
        })
    }

    /// Runs work that blocks, alone and within the patience.
    ///
    /// Work that hangs keeps its turn: later requests are answered in time that it is not done, and no second thread starts.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = Arc::clone(&self.turn);
        let done = async move {
            let permit = turn.acquire_owned().await.map_err(|_| Failure::Stopped)?;
            let result = tokio::task::spawn_blocking(move || {
                let result = work();
                drop(permit);
                result
            });
            result.await.map_err(|_| Failure::Stopped)?
        };
        let patience = self.parts.patience.module;
        let waited = tokio::time::timeout(patience, done).await;
        waited.unwrap_or(Err(Failure::Late(patience)))
    }
}

//! The recipient of KMS's answers: one RSA key, made here and never shown, and the document that attests it.
//!
//! This is the only caller of [`RecipientNsm::attest_for_recipient`], and the key in the request is always the one that
//! [`Recipient::new`] has just generated: there is no constructor that takes a key. Else the security module would attest
//! keys of other people's choice, and KMS would encrypt to them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64ct::{Base64, Encoding as _};
use nsm::{NsmError, RecipientNsm};
use tokio::sync::Mutex;

use crate::unwrap_key::{UnwrapError, UnwrapKey};

/// How long a document is used before a fresh one is asked for.
///
/// AWS does not say how old a document KMS takes. A signature may be five minutes old, so a minute is far on the safe side,
/// while a document costs some milliseconds: over a batch of a thousand requests that is nothing.
pub const MAX_DOCUMENT_AGE: Duration = Duration::from_mins(1);

/// A key pair and what attests it.
pub struct Recipient {
    key: UnwrapKey,
    attester: Mutex<Attester>,
}

struct Attester {
    nsm: Box<dyn RecipientNsm + Send>,
    document: Option<Document>,
}

struct Document {
    made: SystemTime,
    base64: Arc<str>,
}

impl Recipient {
    /// Makes the key. No document is asked for yet.
    ///
    /// # Errors
    /// [`UnwrapError::Generate`].
    pub fn new(nsm: Box<dyn RecipientNsm + Send>) -> Result<Self, UnwrapError> {
        let attester = Attester { nsm, document: None };
        Ok(Self {
            key: UnwrapKey::generate()?,
            attester: Mutex::new(attester),
        })
    }

    /// The key that answers are opened with.
    pub(crate) const fn key(&self) -> &UnwrapKey {
        &self.key
    }

    /// The base64 of a document that is at most [`MAX_DOCUMENT_AGE`] old at `now`.
    ///
    /// # Errors
    /// [`NsmError`].
    pub async fn document(&self, now: SystemTime) -> Result<Arc<str>, NsmError> {
        let mut attester = self.attester.lock().await;
        // A clock that went backwards makes the age unknown: ask again.
        let fresh = |made: SystemTime| now.duration_since(made).is_ok_and(|age| age <= MAX_DOCUMENT_AGE);
        if let Some(document) = attester.document.as_ref().filter(|document| fresh(document.made)) {
            return Ok(Arc::clone(&document.base64));
        }
        let bytes = attester.nsm.attest_for_recipient(self.key.public_der())?;
        let base64 = Arc::from(Base64::encode_string(&bytes));
        attester.document = Some(Document {
            made: now,
            base64: Arc::clone(&base64),
        });
        Ok(base64)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

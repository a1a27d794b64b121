//! All artefacts of a job through KMS: one RSA key, one attestation document, kept-alive TLS.
//!
//! Each is decrypted under the config's key ARN, which KMS must name in its answer, and under the context that the job's
//! binding means. What comes out goes to the caller one by one, so no two plaintexts are longer in memory than they must.

use std::sync::Arc;

use control::answer::ItemCode;
use control::artefact::{self, Kind};
use control::config::DeploymentConfig;
use control::policy::ImagePolicy;
use control::provision::{Binding, Sealed};
use control::request::Credential;
use kmstool_rs::client::{Client, ClientError, Settings, World};
use kmstool_rs::credentials::{Credentials, CredentialsError};
use kmstool_rs::endpoint::{Endpoint, EndpointError, Region};
use kmstool_rs::key_id::KeyId;
use kmstool_rs::ops::Decrypt;
use kmstool_rs::request::{EncryptionAlgorithm, EncryptionContext, RequestError};
use kmstool_rs::retry::Policy;
use kmstool_rs::secret::Secret;
use kmstool_rs::service_error::Class;
use kmstool_rs::tls::{self, TlsError};
use kmstool_rs::transport::Times;
use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::code;

/// Up to so many artefacts one TLS session is enough.
const ONE_SESSION: usize = 256;
/// Sessions for more.
const SESSIONS: usize = 8;
/// Artefacts that are asked for before their answers are looked at.
const CHUNK: usize = 64;

/// Why nothing could be decrypted at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The credentials have no form that AWS gives.
    #[error("the credentials cannot be used")]
    Credentials(#[from] CredentialsError),
    /// The config's region.
    #[error("the region of the config cannot be used")]
    Endpoint(#[from] EndpointError),
    /// No roots in the image, or none in its policy.
    #[error("there is no CA to trust the KMS endpoint by")]
    Tls(#[from] TlsError),
    /// The client could not be made.
    #[error("the KMS client cannot be made")]
    Client(#[source] ClientError),
    /// The config's key ARN.
    #[error("the key ARN of the config cannot be used")]
    Key(#[source] RequestError),
    /// The module gave no document for the recipient key.
    #[error("the NSM attests no recipient key")]
    Nsm(#[source] ClientError),
}

/// What KMS's endpoint is trusted by: the image's roots, or only the test CA that the image policy names.
///
/// # Errors
/// [`TlsError`].
pub fn trust(policy: &ImagePolicy) -> Result<Arc<ClientConfig>, TlsError> {
    if policy.trust.kms_ca.is_empty() {
        return tls::from_system();
    }
    tls::from_certificates(policy.trust.kms_ca.iter().map(|der| decode(der.as_str())))
}

fn decode(base64: &str) -> Vec<u8> {
    use base64ct::Encoding as _;
    base64ct::Base64::decode_vec(base64).unwrap_or_default()
}

/// A client for so many artefacts.
///
/// # Errors
/// [`DecryptError`].
pub fn client(
    config: &DeploymentConfig,
    policy: &ImagePolicy,
    credential: &Credential,
    world: World,
    artefacts: usize,
) -> Result<Client, DecryptError> {
    let part = |text: &str| Secret::new(text.to_owned());
    let credentials = Credentials::new(
        part(credential.access_key_id()),
        part(credential.secret_access_key()),
        Some(part(credential.token())),
    )?;
    let settings = Settings {
        endpoint: Endpoint::standard(Region::new(config.fields().region.as_str())?),
        credentials,
        tls: trust(policy)?,
        sessions: if artefacts <= ONE_SESSION { 1 } else { SESSIONS },
        policy: Policy::DEFAULT,
        times: Times::DEFAULT,
    };
    Client::new(settings, world).map_err(DecryptError::Client)
}

/// Decrypts `artefacts` and gives each plaintext, by its number in the list, to `take`. What `take` or KMS refuses has a
/// code; `failed` hears of each call that KMS did not grant; after a failure that all share the rest is
/// [`ItemCode::Skipped`]. Stops when `late` says so.
///
/// # Errors
/// [`DecryptError::Key`], [`DecryptError::Nsm`].
pub async fn all(
    client: &Client,
    config: &DeploymentConfig,
    artefacts: &[Sealed],
    late: &dyn Fn() -> bool,
    failed: &mut dyn FnMut(&ClientError),
    take: &mut dyn FnMut(usize, Zeroizing<Vec<u8>>) -> Result<(), ItemCode>,
) -> Result<Vec<ItemCode>, DecryptError> {
    let key = KeyId::new(config.fields().kms_key_arn.as_str()).map_err(DecryptError::Key)?;
    let mut codes = vec![ItemCode::Skipped; artefacts.len()];
    let mut next = 0;
    while next < artefacts.len() && !late() {
        // The first goes alone: what is wrong for all is found with one call.
        let end = artefacts.len().min(if next == 0 { 1 } else { next + CHUNK });
        let chunk = artefacts.get(next..end).unwrap_or_default();
        let requests: Vec<_> = chunk.iter().map(|sealed| request(sealed, &key)).collect();
        let good: Vec<Decrypt> = requests.iter().flatten().cloned().collect();
        let mut answers = client.decrypt_batch(&good).await.into_iter();
        let mut hopeless = false;
        for (at, request) in (next..).zip(&requests) {
            let code = match (request, request.is_ok().then(|| answers.next()).flatten()) {
                (Err(code), _) => *code,
                (Ok(_), None) => ItemCode::KmsFailed,
                (Ok(_), Some(Err(error))) => {
                    if error.class() == Class::Nsm {
                        return Err(DecryptError::Nsm(error));
                    }
                    failed(&error);
                    hopeless |= code::is_for_all(&error);
                    code::of(&error)
                }
                (Ok(_), Some(Ok(decrypted))) => {
                    let plaintext = decrypted.plaintext.into_inner();
                    take(at, plaintext).err().unwrap_or(ItemCode::Ok)
                }
            };
            if let Some(place) = codes.get_mut(at) {
                *place = code;
            }
        }
        if hopeless {
            break;
        }
        next = end;
    }
    Ok(codes)
}

/// The call for one artefact.
fn request(sealed: &Sealed, key: &KeyId) -> Result<Decrypt, ItemCode> {
    let mut request = Decrypt::from_base64(sealed.ciphertext.as_str()).map_err(|_| ItemCode::BadBase64)?;
    request.key_id = Some(key.clone());
    request.algorithm = Some(EncryptionAlgorithm::SymmetricDefault);
    let pairs = match &sealed.binding {
        Binding::None {} => return Ok(request),
        Binding::Bound {
            stack,
            pubkey: Some(pubkey),
        } if sealed.kind == Kind::ValidatorKey => artefact::key_context(stack, pubkey),
        Binding::Bound { stack, .. } => artefact::context(stack, sealed.kind),
    };
    request.context = EncryptionContext::new(pairs).map_err(|_| ItemCode::KmsFailed)?;
    Ok(request)
}

//! The agent's own client certificate, made anew with each `init`: it is listed beside the operator's clients, or vouched by
//! nobody where any client may come. The private key goes to the agent and into the state file, so that it can be told again.

use control::provision::{HEALTH_CLIENT_NAME, HealthClient};
use control::text::Sha256Hex;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use zeroize::Zeroizing;

use crate::certificate;
use crate::payload::base64;

/// It could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the client certificate of the health check cannot be made")]
pub struct HealthError(#[source] Option<rcgen::Error>);

/// The client and the fingerprint that the signer must list.
///
/// # Errors
/// [`HealthError`].
pub fn make() -> Result<(HealthClient, Sha256Hex), HealthError> {
    let failed = |error| HealthError(Some(error));
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, HEALTH_CLIENT_NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    // Its dates are the library's widest: it lives as long as the enclave, and only its fingerprint is compared.
    let der = params.self_signed(&key).map_err(failed)?;
    let none = |_| HealthError(None);
    let private_key = base64(&Zeroizing::new(key.serialize_der()));
    let client = HealthClient {
        certificate: certificate::text(der.der()).map_err(none)?,
        private_key,
    };
    Ok((client, certificate::sha256(der.der()).map_err(none)?))
}

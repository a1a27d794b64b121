//! Who may use the signer: a list of clients by name and certificate, an authority of theirs, or both, as the config demands.
//!
//! | config | list | authority |
//! |---|---|---|
//! | `known-clients` | at least one | none |
//! | `client-ca` | none | must be there |
//! | `known-clients-or-ca` | may be there | must be there |
//! | `any-client` | the artefact is refused | |

use std::collections::BTreeMap;
use std::time::SystemTime;

use control::answer::ItemCode;
use control::config::ClientAuthentication;
use control::provision::HEALTH_CLIENT_NAME;
use control::text::Sha256Hex;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::{read, version};
use crate::certificate::Read;

/// Longest name of a client, bytes: that of a common name.
const MAX_NAME_BYTES: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: u64,
    #[serde(default)]
    known_clients: Vec<RawClient>,
    #[serde(default)]
    ca_pem: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawClient {
    name: String,
    sha256: Sha256Hex,
}

/// The clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clients {
    /// Version of the artefact.
    pub version: u64,
    /// By common name: SHA-256 of the certificate.
    pub known: BTreeMap<String, Sha256Hex>,
    /// Certificates of authorities, DER.
    pub authorities: Vec<Vec<u8>>,
}

/// Reads and checks.
///
/// # Errors
/// [`ItemCode::Payload`]: not of the form, or not what the config demands. [`ItemCode::Duplicate`]: a name twice.
/// [`ItemCode::Certificate`], [`ItemCode::CertificateDates`]: an authority's.
pub fn clients(
    plaintext: &[u8],
    demanded: ClientAuthentication,
    now: SystemTime,
) -> Result<Clients, ItemCode> {
    let raw: Raw = read(plaintext)?;
    let (listed, vouched) = (!raw.known_clients.is_empty(), raw.ca_pem.is_some());
    let fits = match demanded {
        ClientAuthentication::KnownClients => listed && !vouched,
        ClientAuthentication::ClientCa => vouched && !listed,
        ClientAuthentication::KnownClientsOrCa => vouched,
        ClientAuthentication::AnyClient => false,
    };
    if !fits {
        return Err(ItemCode::Payload);
    }
    let mut known = BTreeMap::new();
    for client in raw.known_clients {
        if !is_name(&client.name) {
            return Err(ItemCode::Payload);
        }
        if known.insert(client.name, client.sha256).is_some() {
            return Err(ItemCode::Duplicate);
        }
    }
    let authorities = raw.ca_pem.map_or(Ok(Vec::new()), |pem| authorities(&pem, now))?;
    Ok(Clients {
        version: version(raw.version)?,
        known,
        authorities,
    })
}

/// A word that can stand in the signer's file, is no comment there, and is not the agent's own.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name.starts_with('#')
        && !name.chars().any(|c| c.is_whitespace() || c.is_control())
        && name != HEALTH_CLIENT_NAME
}

fn authorities(pem: &str, now: SystemTime) -> Result<Vec<Vec<u8>>, ItemCode> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|_| ItemCode::Certificate)?;
    if found.is_empty() {
        return Err(ItemCode::Certificate);
    }
    for der in &found {
        let certificate = Read::of(der)?;
        if !certificate.is_authority() {
            return Err(ItemCode::Certificate);
        }
        certificate.valid_at(now)?;
    }
    Ok(found.into_iter().map(|der| der.to_vec()).collect())
}

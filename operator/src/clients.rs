//! `clients set`: who may use the signer.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use control::artefact::{Kind, context};
use control::config::ClientAuthentication;
use control::provision::HEALTH_CLIENT_NAME;
use control::text::StackId;
use serde::Serialize;

use crate::payload::{Clients, KnownClient, Plaintext};
use crate::seal::Sealer;
use crate::tables::tls::{Change, TlsItem};
use crate::tls::certificate::{Leaf, fingerprint};
use crate::tls::import::certificates;

/// What was written, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Nothing was written.
    pub dry_run: bool,
    /// Who may use the signer.
    pub clients: Clients,
}

/// Reads the certificates. The version is set by [`store`].
///
/// # Errors
/// What is wrong with a file, or that the list is not what the config asks for.
pub fn read(
    files: &[PathBuf],
    ca: Option<&PathBuf>,
    mode: ClientAuthentication,
    now_unix_s: u64,
) -> anyhow::Result<Clients> {
    let mut known_clients = Vec::new();
    for file in files {
        for der in certificates(file)? {
            known_clients.push(known(&der, now_unix_s).with_context(|| file.display().to_string())?);
        }
    }
    known_clients.sort();
    for pair in known_clients.windows(2) {
        if let [one, other] = pair
            && one.name == other.name
        {
            bail!(
                "two certificates have the common name {:?}; the signer would know only one of them",
                one.name
            );
        }
    }
    let ca_pem = ca
        .map(|file| authorities(file, now_unix_s).with_context(|| file.display().to_string()))
        .transpose()?;
    let (listed, vouched) = (!known_clients.is_empty(), ca_pem.is_some());
    let (fits, needed) = match mode {
        ClientAuthentication::KnownClients => (listed && !vouched, "--client and no --ca"),
        ClientAuthentication::ClientCa => (vouched && !listed, "--ca and no --client"),
        ClientAuthentication::KnownClientsOrCa => (vouched, "--ca, and may have --client"),
        ClientAuthentication::AnyClient => bail!("the config says any-client: no list is used"),
    };
    ensure!(fits, "client_authentication of the config needs {needed}");
    Ok(Clients {
        version: 0,
        known_clients,
        ca_pem,
    })
}

fn known(der: &[u8], now_unix_s: u64) -> anyhow::Result<KnownClient> {
    let leaf = Leaf::read(der)?;
    leaf.check_dates(now_unix_s)?;
    let name = leaf
        .common_name
        .context("it has no common name in its subject; a client is known by it")?;
    // The signer's list has a client a line, name and fingerprint parted by white space.
    let plain = !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_graphic())
        && !name.starts_with('#');
    ensure!(
        plain,
        "its common name {name:?} has spaces or other characters that a list of clients cannot have"
    );
    ensure!(
        name != HEALTH_CLIENT_NAME,
        "the common name {HEALTH_CLIENT_NAME} is kept for the enclave's own health checks"
    );
    Ok(KnownClient {
        name,
        sha256: fingerprint(der),
    })
}

fn authorities(file: &Path, now_unix_s: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    for der in certificates(file)? {
        let leaf = Leaf::read(&der)?;
        leaf.check_dates(now_unix_s)?;
        ensure!(
            leaf.authority,
            "{:?} is not the certificate of an authority",
            leaf.common_name.unwrap_or_default()
        );
        text.push_str(&::certificate::pem(&der));
    }
    Ok(text)
}

/// Encrypts and writes the list.
///
/// # Errors
/// A list that is too long for KMS; what KMS and DynamoDB say.
pub async fn store(
    mut clients: Clients,
    item: &TlsItem,
    sealer: &Sealer,
    stack: &StackId,
    (least, wanted): (u64, Option<u64>),
    dry_run: bool,
) -> anyhow::Result<Written> {
    ensure!(
        item.has(Kind::TlsKey),
        "the table has no TLS key yet; `tls create` or `tls import` comes first"
    );
    item.check_stack(stack, Kind::Clients)?;
    clients.version = item.next_version(Kind::Clients, least, wanted)?;
    let plaintext = Plaintext::clients(&clients)?;
    if !dry_run {
        let change = Change {
            kind: Kind::Clients,
            ciphertext: sealer.seal(&plaintext, &context(stack, Kind::Clients)).await?,
            version: clients.version,
            stack: stack.clone(),
            certificate_b64: None,
        };
        item.write(&change).await?;
    }
    Ok(Written { dry_run, clients })
}

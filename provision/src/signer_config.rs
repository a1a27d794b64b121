//! The signer's configuration file: constant but for what the deployment config says. Both signers read the same keys.
//!
//! Source: Web3Signer 25.9.1, `--config-file`: global options by their long names, those of eth2 mode after `eth2.`. What only
//! `web3signer-rs` has is written for it alone.

use std::path::Path;

use control::config::{ClientAuthentication, DeploymentConfig, SlashingStore};
use control::policy::Distribution;
use kmstool_rs::tls::SYSTEM_ROOTS;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::generation::names;
use crate::payload::store::Login;

/// Password of the truststore of upstream's client authority. The store holds no secret; Java wants a password.
///
/// The image starts Java with `-Djavax.net.ssl.trustStore=/run/signer/current/client-ca.p12`, its type and this password.
pub const TRUSTSTORE_PASSWORD: &str = "client-ca";

/// Roots of AWS's endpoints: the image's own file, which is measured. The signer's built-in ones are the whole web's.
const AWS_ROOTS: &str = SYSTEM_ROOTS[0];

/// The journal of the memory store, beside the generations: a change of keys must not forget what was signed.
pub const JOURNAL: &str = "slashing/journal";

/// The image's signer cannot do what the config asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slashing store \"{store}\" is none that the image's signer has")]
pub struct Unsupported {
    /// The store.
    pub store: &'static str,
}

/// Whether this signer has this store.
///
/// # Errors
/// [`Unsupported`].
pub const fn supports(distribution: Distribution, store: &SlashingStore) -> Result<(), Unsupported> {
    match (distribution, store) {
        (Distribution::Native, _) | (Distribution::Consensys, SlashingStore::Postgresql { .. }) => Ok(()),
        (Distribution::Consensys, SlashingStore::Dynamodb { .. }) => Err(Unsupported { store: "dynamodb" }),
        (Distribution::Consensys, SlashingStore::Memory {}) => Err(Unsupported { store: "memory" }),
    }
}

/// The file. `root` is the folder of generations, `current` what names the one in use.
///
/// # Errors
/// [`Unsupported`].
pub fn write(
    distribution: Distribution,
    config: &DeploymentConfig,
    root: &Path,
    current: &Path,
    login: Option<&Login>,
) -> Result<Zeroizing<Vec<u8>>, Unsupported> {
    let fields = config.fields();
    supports(distribution, &fields.slashing_store)?;
    let native = distribution == Distribution::Native;
    let file = |name: &str| current.join(name).display().to_string();
    // Longer than any configuration: a buffer that grows leaves copies of the password behind.
    let mut lines = Lines(Zeroizing::new(Vec::with_capacity(32 * 1024)));
    lines.add("key-config-path", &file(names::KEYS_FOLDER));
    lines.add("logging", "INFO");
    lines.add("http-listen-host", "127.0.0.1");
    lines.add("http-listen-port", &9000);
    // Clients come through a tunnel and say any name; that they may come is decided by their certificates.
    lines.add("http-host-allowlist", "*");
    lines.add("tls-keystore-file", &file(names::TLS));
    lines.add("tls-keystore-password-file", &file(names::TLS_PASSWORD));
    let authority = matches!(
        fields.client_authentication,
        ClientAuthentication::ClientCa | ClientAuthentication::KnownClientsOrCa
    );
    if fields.client_authentication == ClientAuthentication::AnyClient {
        lines.add("tls-allow-any-client", &true);
    } else {
        lines.add("tls-known-clients-file", &file(names::KNOWN_CLIENTS));
    }
    if authority {
        lines.add("tls-allow-ca-clients", &true);
        if native {
            lines.add("tls-client-ca-file", &file(names::CLIENT_CA));
        }
    }
    lines.add("eth2.network", fields.network.as_str());
    lines.add("eth2.slashing-protection-enabled", &true);
    match &fields.slashing_store {
        SlashingStore::Dynamodb { table_arn, table_id } => {
            lines.add("eth2.dynamodb-slashing-table-arn", table_arn.as_str());
            lines.add("eth2.dynamodb-slashing-table-id", table_id.as_str());
            lines.add("eth2.dynamodb-slashing-ca-file", AWS_ROOTS);
            lines.add("eth2.dynamodb-slashing-credential-file", &file(names::STORE));
            lines.add("eth2.dynamodb-slashing-artefacts-file", &file(names::VERSIONS));
        }
        SlashingStore::Postgresql { host, port, database } => {
            let roots = file(names::STORE_CA);
            let url =
                format!("jdbc:postgresql://{host}:{port}/{database}?sslmode=verify-full&sslrootcert={roots}");
            lines.add("eth2.slashing-protection-db-url", &url);
            if let Some(login) = login {
                lines.add("eth2.slashing-protection-db-username", &login.username);
                lines.add("eth2.slashing-protection-db-password", login.password.as_str());
            }
        }
        SlashingStore::Memory {} => {
            lines.add(
                "eth2.memory-slashing-journal",
                &root.join(JOURNAL).display().to_string(),
            );
        }
    }
    Ok(lines.0)
}

struct Lines(Zeroizing<Vec<u8>>);

impl Lines {
    /// Texts stand in double quotes, which YAML reads as JSON does.
    fn add<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b": ");
        // Texts, numbers and truth values into memory: this cannot fail.
        serde_json::to_writer(&mut *self.0, value).unwrap_or_default();
        self.0.push(b'\n');
    }
}

//! The files of one generation, by their names. A job takes those that are there, changes some, and writes all of them anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use control::answer::ItemCode;
use control::artefact::Kind;
use control::config::{ArtefactVersions, ClientAuthentication, DeploymentConfig};
use control::policy::Distribution;
use control::provision::{HEALTH_CLIENT_NAME, State};
use control::text::PublicKey;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry};
use zeroize::Zeroizing;

use crate::certificate::sha256;
use crate::keys_file::{self, Keys, KeysFileError};
use crate::payload::clients::Clients;
use crate::payload::store::{Credential, Versioned};
use crate::payload::tls::Tls;
use crate::signer_config::{self, TRUSTSTORE_PASSWORD, Unsupported};

/// Names of the files.
pub mod names {
    /// The signer's configuration.
    pub const CONFIG: &str = "config.yaml";
    /// The folder of [`KEYS`].
    pub const KEYS_FOLDER: &str = "keys";
    /// All keys. Absent when there are none.
    pub const KEYS: &str = "keys/keys.yaml";
    /// PKCS#12.
    pub const TLS: &str = "tls.p12";
    /// Its password, one line.
    pub const TLS_PASSWORD: &str = "tls.password";
    /// A client a line: name and fingerprint.
    pub const KNOWN_CLIENTS: &str = "known-clients";
    /// Authorities of clients, PEM; for the native signer.
    pub const CLIENT_CA: &str = "client-ca.pem";
    /// The same as a truststore; for upstream.
    pub const CLIENT_CA_STORE: &str = "client-ca.p12";
    /// Credential of the `DynamoDB` table.
    pub const STORE: &str = "store.json";
    /// Authorities of the database's server, PEM.
    pub const STORE_CA: &str = "store-ca.pem";
    /// Versions of the artefacts in use, which the native signer compares with its table.
    pub const VERSIONS: &str = "versions.json";
    /// What the agent is told: [`control::provision::State`].
    pub const STATE: &str = "state.json";

    /// All of them. Nothing else is read or written.
    pub const ALL: [&str; 11] = [
        CLIENT_CA,
        CLIENT_CA_STORE,
        CONFIG,
        KEYS,
        KNOWN_CLIENTS,
        STATE,
        STORE,
        STORE_CA,
        TLS,
        TLS_PASSWORD,
        VERSIONS,
    ];
}

/// Files by their name.
pub type Files = BTreeMap<&'static str, Zeroizing<Vec<u8>>>;

/// A generation in memory.
pub struct Generation {
    files: Files,
    keys: Keys,
    state: State,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Why files are no generation, or could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerationError {
    /// The state file.
    #[error("the state file is not as it was written")]
    State,
    /// The file of keys.
    #[error(transparent)]
    Keys(#[from] KeysFileError),
    /// Keys and state do not belong together.
    #[error("the state file does not name the keys that are there")]
    Mixed,
    /// The signer has no such store.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A truststore could not be made.
    #[error("the authorities of clients cannot be written")]
    Authorities,
}

/// What `init` starts with.
#[derive(Debug)]
pub struct First {
    /// The config.
    pub config: DeploymentConfig,
    /// The signer.
    pub distribution: Distribution,
    /// The agent's client.
    pub health: control::provision::HealthClient,
    /// The TLS key.
    pub tls: Tls,
    /// Absent for any client.
    pub clients: Option<Clients>,
    /// Absent for the memory store.
    pub store: Option<Versioned>,
}

impl Generation {
    /// The files of a new enclave, without keys. `root` is the folder of generations, `current` names the one in use.
    ///
    /// # Errors
    /// [`GenerationError::Unsupported`], [`GenerationError::Authorities`].
    pub fn first(first: First, root: &Path, current: &Path) -> Result<Self, GenerationError> {
        let mut files = Files::new();
        let login = match &first.store {
            Some(Versioned {
                credential: Credential::Postgresql(login),
                ..
            }) => Some(login),
            _ => None,
        };
        let config = signer_config::write(first.distribution, &first.config, root, current, login)?;
        files.insert(names::CONFIG, config);
        if let Some(login) = login {
            files.insert(
                names::STORE_CA,
                Zeroizing::new(login.authorities.clone().into_bytes()),
            );
        }
        let versions = ArtefactVersions {
            tls_key: first.tls.version,
            clients: first.clients.as_ref().map_or(0, |clients| clients.version),
            slashing_credential: first.store.as_ref().map_or(0, |store| store.version),
        };
        if let Some(Versioned {
            credential: Credential::Dynamodb(file),
            ..
        }) = first.store
        {
            files.insert(names::STORE, file);
        }
        files.insert(names::TLS, first.tls.pkcs12);
        files.insert(names::TLS_PASSWORD, first.tls.password);
        let state = State {
            config: first.config,
            public_keys: Vec::new(),
            tls: first.tls.certificate,
            artefact_versions: versions,
            health: first.health,
        };
        let mut generation = Self {
            files,
            keys: Keys::new(),
            state,
        };
        generation.write_clients(&first.clients.unwrap_or_default(), first.distribution)?;
        Ok(generation)
    }

    /// From files that were read.
    ///
    /// # Errors
    /// [`GenerationError::State`], [`GenerationError::Keys`], [`GenerationError::Mixed`].
    pub fn read(files: Files) -> Result<Self, GenerationError> {
        let state = files.get(names::STATE).ok_or(GenerationError::State)?;
        let state: State = serde_json::from_slice(state).map_err(|_| GenerationError::State)?;
        let keys = files
            .get(names::KEYS)
            .map_or(Ok(Keys::new()), |file| keys_file::read(file))?;
        let named = state.public_keys.iter().map(PublicKey::as_str);
        if !named.eq(keys.keys().map(ToString::to_string)) {
            return Err(GenerationError::Mixed);
        }
        Ok(Self { files, keys, state })
    }

    /// What the agent is told.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The keys, to change them.
    pub const fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }

    /// Replaces the clients.
    ///
    /// # Errors
    /// [`GenerationError::Authorities`].
    pub fn set_clients(
        &mut self,
        clients: &Clients,
        distribution: Distribution,
    ) -> Result<(), GenerationError> {
        self.state.artefact_versions.clients = clients.version;
        self.write_clients(clients, distribution)
    }

    /// All files, the state and the keys as they are now.
    ///
    /// # Errors
    /// [`GenerationError::State`], which cannot be.
    pub fn into_files(mut self) -> Result<(Files, State), GenerationError> {
        let name = |key: &keystore::PublicKey| PublicKey::try_from(key.to_string());
        let public_keys: Result<Vec<_>, _> = self.keys.keys().map(name).collect();
        self.state.public_keys = public_keys.map_err(|_| GenerationError::State)?;
        let mut text = Zeroizing::new(Vec::with_capacity(64 * 1024 + 128 * self.keys.len()));
        serde_json::to_writer(&mut *text, &self.state).map_err(|_| GenerationError::State)?;
        self.files.insert(names::STATE, text);
        self.files.remove(names::KEYS);
        if let Some(file) = keys_file::write(&self.keys) {
            self.files.insert(names::KEYS, file);
        }
        let versions = self.state.artefact_versions;
        let versions = BTreeMap::from([
            (Kind::TlsKey.name(), versions.tls_key),
            (Kind::Clients.name(), versions.clients),
            (Kind::SlashingCredential.name(), versions.slashing_credential),
        ]);
        let versions = serde_json::to_vec(&versions).map_err(|_| GenerationError::State)?;
        self.files.insert(names::VERSIONS, Zeroizing::new(versions));
        Ok((self.files, self.state))
    }

    fn write_clients(
        &mut self,
        clients: &Clients,
        distribution: Distribution,
    ) -> Result<(), GenerationError> {
        if self.state.config.fields().client_authentication == ClientAuthentication::AnyClient {
            return Ok(());
        }
        let health = self.health_fingerprint().map_err(|_| GenerationError::State)?;
        let mut list = format!("{HEALTH_CLIENT_NAME} {health}\n");
        for (name, fingerprint) in &clients.known {
            // Into memory: this cannot fail.
            writeln!(list, "{name} {fingerprint}").unwrap_or_default();
        }
        self.files
            .insert(names::KNOWN_CLIENTS, Zeroizing::new(list.into_bytes()));
        if clients.authorities.is_empty() {
            return Ok(());
        }
        match distribution {
            Distribution::Native => {
                let pem: String = clients
                    .authorities
                    .iter()
                    .map(|der| ::certificate::pem(der))
                    .collect();
                self.files
                    .insert(names::CLIENT_CA, Zeroizing::new(pem.into_bytes()));
            }
            Distribution::Consensys => {
                let store = truststore(&clients.authorities).ok_or(GenerationError::Authorities)?;
                self.files.insert(names::CLIENT_CA_STORE, Zeroizing::new(store));
            }
        }
        Ok(())
    }

    fn health_fingerprint(&self) -> Result<control::text::Sha256Hex, ItemCode> {
        let der =
            Base64::decode_vec(self.state.health.certificate.as_str()).map_err(|_| ItemCode::Certificate)?;
        sha256(&der)
    }
}

/// Java's: certificates that are marked as trusted.
fn truststore(authorities: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut store = KeyStore::new();
    for (number, der) in (1..).zip(authorities) {
        let certificate = Certificate::from_der(der).ok()?;
        store.add_entry(
            &format!("client-ca-{number}"),
            KeyStoreEntry::Certificate(certificate),
        );
    }
    store.writer(TRUSTSTORE_PASSWORD).write().ok()
}

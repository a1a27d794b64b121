//! Slashing protection in Amazon DynamoDB: one item per validator, one conditional write per decision.
//!
//! The condition of the write *is* the rule (`permit`): DynamoDB evaluates it and the write as one step, so any number of
//! signers may share the table. What is read is read consistently. What must hold:
//!
//! - the table is the configured one, by ARN and by `TableId`: a table that was deleted and made again, or restored from a
//!   backup, has another id. It is compared before the first use and at every health query; after a mismatch nothing is
//!   signed until a restart;
//! - an absent item is a refusal. Only the operator's import makes items (`admin`);
//! - `enabled = false` never signs, and no signer sets it back;
//! - the genesis root comes from the network.
//!
//! Retries: the SDK sends a write again when it does not learn what became of it. If the first try had succeeded, the item
//! then holds this very duty and root, which the condition allows again. If another signer went on in between, the condition
//! fails and the duty is refused although it is on record: a missed duty, never two.
//!
//! Layout of the items: `../SPEC.md`, in code `slashing_table::item`. [`arn`] names table and host, [`credentials`] is the file with the credential,
//! `artefact` the records that provisioning needs.

pub mod arn;
pub mod credentials;

mod admin;
mod artefact;
mod permit;
mod records;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, IdentityCache, Region};
use aws_sdk_dynamodb::types::{KeyType, ScalarAttributeType, TableDescription, TableStatus};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use slashing_table::item::{self, ItemError};

use self::arn::TableArn;
use self::credentials::{CredentialFile, CredentialFileError};
use super::health::{Health, HealthTimes};
use super::trust::{Roots, TrustError};
use crate::duty::Root;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// Longest wait for one answer.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Longest wait for all tries of one request. A vote is worth little after four seconds.
const ALL_ATTEMPTS: Duration = Duration::from_secs(5);
/// Tries of one request.
const ATTEMPTS: u32 = 3;

/// What the DynamoDB store needs.
#[derive(Clone, Debug)]
pub struct DynamoDbConfig {
    /// The table.
    pub table: TableArn,
    /// Its `TableId`, as `aws dynamodb describe-table` prints it.
    pub table_id: String,
    /// The file with the credential; see [`credentials`].
    pub credential_file: PathBuf,
    /// PEM file of the authorities of the endpoint; the web's roots without it.
    pub ca_file: Option<PathBuf>,
    /// Another endpoint than the region's: `https://host[:port]`, or `http://` on the loopback interface.
    pub endpoint: Option<String>,
    /// The network's `genesis_validators_root`.
    pub genesis_validators_root: Root,
    /// When to ask whether the table is still there and still the same.
    pub health: HealthTimes,
}

/// Why DynamoDB could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DynamoDbError {
    /// No credential.
    #[error(transparent)]
    Credential(#[from] CredentialFileError),
    /// No authorities.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The endpoint is no URL that may be used.
    #[error("endpoint {found:?} is not https://HOST[:PORT] (http is for the loopback interface only)")]
    Endpoint {
        /// The text.
        found: String,
    },
    /// A request failed, was refused or not answered in time.
    #[error("{operation} of {what} failed")]
    Request {
        /// The operation of the API.
        operation: &'static str,
        /// The item or table.
        what: String,
        /// What the SDK says.
        #[source]
        source: Box<aws_sdk_dynamodb::Error>,
    },
    /// It is not the table that was configured.
    #[error(
        "table {table} has {what} {actual:?}, expected {expected:?}: it is not the table of this installation, or it was made anew or restored. Nothing is signed"
    )]
    OtherTable {
        /// The ARN.
        table: String,
        /// What differs.
        what: &'static str,
        /// From the configuration.
        expected: String,
        /// From the service; empty where it says nothing.
        actual: String,
    },
    /// The table is of another chain.
    #[error(
        "{id} is for genesis validators root 0x{}, the network has 0x{}",
        hex::encode(actual),
        hex::encode(expected)
    )]
    OtherChain {
        /// The item.
        id: String,
        /// The network's.
        expected: Root,
        /// The item's.
        actual: Root,
    },
    /// An item is not laid out as `SPEC.md` of `slashing-table` says.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// The service refused a condition that holds for the item it returned.
    #[error("the condition of {id} failed and holds at once")]
    Inconsistent {
        /// The item.
        id: String,
    },
    /// Others changed an item again and again.
    #[error("{id} changed at every try; run the command again when fewer signers are active")]
    Contended {
        /// The item.
        id: String,
    },
    /// An item that must be there is not.
    #[error("the table has no item {id}; initialise it with an interchange file first")]
    Absent {
        /// The item.
        id: String,
    },
    /// An artefact that is older than one seen before.
    #[error("artefact {kind} has version {version}, but {highest} was seen")]
    OldArtefact {
        /// Kind of artefact.
        kind: String,
        /// Offered.
        version: u64,
        /// On record.
        highest: u64,
    },
}

/// The DynamoDB store.
pub struct DynamoDb {
    client: Client,
    table: TableArn,
    table_id: String,
    genesis_validators_root: Root,
    health_times: HealthTimes,
    pub(super) health: Health,
    /// Set when another table was found under the name; never unset.
    other_table: AtomicBool,
}

impl DynamoDb {
    /// Connects, and checks that the table is the configured one and of the network's chain.
    ///
    /// # Errors
    /// [`DynamoDbError`].
    pub async fn open(config: DynamoDbConfig) -> Result<Self, DynamoDbError> {
        let store = Self {
            client: client(&config)?,
            table: config.table,
            table_id: config.table_id,
            genesis_validators_root: config.genesis_validators_root,
            health_times: config.health,
            health: Health::new(),
            other_table: AtomicBool::new(false),
        };
        store.check().await?;
        store.installation().await?;
        Ok(store)
    }

    /// The chain that the table is for.
    pub(super) const fn genesis_validators_root(&self) -> Root {
        self.genesis_validators_root
    }

    /// Compares the table with the configuration. Another table is remembered: nothing is permitted from then on.
    pub(super) async fn check(&self) -> Result<(), DynamoDbError> {
        let described = self
            .client
            .describe_table()
            .table_name(self.table.as_str())
            .send()
            .await
            .map_err(|error| request("DescribeTable", self.table.as_str(), error))?;
        let table = described.table();
        let same = |what, expected: &str, actual: Option<&str>| {
            let actual = actual.unwrap_or_default();
            if expected == actual {
                return Ok(());
            }
            Err(DynamoDbError::OtherTable {
                table: self.table.to_string(),
                what,
                expected: expected.to_owned(),
                actual: actual.to_owned(),
            })
        };
        let compared = same("TableId", &self.table_id, table.and_then(|t| t.table_id()))
            .and_then(|()| same("TableArn", self.table.as_str(), table.and_then(|t| t.table_arn())))
            .and_then(|()| {
                let keys = table.map(TableDescription::key_schema).unwrap_or_default();
                let actual = match keys {
                    [key] if *key.key_type() == KeyType::Hash => key.attribute_name(),
                    _ => "other",
                };
                same("key", item::ID, Some(actual))
            })
            .and_then(|()| {
                let types = table
                    .map(TableDescription::attribute_definitions)
                    .unwrap_or_default();
                let of_key = types.iter().find(|a| a.attribute_name() == item::ID);
                let is_text = of_key.is_some_and(|a| *a.attribute_type() == ScalarAttributeType::S);
                same("type of the key", "S", is_text.then_some("S"))
            });
        if compared.is_err() {
            self.other_table.store(true, Ordering::Release);
        }
        compared?;
        let status = table.and_then(|t| t.table_status());
        match status {
            Some(TableStatus::Active | TableStatus::Updating) => Ok(()),
            _ => same(
                "status",
                "ACTIVE",
                Some(status.map_or("unknown", |status| status.as_str())),
            ),
        }
    }

    /// Queries the table for ever, and says what changed.
    pub(super) async fn watch(&self, observer: &dyn super::observe::Observer) {
        loop {
            let answer = tokio::time::timeout(self.health_times.timeout, self.check()).await;
            let problem = match answer {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(super::observe::chain_of(&error)),
                Err(_) => Some("no answer in time".to_owned()),
            };
            let healthy = problem.is_none() && !self.other_table.load(Ordering::Acquire);
            if self.health.set(healthy) != healthy {
                observer.noted(&problem.map_or_else(
                    || "the table of slashing protection answers again".to_owned(),
                    |problem| {
                        format!("the table of slashing protection does not answer as it must: {problem}")
                    },
                ));
            }
            tokio::time::sleep(self.health_times.interval).await;
        }
    }

    /// An error if another table was found under the name.
    fn same_table(&self) -> Result<(), DynamoDbError> {
        if self.other_table.load(Ordering::Acquire) {
            return Err(DynamoDbError::OtherTable {
                table: self.table.to_string(),
                what: "TableId at an earlier query",
                expected: self.table_id.clone(),
                actual: String::new(),
            });
        }
        Ok(())
    }
}

impl fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDb")
            .field("table", &self.table)
            .field("table_id", &self.table_id)
            .finish_non_exhaustive()
    }
}

/// A client that takes nothing from its surroundings: host, region, credential, authorities and times are given.
fn client(config: &DynamoDbConfig) -> Result<Client, DynamoDbError> {
    let endpoint = match &config.endpoint {
        None => config.table.endpoint(),
        Some(text) if is_endpoint(text) => text.clone(),
        Some(text) => return Err(DynamoDbError::Endpoint { found: text.clone() }),
    };
    let roots = Roots::load(config.ca_file.as_deref())?;
    let trust = TrustStore::empty().with_pem_certificate(roots.to_pem());
    let tls = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|_| {
            TrustError::Setup(rustls::Error::General(
                "the HTTP client refused the roots".to_owned(),
            ))
        })?;
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(tls)
        .build_https();
    let times = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(ALL_ATTEMPTS)
        .build();
    let settings = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(config.table.region().to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(CredentialFile::open(&config.credential_file)?)
        // The file is the cache: a replaced credential counts at once.
        .identity_cache(IdentityCache::no_cache())
        .http_client(http)
        .timeout_config(times)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .build();
    Ok(Client::from_conf(settings))
}

/// `https://host[:port]`, or the same with `http` for this machine itself.
fn is_endpoint(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else {
        return false;
    };
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let loopback = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match uri.scheme_str() {
        Some("https") => bare && uri.host().is_some_and(|host| !host.is_empty()),
        Some("http") => bare && loopback,
        _ => false,
    }
}

/// Wraps what the SDK says about a request.
fn request<E>(operation: &'static str, what: &str, error: E) -> DynamoDbError
where
    aws_sdk_dynamodb::Error: From<E>,
{
    DynamoDbError::Request {
        operation,
        what: what.to_owned(),
        source: Box::new(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_https_or_this_machine() {
        let good = [
            "https://dynamodb.eu-central-1.amazonaws.com",
            "https://10.0.0.1:8443/",
            "http://127.0.0.1:5000",
            "http://localhost:5000/",
            "http://[::1]:5000",
        ];
        for good in good {
            assert!(is_endpoint(good), "{good}");
        }
        let bad = [
            "",
            "dynamodb.eu-central-1.amazonaws.com",
            "http://dynamodb.eu-central-1.amazonaws.com",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example:1",
            "https://host/path",
            "https://host/?x",
            "ftp://127.0.0.1",
            "https://",
        ];
        for bad in bad {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }
}

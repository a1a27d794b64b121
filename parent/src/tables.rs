//! The two DynamoDB tables of artefacts, as the published guidance has them, with three columns more.
//!
//! ```text
//! TLS table         key_id (N or S)                          encrypted_tls_key_b64, cert_pem (base64 of the PEM)
//!                   ours, each may be absent                 encrypted_clients_b64, encrypted_slashing_credential_b64,
//!                                                            web3signer_uuid (stack of these artefacts' encryption context)
//! validator table   web3signer_uuid (S), pubkey (S)          encrypted_key_password_mnemonic_b64, active (BOOL or "true"/"false")
//! ```
//! All pages are read, consistently. Items that are not active are left out. Nothing of an item is trusted: the
//! enclave decrypts only what was encrypted for it.

pub mod item;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_http_client::tls;
use control::text::StackId;

use crate::config::Tables;
use crate::imds::Temporary;
use item::{Item, ItemError, KeyRow, TlsRow};

/// Time for one request with its retries.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most pages that are read: more than [`control::MAX_KEYS`] keys cannot be used anyway.
const MAX_PAGES: usize = 16_384;

/// What the tables hold for this enclave.
#[derive(Clone, Debug)]
pub struct Artefacts {
    /// The TLS key and what belongs to it.
    pub tls: TlsRow,
    /// Active validator keys, by stack and public key.
    pub keys: Vec<KeyRow>,
    /// Items that are not active.
    pub inactive: usize,
}

/// Why there are no artefacts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TablesError {
    /// DynamoDB refused or could not be reached.
    #[error("cannot read table {table}: {error}")]
    Service {
        /// Its name.
        table: String,
        /// What the SDK says.
        error: String,
    },
    /// Not in time.
    #[error("table {table} does not answer within 30 s")]
    Late {
        /// Its name.
        table: String,
    },
    /// The TLS key is not there.
    #[error("table {table} has no item with key_id {key_id}; create one with `nitro-operator tls create`")]
    NoTlsKey {
        /// Its name.
        table: String,
        /// What was looked for.
        key_id: String,
    },
    /// There is nothing to sign with.
    #[error("table {table} has no active key for the configured web3signer_uuids ({inactive} inactive)")]
    NoKeys {
        /// Its name.
        table: String,
        /// Items that are not active.
        inactive: usize,
    },
    /// An item is not what it should be.
    #[error("table {table}: {error}")]
    Item {
        /// Its name.
        table: String,
        /// Which, and why.
        error: ItemError,
    },
    /// More pages than all keys of an enclave can need.
    #[error("table {table} has more than {MAX_PAGES} pages for one stack")]
    TooManyPages {
        /// Its name.
        table: String,
    },
}

/// Reads both tables with these credentials.
///
/// # Errors
/// [`TablesError`], by its variants.
pub async fn read(tables: &Tables, credentials: &Temporary) -> Result<Artefacts, TablesError> {
    let client = client(tables, credentials);
    let tls = tls_row(&client, tables).await?;
    let (mut keys, mut inactive) = (Vec::new(), 0);
    for stack in &tables.web3signer_uuids {
        inactive += stack_keys(&client, tables, stack, &mut keys).await?;
    }
    keys.sort_by(|a: &KeyRow, b| (&a.stack, &a.pubkey).cmp(&(&b.stack, &b.pubkey)));
    if keys.is_empty() {
        return Err(TablesError::NoKeys {
            table: tables.validators.clone(),
            inactive,
        });
    }
    Ok(Artefacts { tls, keys, inactive })
}

fn client(tables: &Tables, credentials: &Temporary) -> Client {
    let credential = &credentials.credential;
    let token = Some(credential.token().to_owned()).filter(|token| !token.is_empty());
    let keys = Credentials::new(
        credential.access_key_id(),
        credential.secret_access_key(),
        token,
        Some(credentials.expires),
        "imds",
    );
    let https = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .build_https();
    let mut config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(tables.region.clone()))
        .credentials_provider(keys)
        .http_client(https);
    config.set_endpoint_url(tables.endpoint.clone());
    Client::from_conf(config.build())
}

/// The partition key is a number in the published stack, a text in the article: the table says which by refusing the other.
async fn tls_row(client: &Client, tables: &Tables) -> Result<TlsRow, TablesError> {
    let id = &tables.tls_key_id;
    let mut forms = vec![AttributeValue::S(id.clone())];
    if id.bytes().all(|b| b.is_ascii_digit()) {
        forms.insert(0, AttributeValue::N(id.clone()));
    }
    let mut found = Err(TablesError::NoTlsKey {
        table: tables.tls.clone(),
        key_id: id.clone(),
    });
    for form in forms {
        let request = client
            .get_item()
            .table_name(&tables.tls)
            .key("key_id", form)
            .consistent_read(true)
            .send();
        match within(&tables.tls, request).await {
            Ok(output) => {
                let missing = || TablesError::NoTlsKey {
                    table: tables.tls.clone(),
                    key_id: id.clone(),
                };
                let item: Item = output.item.ok_or_else(missing)?.into_iter().collect();
                return item::tls_row(&item).map_err(|error| TablesError::Item {
                    table: tables.tls.clone(),
                    error,
                });
            }
            Err(Failure {
                error,
                other_key: true,
            }) => found = Err(error),
            Err(Failure { error, .. }) => return Err(error),
        }
    }
    found
}

/// Adds the active keys of a stack; gives the number of inactive ones.
async fn stack_keys(
    client: &Client,
    tables: &Tables,
    stack: &StackId,
    keys: &mut Vec<KeyRow>,
) -> Result<usize, TablesError> {
    let table = &tables.validators;
    let (mut from, mut inactive) = (None, 0);
    for _ in 0..MAX_PAGES {
        let request = client
            .query()
            .table_name(table)
            .key_condition_expression("web3signer_uuid = :stack")
            .expression_attribute_values(":stack", AttributeValue::S(stack.to_string()))
            .consistent_read(true)
            .set_limit(tables.page_size.map(i32::from))
            .set_exclusive_start_key(from.take())
            .send();
        let page = within(table, request).await.map_err(|failure| failure.error)?;
        for item in page.items.unwrap_or_default() {
            let item: Item = item.into_iter().collect();
            match item::key_row(stack, &item).map_err(|error| TablesError::Item {
                table: table.clone(),
                error,
            })? {
                Some(row) => keys.push(row),
                None => inactive += 1,
            }
        }
        from = page.last_evaluated_key.filter(|key| !key.is_empty());
        if from.is_none() {
            return Ok(inactive);
        }
    }
    Err(TablesError::TooManyPages { table: table.clone() })
}

struct Failure {
    error: TablesError,
    /// The key given is not of the table's type.
    other_key: bool,
}

async fn within<T, E, R>(
    table: &str,
    request: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<T, Failure>
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let table = table.to_owned();
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => {
            let other_key = error.code() == Some("ValidationException");
            let error = match error.as_service_error() {
                Some(service) => {
                    let code = service.code().unwrap_or("unknown error");
                    format!("{code}: {}", service.message().unwrap_or("no message"))
                }
                None => DisplayErrorContext(&error).to_string(),
            };
            Err(Failure {
                error: TablesError::Service { table, error },
                other_key,
            })
        }
        Err(_) => Err(Failure {
            error: TablesError::Late { table },
            other_key: false,
        }),
    }
}

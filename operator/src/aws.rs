//! Clients of AWS, with the operator's own credentials: environment, profiles, SSO, assumed roles, as AWS's tools find them.
//!
//! The instance's metadata service is never asked: this program does not run on an instance that holds keys.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_http_client::tls;

/// Longest wait for one answer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Tries of one request. KMS and DynamoDB throttle bursts; each try waits longer.
const ATTEMPTS: u32 = 8;

/// Why AWS cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAccess {
    /// An endpoint that may not be used.
    #[error("endpoint {found:?} is not https://HOST[:PORT] (http is for the loopback interface only)")]
    Endpoint {
        /// The text.
        found: String,
    },
    /// Nobody's credentials.
    #[error("no credentials of AWS ({why}); log in (aws sso login), or name a profile with --profile")]
    Credentials {
        /// What was tried.
        why: String,
    },
}

/// Where to go, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Profile of the AWS configuration files.
    pub profile: Option<String>,
    /// Endpoint of KMS in place of the region's.
    pub kms_endpoint: Option<String>,
    /// Endpoint of DynamoDB in place of the region's.
    pub dynamodb_endpoint: Option<String>,
}

/// Settings for a region, to make clients of.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
    access: Access,
}

impl Aws {
    /// Finds credentials, for services in `region`.
    ///
    /// # Errors
    /// [`NoAccess`].
    pub async fn new(region: &str, access: Access) -> Result<Self, NoAccess> {
        for endpoint in [&access.kms_endpoint, &access.dynamodb_endpoint]
            .into_iter()
            .flatten()
        {
            check_endpoint(endpoint)?;
        }
        let https = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .build_https();
        let region = Region::new(region.to_owned());
        let base = aws_config::provider_config::ProviderConfig::without_region()
            .with_http_client(https.clone())
            .with_region(Some(region.clone()));
        let mut profile = ProfileFileCredentialsProvider::builder().configure(&base);
        if let Some(name) = &access.profile {
            profile = profile.profile_name(name);
        }
        // A profile that was asked for goes before what happens to be in the environment.
        let sources = if access.profile.is_some() {
            CredentialsProviderChain::first_try("profile", profile.build())
        } else {
            CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new())
                .or_else("profile", profile.build())
        };
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(https)
            .region(region)
            .credentials_provider(sources)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(ATTEMPT)
                    .build(),
            );
        if let Some(name) = &access.profile {
            loader = loader.profile_name(name);
        }
        let config = loader.load().await;
        // Now rather than in the middle, or after a person was asked for passwords.
        if let Some(provider) = config.credentials_provider() {
            provider
                .provide_credentials()
                .await
                .map_err(|error| NoAccess::Credentials { why: chain(&error) })?;
        }
        Ok(Self { config, access })
    }

    /// A client of KMS.
    #[must_use]
    pub fn kms(&self) -> aws_sdk_kms::Client {
        let mut config = aws_sdk_kms::config::Builder::from(&self.config);
        if self.access.kms_endpoint.is_some() {
            config.set_endpoint_url(self.access.kms_endpoint.clone());
        }
        aws_sdk_kms::Client::from_conf(config.build())
    }

    /// A client of DynamoDB in `region`, which may be another than the key's.
    #[must_use]
    pub fn dynamodb(&self, region: &str) -> aws_sdk_dynamodb::Client {
        let mut config =
            aws_sdk_dynamodb::config::Builder::from(&self.config).region(Region::new(region.to_owned()));
        if self.access.dynamodb_endpoint.is_some() {
            config.set_endpoint_url(self.access.dynamodb_endpoint.clone());
        }
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }
}

/// What a failed request says, without the request: `Code: message`, or the chain of causes.
pub fn reason<E, R>(error: &aws_sdk_dynamodb::error::SdkError<E, R>) -> String
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    if let Some(service) = error.as_service_error() {
        let code = service.code().unwrap_or("unknown error");
        return format!("{code}: {}", service.message().unwrap_or("no message"));
    }
    chain(error)
}

/// What an error says and what caused it, without the requests and answers that the SDK's own form shows.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

fn check_endpoint(text: &str) -> Result<(), NoAccess> {
    let error = || NoAccess::Endpoint {
        found: text.to_owned(),
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(error)?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let plain = !authority.is_empty()
        && authority
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    if plain && (scheme == "https" || (scheme == "http" && local)) {
        return Ok(());
    }
    Err(error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for good in [
            "https://kms.eu-central-1.amazonaws.com",
            "https://h:8443/",
            "http://127.0.0.1:80",
            "http://localhost:1",
            "http://[::1]:9",
        ] {
            assert_eq!(check_endpoint(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:80",
            "http://kms.amazonaws.com",
            "http://localhost.evil.org",
            "ftp://localhost",
            "https://",
            "https://u@h",
            "https://h/path",
            "http://127.0.0.1:80@h",
        ] {
            assert!(check_endpoint(bad).is_err(), "{bad}");
        }
    }
}

//! A signing key that never leaves AWS KMS: an asymmetric key of `ECC_NIST_P384` for `SIGN_VERIFY`.
//!
//! Two requests, `GetPublicKey` and `Sign`, with the region of the key's ARN and the credentials of whoever runs this, as
//! the AWS command line finds them. KMS hashes the message itself: it has 200 bytes, and KMS takes 4096. The signature
//! comes as DER and becomes r and s here.
//! Source: AWS KMS API reference, `Sign` and `GetPublicKey`; RFC 3279, section 2.2.3.

use std::fmt;
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{BehaviorVersion, Region};
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use der::asn1::UintRef;
use der::{Decode as _, Reader as _, SliceReader};
use tokio::runtime::Runtime;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::key::{KeyError, SIGNATURE_BYTES, SigningKey};

/// Longest wait for one answer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Longest wait for all tries of one request.
const ALL_ATTEMPTS: Duration = Duration::from_secs(30);
/// Tries of one request.
const ATTEMPTS: u32 = 3;
/// Longest text of KMS that is shown.
const MAX_REASON_CHARS: usize = 300;

/// A key in KMS.
pub struct KmsKey {
    arn: String,
    client: Client,
    runtime: Runtime,
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKey")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

/// The region of a KMS key's ARN; `None` for whatever is no such ARN.
#[must_use]
pub fn region_of(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    let (scheme, partition, service) = (next()?, next()?, next()?);
    let (region, account, resource) = (next()?, next()?, next()?);
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let id = resource
        .strip_prefix("key/")
        .or_else(|| resource.strip_prefix("alias/"))?;
    let is_kms = scheme == "arn" && partition.starts_with("aws") && is_name(partition) && service == "kms";
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_id = id.len() <= 256 && id.split('/').all(is_name);
    (is_kms && is_name(region) && is_account && is_id).then_some(region)
}

impl KmsKey {
    /// A key by its ARN. Asks for credentials the way that the AWS command line does; `endpoint` replaces the region's own,
    /// and is a loopback address or has TLS.
    ///
    /// # Errors
    /// [`KeyError::Arn`] or [`KeyError::Client`].
    pub fn new(arn: &str, endpoint: Option<&str>) -> Result<Self, KeyError> {
        let region = region_of(arn).ok_or(KeyError::Arn)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(KeyError::Client)?;
        let http = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https();
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .http_client(http)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(ALL_ATTEMPTS)
                    .build(),
            );
        let loader = match endpoint {
            Some(url) => loader.endpoint_url(url),
            None => loader,
        };
        let config = runtime.block_on(loader.load());
        Ok(Self {
            arn: arn.to_owned(),
            client: Client::new(&config),
            runtime,
        })
    }
}

impl SigningKey for KmsKey {
    fn name(&self) -> String {
        self.arn.clone()
    }

    fn public_point(&self) -> Result<Vec<u8>, KeyError> {
        let operation = "GetPublicKey";
        let request = self.client.get_public_key().key_id(&self.arn).send();
        let answer = self
            .runtime
            .block_on(request)
            .map_err(|error| refused(operation, &error))?;
        let (spec, usage) = (answer.key_spec(), answer.key_usage());
        // What is not told shows in the point, which has to be that of the certificate.
        let wrong = spec.is_some_and(|spec| *spec != KeySpec::EccNistP384)
            || usage.is_some_and(|usage| *usage != KeyUsageType::SignVerify);
        if wrong {
            let found = format!(
                "{} of {}",
                usage.map_or("a key without usage", KeyUsageType::as_str),
                spec.map_or("no kind", KeySpec::as_str)
            );
            return Err(KeyError::KmsKey { found });
        }
        let key = answer
            .public_key()
            .and_then(|blob| SubjectPublicKeyInfoOwned::from_der(blob.as_ref()).ok());
        let key = key.ok_or(KeyError::KmsAnswer {
            operation,
            what: "public key",
        })?;
        Ok(key.subject_public_key.raw_bytes().to_vec())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let operation = "Sign";
        let request = self
            .client
            .sign()
            .key_id(&self.arn)
            .message(Blob::new(message))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::EcdsaSha384)
            .send();
        let answer = self
            .runtime
            .block_on(request)
            .map_err(|error| refused(operation, &error))?;
        let fixed = answer.signature().and_then(|blob| fixed_signature(blob.as_ref()));
        fixed.ok_or(KeyError::KmsAnswer {
            operation,
            what: "signature",
        })
    }
}

/// What KMS answered, or why there is no answer; a line of bounded length.
fn refused<E, R>(operation: &'static str, error: &SdkError<E, R>) -> KeyError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: fmt::Debug,
{
    let reason = match error.as_service_error() {
        Some(service) => {
            let (code, message) = (service.code(), service.message());
            format!(
                "{}: {}",
                code.unwrap_or("unknown error"),
                message.unwrap_or("without a message")
            )
        }
        None => DisplayErrorContext(error).to_string(),
    };
    let line = |c: char| if c.is_control() { ' ' } else { c };
    KeyError::Kms {
        operation,
        reason: reason.chars().map(line).take(MAX_REASON_CHARS).collect(),
    }
}

/// `SEQUENCE { r INTEGER, s INTEGER }` to r and s of 48 bytes each.
fn fixed_signature(der: &[u8]) -> Option<Vec<u8>> {
    let mut reader = SliceReader::new(der).ok()?;
    let (r, s) = reader
        .sequence(|inner| {
            let r = UintRef::decode(inner)?;
            Ok::<_, der::Error>((r, UintRef::decode(inner)?))
        })
        .ok()?;
    reader.finish().ok()?;
    let mut fixed = Vec::with_capacity(SIGNATURE_BYTES);
    for number in [r, s] {
        let bytes = number.as_bytes();
        let zeros = (SIGNATURE_BYTES / 2).checked_sub(bytes.len())?;
        fixed.resize(fixed.len() + zeros, 0);
        fixed.extend(bytes);
    }
    Some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_arns_of_kms_keys() {
        for (arn, region) in [
            (
                "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab",
                Some("eu-west-1"),
            ),
            (
                "arn:aws-us-gov:kms:us-gov-west-1:123456789012:key/mrk-1",
                Some("us-gov-west-1"),
            ),
            (
                "arn:aws:kms:eu-west-1:123456789012:alias/image/signing",
                Some("eu-west-1"),
            ),
            ("key.pem", None),
            ("arn:aws:kms:eu-west-1:123456789012:key/", None),
            ("arn:aws:kms::123456789012:key/a", None),
            ("arn:aws:kms:eu-west-1:12345678901:key/a", None),
            ("arn:aws:s3:eu-west-1:123456789012:key/a", None),
            ("arn:other:kms:eu-west-1:123456789012:key/a", None),
            ("arn:aws:kms:eu-west-1:123456789012:key/a b", None),
        ] {
            assert_eq!(region_of(arn), region, "{arn}");
        }
    }

    #[test]
    fn signatures_of_der_have_fixed_halves() {
        let fixed = fixed_signature(&[0x30, 7, 2, 1, 5, 2, 2, 0, 0x80]).unwrap();
        assert_eq!((fixed.len(), fixed[47], fixed[95]), (96, 5, 0x80));
        let long = [vec![0x30, 0x37, 2, 0x32], vec![1; 50], vec![2, 1, 5]].concat();
        for bad in [
            &b""[..],
            &[0x30, 3, 2, 1, 5],
            &[0x30, 6, 2, 1, 0xff, 2, 1, 5],
            &[0x30, 6, 2, 1, 5, 2, 1, 5, 0],
            &long,
        ] {
            assert_eq!(fixed_signature(bad), None, "{bad:?}");
        }
    }
}

//! What KMS says, in the words of the agent's answer.

use control::answer::ItemCode;
use kmstool_rs::client::ClientError;
use kmstool_rs::reply::ReplyError;
use kmstool_rs::service_error::Class;

/// The word for one failed call. Nothing of KMS's own text goes further.
#[must_use]
pub fn of(error: &ClientError) -> ItemCode {
    if matches!(error, ClientError::Reply(ReplyError::Key { .. })) {
        return ItemCode::KmsKey;
    }
    match error.class() {
        Class::Refused => refused(error.service().map_or("", |service| service.name.as_str())),
        Class::Denied => ItemCode::KmsDenied,
        Class::Credentials => ItemCode::KmsCredentials,
        Class::Throttled => ItemCode::KmsThrottled,
        Class::Network | Class::Tls | Class::Unavailable => ItemCode::KmsUnreachable,
        _ => ItemCode::KmsFailed,
    }
}

/// Source: AWS KMS API reference, `Decrypt`, "Errors".
fn refused(name: &str) -> ItemCode {
    match name {
        "InvalidCiphertextException" => ItemCode::KmsCiphertext,
        "IncorrectKeyException" | "NotFoundException" | "InvalidKeyUsageException" => ItemCode::KmsKey,
        "DisabledException" | "KMSInvalidStateException" => ItemCode::KmsKeyState,
        _ => ItemCode::KmsFailed,
    }
}

/// Whether every other item would fail in the same way, so that it is not worth a call of KMS each.
#[must_use]
pub fn is_for_all(error: &ClientError) -> bool {
    matches!(
        error.class(),
        Class::Credentials
            | Class::Network
            | Class::Tls
            | Class::Nsm
            | Class::ClockSkew
            | Class::Unavailable
            | Class::Throttled
    )
}

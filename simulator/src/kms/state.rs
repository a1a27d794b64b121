//! The state folder of `simulator kms`: what is in it besides keys and CA, and how it is made.

use std::path::{Path, PathBuf};

use kms_policy::arn::AccountId;

use super::key::KeyId;
use super::principal::Principals;
use super::service::typed_partition;
use super::store::{StoreError, io_error, replace};

/// Makes the folder, for its owner only.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn make(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt as _;
    if !folder.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(io_error(folder))?;
    }
    Ok(())
}

/// The file of principals, made with fresh secrets if it is absent.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn principals(folder: &Path, region: &str, account: &AccountId) -> Result<PathBuf, StoreError> {
    let path = folder.join("principals.toml");
    if !path.exists() {
        let partition = typed_partition(region).map_or_else(|| "aws".to_owned(), |p| p.to_string());
        let random = || {
            KeyId::random()
                .map(|id| id.to_string())
                .map_err(|_| io_error(&path)(std::io::Error::other("no random numbers")))
        };
        let text = format!(
            r#"# Who may call this KMS. Made at its first start with random secrets; change it as you like.

[[principal]]
name = "admin"
access_key_id = "AKIASIMULATORADMIN"
secret_access_key = "{}"
user = "arn:{partition}:iam::{account}:user/admin"
iam = ["kms:*"]

[[principal]]
name = "enclave"
access_key_id = "ASIASIMULATORENCLAVE"
secret_access_key = "{}"
session_token = "{}"
role = "arn:{partition}:iam::{account}:role/enclave"
session = "i-0123456789abcdef0"
"#,
            random()?,
            random()?,
            random()?
        );
        replace(&path, text.as_bytes())?;
    }
    Ok(path)
}

/// Writes the principals in the form of the AWS CLI's file of credentials.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn credentials(folder: &Path, principals: &Principals) -> Result<PathBuf, StoreError> {
    let path = folder.join("credentials");
    let mut text = zeroize::Zeroizing::new(String::new());
    for principal in principals.iter() {
        text.extend(["[", principal.name(), "]"]);
        let token = principal.session_token();
        for (key, value) in [
            ("aws_access_key_id", Some(principal.access_key_id())),
            ("aws_secret_access_key", Some(principal.secret())),
            ("aws_session_token", token),
        ] {
            if let Some(value) = value {
                text.extend(["\n", key, " = ", value]);
            }
        }
        text.push_str("\n\n");
    }
    replace(&path, text.as_bytes())?;
    Ok(path)
}

/// Removes what an earlier start wrote by [`env()`]: its port is not ours. The new file says that the KMS takes calls.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn forget_env(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("env");
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error(&path)(error)),
        _ => Ok(()),
    }
}

/// Writes the shell lines that lead the AWS CLI and boto3 here. The profile is the first principal's.
///
/// # Errors
/// [`StoreError::Io`].
pub(crate) fn env(
    folder: &Path,
    ca: Option<&Path>,
    endpoint: Option<&str>,
    region: &str,
    principals: &Principals,
) -> Result<PathBuf, StoreError> {
    let path = folder.join("env");
    let profile = principals.iter().next().map_or("", |principal| principal.name());
    let lines = [
        (
            "AWS_CA_BUNDLE",
            ca.map(|path| path.display().to_string()).unwrap_or_default(),
        ),
        (
            "AWS_SHARED_CREDENTIALS_FILE",
            folder.join("credentials").display().to_string(),
        ),
        ("AWS_PROFILE", profile.to_owned()),
        ("AWS_REGION", region.to_owned()),
        ("AWS_DEFAULT_REGION", region.to_owned()),
        ("AWS_ENDPOINT_URL_KMS", endpoint.unwrap_or_default().to_owned()),
    ];
    let mut text = String::new();
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        // Within single quotes a shell reads everything as it is, but for the quote itself.
        text.extend(["export ", name, "='", &value.replace('\'', r"'\''"), "'\n"]);
    }
    replace(&path, text.as_bytes())?;
    Ok(path)
}

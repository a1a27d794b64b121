//! The options of TLS, and upstream's rules between them.

use std::path::PathBuf;

use crate::cli::values::Values;

/// TLS of the signing interface.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PKCS#12 file.
    pub keystore: PathBuf,
    /// Its first line is the password.
    pub password_file: PathBuf,
    /// Who may connect.
    pub clients: Clients,
}

/// Who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clients {
    /// Anyone; no client certificate is asked for.
    Any,
    /// Whoever shows a certificate that is named or that a CA vouches for. At least one of the two is there.
    Known {
        /// File of names and fingerprints.
        file: Option<PathBuf>,
        /// PEM file of CAs.
        ca_file: Option<PathBuf>,
    },
}

impl Clients {
    /// Whether every connection has a client with a name.
    #[must_use]
    pub fn are_known(&self) -> bool {
        matches!(self, Self::Known { .. })
    }
}

impl Tls {
    pub(super) fn new(values: &Values) -> Result<Option<Self>, String> {
        let path = |key| values.text(key).map(PathBuf::from);
        let (keystore, password_file) =
            match (path("--tls-keystore-file"), path("--tls-keystore-password-file")) {
                (Some(keystore), Some(password_file)) => (keystore, password_file),
                (None, None) => return without_keystore(values),
                _ => {
                    return Err(
                        "--tls-keystore-file must be specified together with --tls-keystore-password-file"
                            .to_owned(),
                    );
                }
            };
        let any = values.flag("--tls-allow-any-client");
        let ca = values.flag("--tls-allow-ca-clients");
        let file = path("--tls-known-clients-file");
        if any && (file.is_some() || ca) {
            return Err(
                "--tls-allow-any-client cannot be set to true when --tls-known-clients-file is specified or \
                 --tls-allow-ca-clients is set to true"
                    .to_owned(),
            );
        }
        if !any && file.is_none() && !ca {
            return Err(
                "--tls-known-clients-file must be specified if both --tls-allow-any-client and \
                 --tls-allow-ca-clients are set to false"
                    .to_owned(),
            );
        }
        let ca_file = path("--tls-client-ca-file");
        if ca && ca_file.is_none() {
            return Err(
                "--tls-allow-ca-clients=true needs --tls-client-ca-file: this signer has no public CA store, any CA of \
                 which could let a client in"
                    .to_owned(),
            );
        }
        if !ca && ca_file.is_some() {
            return Err("--tls-client-ca-file has no effect without --tls-allow-ca-clients=true".to_owned());
        }
        let clients = if any {
            Clients::Any
        } else {
            Clients::Known { file, ca_file }
        };
        Ok(Some(Self {
            keystore,
            password_file,
            clients,
        }))
    }
}

/// Upstream ignores the rest of the TLS options then. Here a client list without TLS is an error: whoever wrote it
/// believes that clients are checked.
fn without_keystore(values: &Values) -> Result<Option<Tls>, String> {
    for key in ["--tls-known-clients-file", "--tls-client-ca-file"] {
        if values.text(key).is_some() {
            return Err(format!("{key} has no effect without --tls-keystore-file"));
        }
    }
    Ok(None)
}

//! The folder of keystores: which keystore goes with which password. Nothing is decrypted here.

use std::path::{Path, PathBuf};

use super::file;
use super::report::SourceError;
use super::settings::{Bulk, BulkPasswords};

/// One keystore and its password file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) keystore: PathBuf,
    pub(super) password: PathBuf,
}

/// Every `*.json` of the folder in any case, sorted, with its password file. Whether that exists is not looked at.
pub(super) fn pairs(bulk: &Bulk) -> Result<Vec<Pair>, SourceError> {
    let passwords = bulk.passwords.as_ref().ok_or(SourceError::NoPasswords)?;
    let keystores = file::list(&bulk.keystores, |name| has_extension(name, &["json"]))?;
    Ok(keystores
        .into_iter()
        .map(|keystore| {
            let password = match passwords {
                BulkPasswords::File(file) => file.clone(),
                BulkPasswords::Folder(folder) => folder.join(txt_name(&keystore)),
            };
            Pair { keystore, password }
        })
        .collect())
}

/// `<name>.txt` for `<name>.json`, where `<name>` may have dots.
fn txt_name(keystore: &Path) -> PathBuf {
    let mut name = keystore.file_stem().unwrap_or_default().to_owned();
    name.push(".txt");
    name.into()
}

/// Whether a file name ends in one of the extensions, in any case.
pub(super) fn has_extension(name: &str, extensions: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(_, extension)| {
        extensions
            .iter()
            .any(|wanted| extension.eq_ignore_ascii_case(wanted))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_in_any_case() {
        for (name, is) in [
            ("a.json", true),
            ("a.b.JSON", true),
            (".json", true),
            ("json", false),
            ("a.json.bak", false),
        ] {
            assert_eq!(has_extension(name, &["json"]), is, "{name}");
        }
    }

    #[test]
    fn names_of_password_files() {
        assert_eq!(
            txt_name(Path::new("/k/keystore-m_12381_3600_0_0_0.1.JSON")),
            Path::new("keystore-m_12381_3600_0_0_0.1.txt")
        );
    }
}

//! The file `web3signer.ports` in the data folder: which ports the server took, as Java properties. Removed at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The written file; gone when this is dropped.
#[derive(Debug)]
pub struct PortsFile(PathBuf);

impl PortsFile {
    /// Writes the file, and the folder if it is missing.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(folder: &Path, http: u16, metrics: Option<u16>) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut text = format!(
            "#This file contains the ports used by the running instance of Web3Signer. This file will be deleted after the node is shutdown.\nhttp-port={http}\n"
        );
        if let Some(metrics) = metrics {
            text.extend(["metrics-port=", &metrics.to_string(), "\n"]);
        }
        let path = folder.join("web3signer.ports");
        // A reader never sees half a file.
        let half = folder.join("web3signer.ports.new");
        fs::write(&half, text)?;
        fs::rename(&half, &path)?;
        Ok(Self(path))
    }
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        if fs::remove_file(&self.0).is_err() {
            // The folder is gone, which is as good.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_while_the_server_is() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("data");
        let file = PortsFile::write(&inner, 9000, Some(9001)).unwrap();
        let text = fs::read_to_string(inner.join("web3signer.ports")).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines, ["http-port=9000", "metrics-port=9001"]);
        drop(file);
        assert!(!inner.join("web3signer.ports").exists());
    }
}

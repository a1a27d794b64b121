//! A small Debian archive, signed by a key of the test's own, on a [`Server`].

use std::collections::BTreeMap;
use std::io::Write as _;

use eif_builder::digest::Sha256;

use crate::keys::{PLAIN, SOUND, Signing, TestKey};
use crate::server::{Reply, Server};

/// 2001-09-09 02:20:00 UTC, 2000 seconds after the keys were made.
pub(crate) const NOW: u64 = 1_000_002_000;
const DATE: &str = "Sun, 09 Sep 2001 02:03:20 UTC";

/// What one suite says. Everything may be changed before [`Archive::serve`].
pub(crate) struct Suite {
    pub(crate) packages: String,
    pub(crate) sources: String,
    pub(crate) extra_fields: String,
    pub(crate) codename: String,
}

pub(crate) struct Archive {
    pub(crate) suites: BTreeMap<&'static str, Suite>,
    pub(crate) key: TestKey,
    pub(crate) signing: Signing,
    /// Applied to every file after the release files were signed.
    pub(crate) tamper: fn(&str, Vec<u8>) -> Vec<u8>,
}

/// The stanza of a package: name, version, further fields.
pub(crate) fn stanza(name: &str, version: &str, fields: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nFilename: pool/{name}_{version}.deb\nSize: {}\nSHA256: {}\n{fields}\n",
        name.len(),
        Sha256::of(name.as_bytes()),
    )
}

pub(crate) fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl Archive {
    /// `trixie`, `trixie-updates` and `trixie-security`, all empty.
    pub(crate) fn new() -> Self {
        let suite = |name: &'static str| {
            let suite = Suite {
                packages: String::new(),
                sources: String::new(),
                extra_fields: String::new(),
                codename: name.to_owned(),
            };
            (name, suite)
        };
        Self {
            suites: ["trixie", "trixie-updates", "trixie-security"].map(suite).into(),
            key: TestKey::new(SOUND),
            signing: PLAIN,
            tamper: |_, bytes| bytes,
        }
    }

    pub(crate) fn packages(&mut self, suite: &str) -> &mut String {
        &mut self.suites.get_mut(suite).unwrap().packages
    }

    /// Serves all suites, as main and as security archive.
    pub(crate) fn serve(&self) -> Server {
        let mut files = BTreeMap::new();
        for (name, suite) in &self.suites {
            let mut list = Vec::new();
            for (path, text) in [
                ("main/binary-amd64/Packages", &suite.packages),
                ("main/source/Sources", &suite.sources),
            ] {
                for (path, bytes) in [
                    (path.to_owned(), text.clone().into_bytes()),
                    (format!("{path}.xz"), xz(text.as_bytes())),
                ] {
                    let sha256 = Sha256::of(&bytes);
                    list.push(format!(" {sha256} {} {path}\n", bytes.len()));
                    let folder = path.rsplit_once('/').unwrap().0;
                    files.insert(
                        format!("/dists/{name}/{folder}/by-hash/SHA256/{sha256}"),
                        bytes.clone(),
                    );
                    files.insert(format!("/dists/{name}/{path}"), bytes);
                }
            }
            let release = format!(
                "Origin: Debian\nCodename: {}\nDate: {DATE}\n{}SHA256:\n{}",
                suite.codename,
                suite.extra_fields,
                list.concat().trim_end()
            );
            files.insert(
                format!("/dists/{name}/InRelease"),
                self.key.clearsign(&release, self.signing).into_bytes(),
            );
        }
        let tamper = self.tamper;
        let files: BTreeMap<_, _> = files
            .into_iter()
            .map(|(path, bytes)| (path.clone(), tamper(&path, bytes)))
            .collect();
        Server::start(move |request| match files.get(&request.target) {
            Some(bytes) if !bytes.is_empty() => Reply::ok(bytes),
            _ => Reply::status(404),
        })
    }
}

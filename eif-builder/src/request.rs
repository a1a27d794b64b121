//! The `[inputs]` table of a manifest: which foreign bytes a part of the build asks for, by name.
//!
//! Any manifest may have one: `image.toml`, `root.toml`, `kernel.toml`. What the names stand for, byte for
//! byte, is in the lock beside it ([`crate::lock`]).
//!
//! ```toml
//! [inputs]
//! suite = "trixie"                    # Debian suite; its -updates and -security come with it
//! closure = ["gcc", "make"]           # packages, with everything they depend on
//! exclude = ["perl-doc"]              # dropped from the closure, with what only they need
//! exact = ["linux-source-6.12"]       # packages, alone
//!
//! [[inputs.sources]]                  # files of a Debian source package; `*` matches any run of characters
//! package = "qemu"
//! files = ["*.orig.tar.xz"]
//!
//! [[inputs.downloads]]                # anything else, pinned here by digest
//! name = "web3signer.tar.gz"
//! url = "https://..."
//! size = 123                          # in bytes; may be left out, then locking downloads the file
//!                                     # or `most_bytes`, a bound, where nobody who locks has the file
//! sha256 = "..."
//! ```

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::debian::relation::is_package_name;
use crate::digest::{Hasher, Sha256};

/// A checked `[inputs]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Request {
    suite: String,
    closure: Vec<String>,
    exclude: Vec<String>,
    exact: Vec<String>,
    sources: Vec<SourceRequest>,
    downloads: Vec<DownloadRequest>,
}

/// Files of a Debian source package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRequest {
    /// The source package.
    pub package: String,
    /// Patterns of file names; `*` matches any run of characters. Each must match exactly one file.
    pub files: Vec<String>,
}

/// A file from anywhere, pinned by digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownloadRequest {
    /// The name by which recipes ask for it.
    pub name: String,
    /// Where it is fetched from, `https://` or `http://`.
    pub url: String,
    /// Its size in bytes, when known.
    pub size: Option<u64>,
    /// Instead of a size: a bound on it, in bytes. Then locking does not fetch the file.
    pub most_bytes: Option<u64>,
    /// SHA-256 of the file. Decides; the URL is only a place to look.
    pub sha256: Sha256,
}

/// Why an `[inputs]` table is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Not TOML, an unknown key, a value of the wrong type, or one of the errors below.
    #[error("the manifest is not valid: {0}")]
    Toml(#[from] toml::de::Error),
    /// Debian packages are asked for, but not of which suite.
    #[error("[inputs] asks for Debian packages, but `suite` is not set")]
    NoSuite,
    /// A name that cannot be one.
    #[error("`{value}` in `inputs.{key}` is not valid")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
    },
    /// The same name stands twice, or in two lists that exclude each other.
    #[error("`{value}` stands in `inputs.{key}` and again in `inputs.{again}`")]
    Twice {
        /// The first list.
        key: &'static str,
        /// The second, or the same.
        again: &'static str,
        /// The name.
        value: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    suite: Option<String>,
    #[serde(default)]
    closure: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    exact: Vec<String>,
    #[serde(default)]
    sources: Vec<SourceRequest>,
    #[serde(default)]
    downloads: Vec<DownloadRequest>,
}

/// A manifest of which only `[inputs]` matters here; whoever owns the rest checks it.
#[derive(Deserialize)]
struct Manifest {
    inputs: Request,
}

impl Request {
    /// Reads the `[inputs]` table of a manifest. Other tables are left to their owners.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_manifest(text: &str) -> Result<Self, RequestError> {
        Ok(toml::from_str::<Manifest>(text)?.inputs)
    }

    /// The Debian suite; empty when only downloads are asked for.
    #[must_use]
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// Packages asked for with all that they depend on. Sorted.
    #[must_use]
    pub fn closure(&self) -> &[String] {
        &self.closure
    }

    /// Packages dropped from the closure. Sorted.
    #[must_use]
    pub fn exclude(&self) -> &[String] {
        &self.exclude
    }

    /// Packages asked for alone. Sorted.
    #[must_use]
    pub fn exact(&self) -> &[String] {
        &self.exact
    }

    /// Files of source packages asked for. Sorted.
    #[must_use]
    pub fn sources(&self) -> &[SourceRequest] {
        &self.sources
    }

    /// Downloads asked for. Sorted.
    #[must_use]
    pub fn downloads(&self) -> &[DownloadRequest] {
        &self.downloads
    }

    /// SHA-256 of the table's meaning: the order of lists, comments and spacing do not count.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        let mut hasher = Hasher::new();
        let mut list = |key: &str, items: &mut dyn Iterator<Item = &str>| {
            let items: Vec<_> = items.collect();
            hasher.field(key.as_bytes());
            hasher.field(items.len().to_string().as_bytes());
            for item in items {
                hasher.field(item.as_bytes());
            }
        };
        list(
            "nitro-web3signer inputs, form 1",
            &mut core::iter::once(self.suite.as_str()),
        );
        for (key, names) in [
            ("closure", &self.closure),
            ("exclude", &self.exclude),
            ("exact", &self.exact),
        ] {
            list(key, &mut names.iter().map(String::as_str));
        }
        for source in &self.sources {
            let package = core::iter::once(source.package.as_str());
            list(
                "source",
                &mut package.chain(source.files.iter().map(String::as_str)),
            );
        }
        for download in &self.downloads {
            let size = match (download.size, download.most_bytes) {
                (_, Some(most)) => format!("at most {most}"),
                (Some(size), None) => size.to_string(),
                (None, None) => String::new(),
            };
            let sha256 = download.sha256.to_string();
            list(
                "download",
                &mut [&*download.name, &*download.url, &*size, &*sha256].into_iter(),
            );
        }
        hasher.finish()
    }
}

impl TryFrom<Raw> for Request {
    type Error = RequestError;

    fn try_from(mut raw: Raw) -> Result<Self, RequestError> {
        for list in [&mut raw.closure, &mut raw.exclude, &mut raw.exact] {
            list.sort();
        }
        for source in &mut raw.sources {
            source.files.sort();
        }
        raw.sources.sort();
        raw.downloads.sort();
        check_suite(&raw)?;
        let lists = [
            ("closure", &raw.closure),
            ("exclude", &raw.exclude),
            ("exact", &raw.exact),
        ];
        for (key, names) in lists {
            check_all(key, names, is_package_name)?;
        }
        for ((key, names), (again, others)) in
            [(lists[0], lists[1]), (lists[0], lists[2]), (lists[1], lists[2])]
        {
            if let Some(value) = names.iter().find(|n| others.contains(n)) {
                return Err(twice(key, again, value));
            }
        }
        check_all(
            "sources.package",
            raw.sources.iter().map(|s| &s.package),
            is_package_name,
        )?;
        for source in &raw.sources {
            check_all("sources.files", &source.files, is_pattern)?;
            if source.files.is_empty() {
                return Err(invalid("sources.files", &source.package));
            }
        }
        check_all(
            "downloads.name",
            raw.downloads.iter().map(|d| &d.name),
            is_file_name,
        )?;
        if let Some(d) = raw
            .downloads
            .iter()
            .find(|d| d.size.is_some() && d.most_bytes.is_some())
        {
            return Err(invalid(
                "downloads.most_bytes",
                &format!("{} beside a size", d.name),
            ));
        }
        check_all("downloads.url", raw.downloads.iter().map(|d| &d.url), is_url)?;
        Ok(Self {
            suite: raw.suite.unwrap_or_default(),
            closure: raw.closure,
            exclude: raw.exclude,
            exact: raw.exact,
            sources: raw.sources,
            downloads: raw.downloads,
        })
    }
}

fn check_suite(raw: &Raw) -> Result<(), RequestError> {
    let word = |s: &String| {
        s.starts_with(|c: char| c.is_ascii_lowercase())
            && s.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    };
    match &raw.suite {
        Some(suite) if !word(suite) => Err(invalid("suite", suite)),
        None if !(raw.closure.is_empty() && raw.exact.is_empty() && raw.sources.is_empty()) => {
            Err(RequestError::NoSuite)
        }
        _ => Ok(()),
    }
}

fn check_all<'a>(
    key: &'static str,
    values: impl IntoIterator<Item = &'a String>,
    valid: impl Fn(&str) -> bool,
) -> Result<(), RequestError> {
    let mut seen = BTreeSet::new();
    for value in values {
        if !valid(value) {
            return Err(invalid(key, value));
        }
        if !seen.insert(value) {
            return Err(twice(key, key, value));
        }
    }
    Ok(())
}

fn invalid(key: &'static str, value: &str) -> RequestError {
    RequestError::Value {
        key,
        value: value.chars().take(120).collect(),
    }
}

fn twice(key: &'static str, again: &'static str, value: &str) -> RequestError {
    RequestError::Twice {
        key,
        again,
        value: value.to_owned(),
    }
}

fn is_file_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-._~".contains(&b))
}

fn is_pattern(text: &str) -> bool {
    is_file_name(&text.replace('*', "x"))
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    text.len() <= 2048 && rest.is_some_and(|r| !r.is_empty() && r.bytes().all(|b| b.is_ascii_graphic()))
}

/// Whether `name` matches `pattern`, in which `*` stands for any run of characters, also an empty one.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests;

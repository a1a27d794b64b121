//! What `main` reads from the machine, once: environment, clock, this program's path. Nothing below asks again.
//!
//! None of it can change a measured byte; it says where to look, where to keep, and how to talk.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::fetch::http::HttpOptions;
use crate::mirror::MirrorOptions;

/// The machine as `main` found it.
#[derive(Clone, Debug)]
pub struct Host {
    /// Where the store is unless `--store` says otherwise; `None` when neither `XDG_CACHE_HOME` nor `HOME` is set.
    pub store: Option<PathBuf>,
    /// This program.
    pub exe: PathBuf,
    /// CPUs that may be used.
    pub cpus: NonZeroUsize,
    /// Seconds since 1970. Used for signatures of package indices and documents only.
    pub now: u64,
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// Where Debian packages come from.
    pub mirrors: MirrorOptions,
    /// How to connect.
    pub http: HttpOptions,
    /// The machine's configuration folder.
    pub etc: PathBuf,
    /// The cargo that vendors crates: CARGO, or `cargo` of PATH.
    pub cargo: PathBuf,
    /// Where that cargo keeps what it downloads: `CARGO_HOME`, or `.cargo` at home.
    pub cargo_home: Option<PathBuf>,
}

impl Host {
    /// Reads the environment through `variable`; empty values count as not set.
    pub fn new(exe: PathBuf, now: u64, terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let value = |name: &str| variable(name).filter(|v| !v.is_empty());
        let text = |name: &str| value(name).and_then(|v| v.into_string().ok());
        let either = |lower: &str, upper: &str| text(lower).or_else(|| text(upper));
        let cache = value("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let home = value("HOME").map(PathBuf::from);
        let home_cache = home.as_ref().map(|home| home.join(".cache"));
        Self {
            store: cache.or(home_cache).map(|cache| cache.join("nitro-web3signer")),
            exe,
            cpus: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            now,
            terminal,
            mirrors: MirrorOptions {
                debian: text("DEBIAN_MIRROR"),
                security: text("DEBIAN_SECURITY_MIRROR"),
                snapshot: variable("DEBIAN_SNAPSHOT").and_then(|v| v.into_string().ok()),
            },
            http: HttpOptions {
                ca_bundle: value("SSL_CERT_FILE").map(PathBuf::from).or_else(system_bundle),
                http_proxy: either("http_proxy", "HTTP_PROXY"),
                https_proxy: either("https_proxy", "HTTPS_PROXY"),
                no_proxy: either("no_proxy", "NO_PROXY"),
                ..HttpOptions::default()
            },
            etc: PathBuf::from("/etc"),
            cargo: value("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from),
            cargo_home: value("CARGO_HOME")
                .map(PathBuf::from)
                .or_else(|| home.map(|home| home.join(".cargo"))),
        }
    }
}

/// The machine's own set of authorities, where it has one: a company's proxy may sign with one of its own.
fn system_bundle() -> Option<PathBuf> {
    let path = PathBuf::from("/etc/ssl/certs/ca-certificates.crt");
    path.is_file().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(variables: &[(&str, &str)]) -> Host {
        Host::new("/exe".into(), 0, false, |name| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).into())
        })
    }

    #[test]
    fn the_store_follows_the_xdg_rules() {
        let store = |variables: &[(&str, &str)]| host(variables).store;
        assert_eq!(store(&[]), None);
        assert_eq!(
            store(&[("HOME", "/h")]),
            Some("/h/.cache/nitro-web3signer".into())
        );
        let both = [("HOME", "/h"), ("XDG_CACHE_HOME", "/c")];
        assert_eq!(store(&both), Some("/c/nitro-web3signer".into()));
        let relative = [("HOME", "/h"), ("XDG_CACHE_HOME", "c")];
        assert_eq!(
            store(&relative),
            Some("/h/.cache/nitro-web3signer".into()),
            "relative paths are to be ignored"
        );
    }

    #[test]
    fn empty_values_are_not_set() {
        let host = host(&[
            ("DEBIAN_MIRROR", ""),
            ("http_proxy", ""),
            ("HTTP_PROXY", "http://p"),
        ]);
        assert_eq!(host.mirrors.debian, None);
        assert_eq!(host.http.http_proxy.as_deref(), Some("http://p"));
    }
}

//! Package URLs: the names that vulnerability databases look packages up by.
//!
//! Source: the Package URL specification (ECMA-427), types `cargo`, `deb`, `generic`, `maven`.

use core::fmt::Write as _;

/// A published crate.
#[must_use]
pub fn cargo(name: &str, version: &str) -> String {
    format!("pkg:cargo/{}@{}", encode(name), encode(version))
}

/// A Debian binary package of a release such as `trixie`.
#[must_use]
pub fn deb(name: &str, version: &str, architecture: &str, release: &str) -> String {
    let (name, version) = (encode(name), encode(version));
    let (architecture, release) = (encode(architecture), encode(release));
    format!("pkg:deb/debian/{name}@{version}?arch={architecture}&distro={release}")
}

/// Adds to the URL of a binary package what it was built from; `version` where it differs from the package's own.
///
/// The qualifier `upstream` is how makers of such documents write it, and where matchers look for it. It sorts last, as
/// the specification wants.
#[must_use]
pub fn built_from(deb: &str, name: &str, version: Option<&str>) -> String {
    let version = version.map(|version| format!("@{version}"));
    let source = encode(&format!("{name}{}", version.unwrap_or_default()));
    format!("{deb}&upstream={source}")
}

/// One file of a Debian source package.
#[must_use]
pub fn deb_source(name: &str, version: &str, release: &str) -> String {
    let (name, version, release) = (encode(name), encode(version), encode(release));
    format!("pkg:deb/debian/{name}@{version}?arch=source&distro={release}")
}

/// Something of ours, or that no package manager knows.
#[must_use]
pub fn generic(name: &str, version: &str) -> String {
    if version.is_empty() {
        return format!("pkg:generic/{}", encode(name));
    }
    format!("pkg:generic/{}@{}", encode(name), encode(version))
}

/// An archive that no package manager knows, with its address and SHA-256.
#[must_use]
pub fn download(name: &str, url: &str, sha256: &str) -> String {
    let (name, url, sha256) = (encode(name), encode(url), encode(sha256));
    format!("pkg:generic/{name}?checksum=sha256:{sha256}&download_url={url}")
}

/// A Maven artefact.
#[must_use]
pub fn maven(group: &str, artifact: &str, version: &str) -> String {
    let (group, artifact, version) = (encode(group), encode(artifact), encode(version));
    format!("pkg:maven/{group}/{artifact}@{version}")
}

/// Percent-encodes all but letters, digits and `.-_~:`.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(encoded, "%{byte:02X}").ok();
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forms are those of the specification's own examples.
    #[test]
    fn forms() {
        assert_eq!(cargo("rand", "0.7.2"), "pkg:cargo/rand@0.7.2");
        assert_eq!(
            deb("attr", "1:2.4.47-2+b2", "amd64", "trixie"),
            "pkg:deb/debian/attr@1:2.4.47-2%2Bb2?arch=amd64&distro=trixie"
        );
        assert_eq!(
            built_from(
                "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=trixie",
                "glibc",
                None
            ),
            "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=trixie&upstream=glibc"
        );
        assert_eq!(
            built_from(&deb("aa", "1", "all", "trixie"), "libsigc++", Some("1:2-1")),
            "pkg:deb/debian/aa@1?arch=all&distro=trixie&upstream=libsigc%2B%2B%401:2-1"
        );
        assert_eq!(
            deb_source("attr", "1.0~rc1", "trixie"),
            "pkg:deb/debian/attr@1.0~rc1?arch=source&distro=trixie"
        );
        assert_eq!(
            maven("org.apache.xmlgraphics", "batik-anim", "1.9.1"),
            "pkg:maven/org.apache.xmlgraphics/batik-anim@1.9.1"
        );
        assert_eq!(generic("/etc/a b", ""), "pkg:generic/%2Fetc%2Fa%20b");
        assert_eq!(
            download("a.tgz", "https://x.invalid/a", "ab"),
            "pkg:generic/a.tgz?checksum=sha256:ab&download_url=https:%2F%2Fx.invalid%2Fa"
        );
    }
}

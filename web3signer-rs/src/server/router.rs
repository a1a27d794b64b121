//! Which endpoint a method and a path name. One table; endpoints that are switched off are not there.

use http::Method;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Liveness.
    Upcheck,
    /// Health of keys and of slashing protection.
    Healthcheck,
    /// The list of keys.
    PublicKeys,
    /// A signature.
    Sign,
    /// Start a reload.
    Reload,
    /// State of the last reload.
    ReloadStatus,
    /// The high watermark of slashing protection.
    HighWatermark,
    /// The signing extension.
    ExtensionSign,
    /// Key manager: list.
    ListKeystores,
    /// Key manager: import.
    ImportKeystores,
    /// Key manager: delete.
    DeleteKeystores,
}

/// Endpoints that the configuration switches on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Switches {
    /// Slashing protection is on.
    pub slashing: bool,
    /// The signing extension.
    pub extension: bool,
    /// The key manager.
    pub key_manager: bool,
}

/// What a method and a path lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route<'a> {
    /// An endpoint, with the identifier that the path carries (else empty).
    To(Endpoint, &'a str),
    /// The path is known, the method is not: 405.
    OtherMethod,
    /// The path is not known: 404.
    Unknown,
}

const SIGN: &str = "/api/v1/eth2/sign/";
const EXTENSION_SIGN: &str = "/api/v1/eth2/ext/sign/";

impl Switches {
    fn endpoints(self, path: &str) -> (&'static [(Method, Endpoint)], &str) {
        const NONE: &[(Method, Endpoint)] = &[];
        match path {
            "/upcheck" => (&[(Method::GET, Endpoint::Upcheck)], ""),
            "/healthcheck" => (&[(Method::GET, Endpoint::Healthcheck)], ""),
            "/api/v1/eth2/publicKeys" => (&[(Method::GET, Endpoint::PublicKeys)], ""),
            "/reload" => (
                &[
                    (Method::POST, Endpoint::Reload),
                    (Method::GET, Endpoint::ReloadStatus),
                ],
                "",
            ),
            "/api/v1/eth2/highWatermark" if self.slashing => (&[(Method::GET, Endpoint::HighWatermark)], ""),
            "/eth/v1/keystores" if self.key_manager => (
                &[
                    (Method::GET, Endpoint::ListKeystores),
                    (Method::POST, Endpoint::ImportKeystores),
                    (Method::DELETE, Endpoint::DeleteKeystores),
                ],
                "",
            ),
            _ => {
                if let Some(identifier) = rest(path, EXTENSION_SIGN).filter(|_| self.extension) {
                    return (&[(Method::POST, Endpoint::ExtensionSign)], identifier);
                }
                match rest(path, SIGN) {
                    Some(identifier) => (&[(Method::POST, Endpoint::Sign)], identifier),
                    None => (NONE, ""),
                }
            }
        }
    }

    /// Finds the endpoint. A slash at the end of the path does not count.
    #[must_use]
    pub fn route<'a>(self, method: &Method, path: &'a str) -> Route<'a> {
        let trimmed = path.trim_end_matches('/');
        let (endpoints, identifier) = self.endpoints(trimmed);
        if endpoints.is_empty() {
            return Route::Unknown;
        }
        endpoints
            .iter()
            .find(|(allowed, _)| allowed == method)
            .map_or(Route::OtherMethod, |(_, endpoint)| {
                Route::To(*endpoint, identifier)
            })
    }
}

/// The one segment behind a prefix.
fn rest<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix)
        .filter(|rest| !rest.is_empty() && !rest.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Switches = Switches {
        slashing: true,
        extension: true,
        key_manager: true,
    };

    #[test]
    fn paths_and_methods() {
        let none = Switches::default();
        for (method, path, expected) in [
            (Method::GET, "/upcheck", Route::To(Endpoint::Upcheck, "")),
            (Method::GET, "/upcheck/", Route::To(Endpoint::Upcheck, "")),
            (Method::HEAD, "/upcheck", Route::OtherMethod),
            (Method::POST, "/upcheck", Route::OtherMethod),
            (Method::GET, "/", Route::Unknown),
            (Method::GET, "", Route::Unknown),
            (Method::GET, "/Upcheck", Route::Unknown),
            (
                Method::POST,
                "/api/v1/eth2/sign/0xAb",
                Route::To(Endpoint::Sign, "0xAb"),
            ),
            (Method::POST, "/api/v1/eth2/sign/", Route::Unknown),
            (Method::POST, "/api/v1/eth2/sign/a/b", Route::Unknown),
            (Method::GET, "/api/v1/eth2/sign/0xab", Route::OtherMethod),
            (Method::POST, "/reload", Route::To(Endpoint::Reload, "")),
            (Method::DELETE, "/reload", Route::OtherMethod),
        ] {
            assert_eq!(none.route(&method, path), expected, "{method} {path}");
            assert_eq!(ALL.route(&method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_is_off_is_not_there() {
        for (method, path, endpoint) in [
            (Method::GET, "/api/v1/eth2/highWatermark", Endpoint::HighWatermark),
            (Method::POST, "/api/v1/eth2/ext/sign/k", Endpoint::ExtensionSign),
            (Method::DELETE, "/eth/v1/keystores", Endpoint::DeleteKeystores),
        ] {
            assert_eq!(Switches::default().route(&method, path), Route::Unknown, "{path}");
            assert!(
                matches!(ALL.route(&method, path), Route::To(found, _) if found == endpoint),
                "{path}"
            );
        }
    }
}

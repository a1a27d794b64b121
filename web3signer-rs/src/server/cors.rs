//! Requests that a browser sends on behalf of a page. A page that is not on the list gets nothing, so that no web site
//! can use a signer on its visitor's machine.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, Method};

use crate::config::Origins;

/// What the Origin header of a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No page behind it.
    NoOrigin,
    /// A page that may: these headers go with the answer.
    Allowed(HeaderValue),
    /// A page that may ask first whether it may.
    Preflight(HeaderValue),
    /// A page that may not.
    Refused,
}

/// Judges a request by its headers.
#[must_use]
pub fn judge(origins: &Origins, method: &Method, headers: &HeaderMap) -> Verdict {
    let Some(origin) = headers.get(ORIGIN) else {
        return Verdict::NoOrigin;
    };
    let allowed = match origins {
        Origins::Any => HeaderValue::from_static("*"),
        Origins::List(list) => {
            if !list.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()) {
                return Verdict::Refused;
            }
            origin.clone()
        }
    };
    if method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        Verdict::Preflight(allowed)
    } else {
        Verdict::Allowed(allowed)
    }
}

/// Adds what a browser looks for in an answer.
pub fn mark(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(VARY, HeaderValue::from_static("origin"));
}

/// Adds what a browser looks for in the answer to a preflight.
pub fn mark_preflight(headers: &mut HeaderMap, origin: &HeaderValue) {
    mark(headers, origin);
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET,POST,DELETE,OPTIONS"),
    );
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(origins: &Origins, method: &Method, pairs: &[(&str, &str)]) -> Verdict {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        judge(origins, method, &headers)
    }

    #[test]
    fn only_listed_pages_are_served() {
        let page = ("origin", "https://a.example");
        let asks = ("access-control-request-method", "POST");
        let list = Origins::List(vec!["https://a.example".to_owned()]);
        let none = Origins::List(Vec::new());
        assert_eq!(of(&none, &Method::POST, &[]), Verdict::NoOrigin);
        assert_eq!(of(&none, &Method::POST, &[page]), Verdict::Refused);
        assert_eq!(
            of(&list, &Method::POST, &[("origin", "https://b.example")]),
            Verdict::Refused
        );
        assert_eq!(of(&list, &Method::POST, &[("origin", "null")]), Verdict::Refused);
        assert_eq!(
            of(&list, &Method::POST, &[page]),
            Verdict::Allowed(HeaderValue::from_static("https://a.example"))
        );
        assert_eq!(
            of(&Origins::Any, &Method::GET, &[page]),
            Verdict::Allowed(HeaderValue::from_static("*"))
        );
        assert_eq!(
            of(&list, &Method::OPTIONS, &[page, asks]),
            Verdict::Preflight(HeaderValue::from_static("https://a.example"))
        );
    }
}

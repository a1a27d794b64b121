//! The Accept header, as Web3Signer reads it: parameters and q-values are not weighed.

use http::HeaderMap;
use http::header::ACCEPT;

fn entries(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|entry| entry.split(';').next().unwrap_or_default().trim())
        .filter(|entry| !entry.is_empty())
}

/// Whether a signature is answered as JSON: some entry is exactly `application/json` or `*/*`.
/// Without the header it is text; two clients rely on that.
#[must_use]
pub fn wants_json(headers: &HeaderMap) -> bool {
    entries(headers).any(|entry| entry.eq_ignore_ascii_case("application/json") || entry == "*/*")
}

/// Whether an endpoint that only produces `kind/subtype` may answer. Without the header it may.
#[must_use]
pub fn admits(headers: &HeaderMap, kind: &str, subtype: &str) -> bool {
    let mut entries = entries(headers).peekable();
    entries.peek().is_none()
        || entries.any(|entry| match entry.split_once('/') {
            Some(("*", "*")) => true,
            Some((k, s)) => k.eq_ignore_ascii_case(kind) && (s == "*" || s.eq_ignore_ascii_case(subtype)),
            None => entry == "*",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(ACCEPT, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn json_only_when_it_is_named() {
        for values in [
            &["application/json"][..],
            &["*/*"],
            &["text/plain, application/json;q=0.5"],
            &["text/plain", "Application/JSON"],
            &["application/json; charset=utf-8"],
            &["application/json;q=0"],
        ] {
            assert!(wants_json(&headers(values)), "{values:?}");
        }
        for values in [
            &[][..],
            &["text/plain"],
            &["application/*"],
            &["application/json2"],
            &[""],
            &["application/jsonx, text/*"],
        ] {
            assert!(!wants_json(&headers(values)), "{values:?}");
        }
    }

    #[test]
    fn an_endpoint_answers_what_it_produces() {
        let text = |values: &[&str]| admits(&headers(values), "text", "plain");
        assert!(
            text(&[])
                && text(&["*/*"])
                && text(&["text/*"])
                && text(&["text/plain;q=0.1"])
                && text(&["image/png,text/plain"])
        );
        assert!(!text(&["application/json"]) && !text(&["application/*", "image/png"]));
        assert!(text(&["", " , "]));
    }
}

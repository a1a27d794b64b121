//! Lists of host names and of origins, with the words `*`, `all` and `none`, which stand alone.

/// Which names the Host header of a request may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostList {
    /// Any name. Still there must be one.
    Any,
    /// These, in lower case, without port. Empty for `none`.
    Names(Vec<String>),
}

/// Which origins a browser may send requests from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Any.
    Any,
    /// These, exactly. Empty for `none`.
    List(Vec<String>),
}

fn entries(list: &[String], what: &str) -> Result<Option<Vec<String>>, String> {
    let is_any = |entry: &String| entry == "*" || entry == "all";
    if list.iter().any(|entry| entry == "none") {
        return if list.len() == 1 {
            Ok(Some(Vec::new()))
        } else {
            Err(format!("Value 'none' can't be used with other {what}"))
        };
    }
    if list.iter().any(is_any) {
        return if list.len() == 1 {
            Ok(None)
        } else {
            Err(format!("Values '*' or 'all' can't be used with other {what}"))
        };
    }
    Ok(Some(list.to_vec()))
}

impl HostList {
    /// # Errors
    /// `*`, `all` or `none` beside other names.
    pub fn new(list: &[String]) -> Result<Self, String> {
        let names = entries(list, "hostnames")?;
        Ok(names.map_or(Self::Any, |names| {
            Self::Names(names.iter().map(|name| name.to_ascii_lowercase()).collect())
        }))
    }

    /// Whether the value of a Host header is on the list. The port does not count, nor does the case.
    /// A value that is no host is never allowed.
    #[must_use]
    pub fn allows(&self, header: &str) -> bool {
        let Some(name) = name_of(header) else { return false };
        match self {
            Self::Any => true,
            Self::Names(names) => names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)),
        }
    }
}

/// The host of `host`, `host:port`, `[v6]` and `[v6]:port`.
fn name_of(header: &str) -> Option<&str> {
    let (name, port) = if let Some(rest) = header.strip_prefix('[') {
        let (name, rest) = rest.split_once(']')?;
        match rest.strip_prefix(':') {
            None if rest.is_empty() => (name, ""),
            Some(port) => (name, port),
            None => return None,
        }
    } else {
        header.split_once(':').unwrap_or((header, ""))
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=:".contains(c);
    let is_port = port.len() <= 5 && port.chars().all(|c| c.is_ascii_digit());
    (!name.is_empty() && name.chars().all(is_name) && is_port).then_some(name)
}

impl Origins {
    /// # Errors
    /// `*`, `all` or `none` beside other origins.
    pub fn new(list: &[String]) -> Result<Self, String> {
        Ok(entries(list, "domains")?.map_or(Self::Any, Self::List))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> HostList {
        HostList::new(&text.split(',').map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_name_counts_and_not_its_port_or_case() {
        let hosts = list("localhost,127.0.0.1,::1");
        for header in [
            "localhost",
            "LocalHost:9000",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:9000",
            "localhost:",
        ] {
            assert!(hosts.allows(header), "{header}");
        }
        for header in [
            "",
            ":",
            ":9000",
            "evil.example",
            "localhost.evil",
            "localhost:x",
            "localhost:999999",
            "[::1",
            "[::1]x",
            "a b",
            "localhost/",
            "::1",
            "user@localhost",
        ] {
            assert!(!hosts.allows(header), "{header}");
        }
    }

    #[test]
    fn any_needs_a_host_all_the_same() {
        for any in [list("*"), list("all")] {
            assert_eq!(any, HostList::Any);
            assert!(any.allows("whatever.example:1"));
            assert!(!any.allows("") && !any.allows("a b"));
        }
        assert!(!list("none").allows("localhost"));
    }

    #[test]
    fn words_stand_alone() {
        for text in ["*,a", "a,all", "none,a", "a,none"] {
            let words: Vec<String> = text.split(',').map(str::to_owned).collect();
            assert!(
                HostList::new(&words)
                    .unwrap_err()
                    .contains("can't be used with other hostnames"),
                "{text}"
            );
            assert!(
                Origins::new(&words)
                    .unwrap_err()
                    .contains("can't be used with other domains"),
                "{text}"
            );
        }
    }
}

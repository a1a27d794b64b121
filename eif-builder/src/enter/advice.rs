//! Which setting of the host forbids namespaces to ordinary users, and how to allow them.
//!
//! Read only after something was refused: a setting that looks forbidding may still not matter to this user.

use core::fmt;
use std::fs;

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Ubuntu 23.10 and later: `AppArmor` strips the rights of such namespaces.
    AppArmor,
    /// Debian's and others' switch for unprivileged user namespaces.
    Clone,
    /// The number of user namespaces is limited to none.
    Limit,
    /// A container runtime's filter.
    Container,
    /// Nothing known was found.
    Unknown,
}

const APPARMOR: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
const CLONE: &str = "/proc/sys/kernel/unprivileged_userns_clone";
const LIMIT: &str = "/proc/sys/user/max_user_namespaces";
/// Files that Docker and Podman put into their containers.
const CONTAINER_MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

impl Advice {
    /// The advice for this host.
    #[must_use]
    pub fn of_host() -> Self {
        Self::from_files(&|path| fs::read_to_string(path).ok())
    }

    /// The advice for a host whose files are as `read` gives them.
    #[must_use]
    pub fn from_files(read: &dyn Fn(&str) -> Option<String>) -> Self {
        let is = |path, value: &str| read(path).is_some_and(|text| text.trim() == value);
        if is(CLONE, "0") {
            Self::Clone
        } else if is(LIMIT, "0") {
            Self::Limit
        } else if CONTAINER_MARKS.iter().any(|path| read(path).is_some()) {
            Self::Container
        } else if is(APPARMOR, "1") {
            Self::AppArmor
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AppArmor => {
                "kernel.apparmor_restrict_unprivileged_userns is 1 (Ubuntu's default). Allow it until the next \
                 start with `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or for good with \
                 that line in a file of /etc/sysctl.d"
            }
            Self::Clone => {
                "kernel.unprivileged_userns_clone is 0. Allow it with \
                 `sudo sysctl -w kernel.unprivileged_userns_clone=1`"
            }
            Self::Limit => {
                "user.max_user_namespaces is 0. Allow some with `sudo sysctl -w user.max_user_namespaces=15000`"
            }
            Self::Container => {
                "this is a container, and its runtime filters the call. Start the container with \
                 `--security-opt seccomp=unconfined --security-opt apparmor=unconfined \
                 --security-opt systempaths=unconfined`"
            }
            Self::Unknown => {
                "no known setting explains it; user namespaces may be missing from this kernel \
                 (CONFIG_USER_NS) or filtered by a security module. `unshare --user --map-root-user true` \
                 must work for this user"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_named() {
        let host = |files: &[(&str, &str)]| {
            Advice::from_files(&|path| {
                files
                    .iter()
                    .find(|(p, _)| *p == path)
                    .map(|(_, text)| (*text).to_owned())
            })
        };
        for (files, expected, name) in [
            (
                &[(APPARMOR, "1\n")][..],
                Advice::AppArmor,
                "apparmor_restrict_unprivileged_userns=0",
            ),
            (
                &[(CLONE, "0\n"), (APPARMOR, "1\n")],
                Advice::Clone,
                "unprivileged_userns_clone=1",
            ),
            (&[(LIMIT, "0\n")], Advice::Limit, "max_user_namespaces=15000"),
            (
                &[("/.dockerenv", ""), (APPARMOR, "1\n")],
                Advice::Container,
                "seccomp=unconfined",
            ),
            (
                &[(APPARMOR, "0"), (CLONE, "1"), (LIMIT, "96365")],
                Advice::Unknown,
                "CONFIG_USER_NS",
            ),
            (&[], Advice::Unknown, "unshare"),
        ] {
            assert_eq!(host(files), expected);
            assert!(expected.to_string().contains(name), "{expected}");
        }
    }
}

//! Users and groups of an image: checked, resolved to numbers, and written as `/etc/passwd` and `/etc/group`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::raw::{RawGroup, RawUser};
use super::{Fault, value};

/// Range of ids that a manifest may give: neither root nor the overflow id.
const IDS: core::ops::RangeInclusive<u32> = 1..=65533;

/// A user, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id, also the id of its own group.
    pub id: u32,
    /// Supplementary group ids.
    pub groups: BTreeSet<u32>,
}

/// Users and groups by name. `root` is always there, with id 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, u32>,
}

impl Accounts {
    /// Checks names and ids; each user gets a group of its own name and number.
    ///
    /// # Errors
    /// [`Fault::Value`] for a bad or doubled name or id, [`Fault::NoAccount`] for an undefined group.
    pub fn new(raw_groups: &[RawGroup], raw_users: &[RawUser]) -> Result<Self, Fault> {
        let mut groups = BTreeMap::from([("root".to_owned(), 0)]);
        let mut taken = BTreeSet::from([0]);
        let all = raw_groups.iter().map(|g| ("group", &g.name, g.id));
        for (kind, name, id) in all.chain(raw_users.iter().map(|u| ("user", &u.name, u.id))) {
            check_name(kind, name)?;
            if !IDS.contains(&id) || !taken.insert(id) {
                let expected = "a number from 1 to 65533 that no other user or group has";
                return Err(value(&format!("{kind} {name}: id"), &id.to_string(), expected));
            }
            if groups.insert(name.clone(), id).is_some() {
                return Err(value(
                    &format!("{kind}.name"),
                    name,
                    "a name that no other user or group has",
                ));
            }
        }
        let mut users = BTreeMap::from([(
            "root".to_owned(),
            User {
                id: 0,
                groups: BTreeSet::new(),
            },
        )]);
        for user in raw_users {
            let mut ids = BTreeSet::new();
            for name in &user.groups {
                let id = groups.get(name).ok_or_else(|| Fault::NoAccount {
                    key: format!("user {}: groups", user.name),
                    name: name.clone(),
                    table: "group",
                })?;
                ids.insert(*id);
            }
            users.insert(
                user.name.clone(),
                User {
                    id: user.id,
                    groups: ids,
                },
            );
        }
        Ok(Self { users, groups })
    }

    /// The user with that name. `key` is the manifest key that names it.
    ///
    /// # Errors
    /// [`Fault::NoAccount`]
    pub fn user(&self, key: &str, name: &str) -> Result<&User, Fault> {
        self.users.get(name).ok_or_else(|| Fault::NoAccount {
            key: key.to_owned(),
            name: name.to_owned(),
            table: "user",
        })
    }

    /// The id of the group with that name.
    ///
    /// # Errors
    /// [`Fault::NoAccount`]
    pub fn group(&self, key: &str, name: &str) -> Result<u32, Fault> {
        self.groups.get(name).copied().ok_or_else(|| Fault::NoAccount {
            key: key.to_owned(),
            name: name.to_owned(),
            table: "group",
        })
    }

    /// User id and group id of an owner; root for what is not named, the user's own group for its group.
    ///
    /// # Errors
    /// [`Fault::NoAccount`]
    pub fn owner(&self, key: &str, user: Option<&str>, group: Option<&str>) -> Result<(u32, u32), Fault> {
        let uid = match user {
            Some(name) => self.user(&format!("{key}.user"), name)?.id,
            None => 0,
        };
        let gid = match group {
            Some(name) => self.group(&format!("{key}.group"), name)?,
            None => uid,
        };
        Ok((uid, gid))
    }

    /// The text of `/etc/passwd`: no passwords, no shells, no homes.
    #[must_use]
    pub fn passwd(&self) -> String {
        let mut by_id: Vec<_> = self.users.iter().map(|(name, user)| (user.id, name)).collect();
        by_id.sort_unstable();
        by_id.iter().fold(String::new(), |mut text, (id, name)| {
            // Writing to a String cannot fail.
            writeln!(text, "{name}:x:{id}:{id}::/:/nonexistent").unwrap_or(());
            text
        })
    }

    /// The text of `/etc/group`.
    #[must_use]
    pub fn group_file(&self) -> String {
        let mut by_id: Vec<_> = self.groups.iter().map(|(name, id)| (*id, name)).collect();
        by_id.sort_unstable();
        by_id.iter().fold(String::new(), |mut text, (id, name)| {
            let members: Vec<&str> = self
                .users
                .iter()
                .filter(|(_, u)| u.groups.contains(id))
                .map(|(n, _)| n.as_str())
                .collect();
            writeln!(text, "{name}:x:{id}:{}", members.join(",")).unwrap_or(());
            text
        })
    }
}

fn check_name(kind: &str, name: &str) -> Result<(), Fault> {
    let body = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if first && name.len() <= 32 && name.bytes().all(body) {
        return Ok(());
    }
    Err(value(
        &format!("{kind}.name"),
        name,
        "1 to 32 of a-z, 0-9, - and _, starting with a letter",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, id: u32) -> RawGroup {
        RawGroup {
            name: name.into(),
            id,
        }
    }

    fn user(name: &str, id: u32, groups: &[&str]) -> RawUser {
        RawUser {
            name: name.into(),
            id,
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        }
    }

    #[test]
    fn files_are_sorted_by_id() {
        let accounts = Accounts::new(
            &[group("nsm", 200)],
            &[user("b", 102, &["nsm"]), user("a", 103, &[])],
        );
        let accounts = accounts.unwrap();
        let passwd = "root:x:0:0::/:/nonexistent\nb:x:102:102::/:/nonexistent\na:x:103:103::/:/nonexistent\n";
        assert_eq!(accounts.passwd(), passwd);
        assert_eq!(
            accounts.group_file(),
            "root:x:0:\nb:x:102:\na:x:103:\nnsm:x:200:b\n"
        );
        assert_eq!(accounts.owner("file", Some("b"), None).unwrap(), (102, 102));
        assert_eq!(accounts.owner("file", None, Some("nsm")).unwrap(), (0, 200));
    }

    #[test]
    fn bad_accounts_are_refused_by_name() {
        let refused = |groups: &[RawGroup], users: &[RawUser], expected: &str| {
            let text = Accounts::new(groups, users).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        };
        refused(&[group("root", 5)], &[], "group.name is `root`");
        refused(&[group("a", 0)], &[], "group a: id is `0`");
        refused(&[group("a", 7)], &[user("b", 7, &[])], "user b: id is `7`");
        refused(&[group("A", 7)], &[], "group.name is `A`");
        refused(&[], &[user("b", 65534, &[])], "65534");
        refused(
            &[],
            &[user("b", 9, &["wheel"])],
            "names `wheel`, which no [[group]] defines",
        );
    }
}

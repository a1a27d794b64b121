//! Package names to a closed set of packages.
//!
//! The rules, all deterministic: of each name only the highest version counts; `Pre-Depends` and `Depends`
//! are followed, nothing weaker; of several alternatives one that is already chosen wins, else the first
//! that can be satisfied, in the order written; of several providers of a virtual package one that is
//! already chosen, else the one with the highest `Priority`, then the first by name. There is no
//! backtracking: a choice that leads to a conflict is an error, which the request solves by naming another.
//! Source: Debian Policy 4.7, sections 7.2-7.5.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::index::Package;
use super::relation::{Operator, Relation, RelationError, alternatives, groups};
use super::version::Version;

/// Why a request cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// A requested package does not exist.
    #[error("the request names the package `{0}`, which the suite does not have")]
    Missing(String),
    /// A relation that no package satisfies.
    #[error("nothing in the suite satisfies `{relation}`, wanted by {chain}; found {found}")]
    Unsatisfiable {
        /// The whole group of alternatives.
        relation: String,
        /// Who wants it, from the requested package on.
        chain: String,
        /// The versions that exist, or `nothing of that name`.
        found: String,
    },
    /// Two chosen packages exclude each other.
    #[error("{chain} {field} `{relation}`, but {other_chain} is chosen too")]
    Conflict {
        /// The package with the relation, and who wants it.
        chain: String,
        /// `conflicts with` or `breaks`.
        field: &'static str,
        /// The relation.
        relation: String,
        /// The package that it excludes, and who wants that one.
        other_chain: String,
    },
    /// A name is excluded that nothing wants: the request is out of date.
    #[error("the request excludes `{0}`, which nothing in the closure wants; remove the line")]
    IdleExclude(String),
    /// A relation that is no relation.
    #[error("the index entry of `{package}` has a malformed relation")]
    Relation {
        /// The package.
        package: String,
        /// What is wrong.
        #[source]
        source: RelationError,
    },
}

/// All packages of the suites, the highest version of each name.
#[derive(Debug)]
pub struct Universe<'a> {
    by_name: BTreeMap<&'a str, &'a Package<'a>>,
    /// Virtual name to the packages that provide it, the preferred one first.
    providers: BTreeMap<&'a str, Vec<Provider<'a>>>,
}

#[derive(Clone, Copy, Debug)]
struct Provider<'a> {
    package: &'a Package<'a>,
    version: Option<Version<'a>>,
}

impl<'a> Universe<'a> {
    /// Gathers the packages of one or more indices. When two archives have the same version of a package,
    /// the one listed first is taken.
    ///
    /// # Errors
    /// [`ResolveError::Relation`] for a malformed `Provides`.
    pub fn new(packages: impl IntoIterator<Item = &'a Package<'a>>) -> Result<Self, ResolveError> {
        let mut by_name: BTreeMap<&str, &Package<'_>> = BTreeMap::new();
        for package in packages {
            let best = by_name.entry(package.name).or_insert(package);
            if package.version > best.version {
                *best = package;
            }
        }
        let mut providers: BTreeMap<&str, Vec<Provider<'_>>> = BTreeMap::new();
        for package in by_name.values().copied() {
            for group in groups(package.relations.provides) {
                let provided = Relation::parse(group).map_err(malformed(package))?;
                let version = match provided.bound {
                    Some((Operator::Equal, version)) => Some(version),
                    _ => None,
                };
                providers
                    .entry(provided.name)
                    .or_default()
                    .push(Provider { package, version });
            }
        }
        for list in providers.values_mut() {
            list.sort_by_key(|p| (p.package.rank, p.package.name));
        }
        Ok(Self { by_name, providers })
    }

    /// The package of that name.
    ///
    /// # Errors
    /// [`ResolveError::Missing`].
    pub fn package(&self, name: &str) -> Result<&'a Package<'a>, ResolveError> {
        self.by_name
            .get(name)
            .copied()
            .ok_or_else(|| ResolveError::Missing(name.to_owned()))
    }

    /// The packages in `roots` with everything that they need, without those in `exclude` and what only
    /// those need. Sorted by name.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub fn closure(
        &self,
        roots: &[String],
        exclude: &[String],
    ) -> Result<Vec<&'a Package<'a>>, ResolveError> {
        let mut closure = Closure {
            universe: self,
            exclude: exclude.iter().map(String::as_str).collect(),
            used_excludes: BTreeSet::new(),
            chosen: BTreeMap::new(),
            queue: VecDeque::new(),
        };
        for name in roots {
            closure.choose(self.package(name)?, None);
        }
        while let Some(package) = closure.queue.pop_front() {
            closure.follow(package)?;
        }
        if let Some(idle) = closure.exclude.difference(&closure.used_excludes).next() {
            return Err(ResolveError::IdleExclude((*idle).to_owned()));
        }
        closure.refuse_conflicts()?;
        Ok(closure.chosen.values().map(|c| c.package).collect())
    }

    /// The packages that can satisfy a relation, the preferred one first.
    fn candidates(&self, relation: &Relation<'_>) -> impl Iterator<Item = &'a Package<'a>> {
        let real = self
            .by_name
            .get(relation.name)
            .copied()
            .filter(|p| relation.accepts(p.name, p.version));
        let virtually = self.providers.get(relation.name).map_or(&[][..], Vec::as_slice);
        let suits = |p: &&Provider<'a>| provides(relation, p.version);
        let virtually: Vec<_> = virtually.iter().filter(suits).map(|p| p.package).collect();
        let fits = relation.is_for_amd64();
        real.into_iter().chain(virtually).filter(move |_| fits)
    }

    fn found(&self, group: &[Relation<'_>]) -> String {
        let existing: Vec<_> = group
            .iter()
            .filter_map(|r| self.by_name.get(r.name))
            .map(|p| format!("{} {}", p.name, p.version))
            .collect();
        if existing.is_empty() {
            "nothing of that name".into()
        } else {
            existing.join(", ")
        }
    }
}

/// Whether a name provided with that version satisfies the relation (Policy 7.5).
fn provides(relation: &Relation<'_>, version: Option<Version<'_>>) -> bool {
    match (relation.bound, version) {
        (None, _) => true,
        (Some((operator, bound)), Some(version)) => operator.holds(version, bound),
        (Some(_), None) => false,
    }
}

struct Choice<'a> {
    package: &'a Package<'a>,
    wanted_by: Option<&'a str>,
}

struct Closure<'u, 'a> {
    universe: &'u Universe<'a>,
    exclude: BTreeSet<&'u str>,
    used_excludes: BTreeSet<&'u str>,
    chosen: BTreeMap<&'a str, Choice<'a>>,
    queue: VecDeque<&'a Package<'a>>,
}

impl<'a> Closure<'_, 'a> {
    fn choose(&mut self, package: &'a Package<'a>, wanted_by: Option<&'a str>) {
        if !self.chosen.contains_key(package.name) {
            self.chosen.insert(package.name, Choice { package, wanted_by });
            self.queue.push_back(package);
        }
    }

    fn follow(&mut self, package: &'a Package<'a>) -> Result<(), ResolveError> {
        for field in [package.relations.pre_depends, package.relations.depends] {
            for group in groups(field) {
                let relations = alternatives(group).map_err(malformed(package))?;
                self.satisfy(package, group, &relations)?;
            }
        }
        Ok(())
    }

    fn satisfy(
        &mut self,
        by: &'a Package<'a>,
        group: &str,
        relations: &[Relation<'_>],
    ) -> Result<(), ResolveError> {
        let candidates: Vec<_> = relations
            .iter()
            .flat_map(|r| self.universe.candidates(r))
            .collect();
        if candidates.iter().any(|p| self.chosen.contains_key(p.name)) {
            return Ok(());
        }
        // An excluded name counts as satisfied, but only where it would have been the choice.
        for relation in relations {
            let first = self.universe.candidates(relation).next();
            let names = [Some(relation.name), first.map(|p| p.name)];
            if let Some(name) = names
                .into_iter()
                .flatten()
                .find_map(|n| self.exclude.get(n).copied())
            {
                self.used_excludes.insert(name);
                return Ok(());
            }
            if first.is_some() {
                break;
            }
        }
        let Some(first) = candidates.first() else {
            return Err(ResolveError::Unsatisfiable {
                relation: group.to_owned(),
                chain: self.chain(by.name),
                found: self.universe.found(relations),
            });
        };
        self.choose(first, Some(by.name));
        Ok(())
    }

    /// Who wants a package: `requested -> ... -> name`.
    fn chain(&self, name: &str) -> String {
        let mut names = vec![name];
        // Each was chosen before what it wants, so this ends.
        while let Some(by) = names
            .last()
            .and_then(|n| self.chosen.get(n))
            .and_then(|c| c.wanted_by)
        {
            names.push(by);
        }
        names.reverse();
        names.join(" -> ")
    }

    fn refuse_conflicts(&self) -> Result<(), ResolveError> {
        let mut provided: BTreeMap<&str, Vec<Provider<'a>>> = BTreeMap::new();
        for name in self
            .chosen
            .values()
            .flat_map(|c| groups(c.package.relations.provides))
        {
            let name = name.split([' ', '(', '=', ':']).next().unwrap_or(name);
            let all = self.universe.providers.get(name).map_or(&[][..], Vec::as_slice);
            let here = all
                .iter()
                .filter(|p| self.chosen.contains_key(p.package.name))
                .copied();
            provided.insert(name, here.collect());
        }
        for choice in self.chosen.values() {
            let package = choice.package;
            let fields = [
                ("conflicts with", package.relations.conflicts),
                ("breaks", package.relations.breaks),
            ];
            for (field, text) in fields {
                for group in groups(text) {
                    let relation = Relation::parse(group).map_err(malformed(package))?;
                    if let Some(other) = self.hit(package, &relation, &provided) {
                        return Err(ResolveError::Conflict {
                            chain: self.chain(package.name),
                            field,
                            relation: relation.to_string(),
                            other_chain: self.chain(other),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// The chosen package, other than `package` itself, that a negative relation of it hits.
    fn hit(
        &self,
        package: &Package<'_>,
        relation: &Relation<'_>,
        provided: &BTreeMap<&str, Vec<Provider<'a>>>,
    ) -> Option<&'a str> {
        if !relation.is_for_amd64() {
            return None;
        }
        let real = self.chosen.get(relation.name).map(|c| c.package);
        let real = real.filter(|p| relation.accepts(p.name, p.version));
        let virtually = provided.get(relation.name).map_or(&[][..], Vec::as_slice);
        let virtually = virtually
            .iter()
            .filter(|p| provides(relation, p.version))
            .map(|p| p.package);
        real.into_iter()
            .chain(virtually)
            .map(|p| p.name)
            .find(|name| *name != package.name)
    }
}

fn malformed(package: &Package<'_>) -> impl FnOnce(RelationError) -> ResolveError {
    let package = package.name.to_owned();
    move |source| ResolveError::Relation { package, source }
}

#[cfg(test)]
mod tests;

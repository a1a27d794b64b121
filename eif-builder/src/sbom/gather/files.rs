//! The files of the app ramdisk that are not programs of ours: of packages, Java archives, and all others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{All, GatherError, Sources, deb, open, sha256_text};
use crate::digest::Sha256;
use crate::manifest::{Manifest, matches};
use crate::ramdisk::APP_ROOT;
use crate::sbom::debian::Owners;
use crate::sbom::{Component, Kind, Place, jar, purl};
use crate::tree::{Content, Kind as NodeKind, Tree};

/// The files of the app ramdisk that are not programs of ours.
pub(super) fn files(sources: &Sources<'_>, root: &Tree, all: &mut All) -> Result<(), GatherError> {
    let manifest = sources.ingredients.manifest;
    let packaged = sources.ingredients.packages.as_deref();
    let programs: BTreeSet<&str> = manifest
        .programs
        .iter()
        .map(|program| program.path.as_str())
        .collect();
    let mut from_packages: BTreeMap<usize, BTreeSet<Place>> = BTreeMap::new();
    let mut releases = Releases::default();
    for (path, node, origin) in root.iter() {
        let NodeKind::File(content) = &node.kind else {
            continue;
        };
        if programs.contains(path.as_str()) {
            continue;
        }
        let place = Place::app(&format!("{APP_ROOT}{path}"));
        let within = packaged.and_then(|packages| match content {
            Content::File { path, .. } => path.strip_prefix(packages).ok(),
            Content::Bytes(_) => None,
        });
        let is_jar = path
            .as_str()
            .rsplit_once('.')
            .is_some_and(|(_, extension)| extension == "jar");
        if within.is_some() {
            let owner = sources.owners.of(path.as_str());
            let owner = owner.ok_or_else(|| GatherError::NoOwner(path.to_string()))?;
            from_packages.entry(owner).or_default().insert(place);
            continue;
        }
        for owner in joined_from(manifest, path.as_str(), sources.owners) {
            from_packages.entry(owner).or_default().insert(place.clone());
        }
        let sha256 = match content {
            Content::Bytes(bytes) => Sha256::of(bytes).to_string(),
            Content::File { path, .. } => sha256_text(path)?,
        };
        let release = releases.of(sources, content, &place);
        if let (true, Content::File { path: file, .. }) = (is_jar, content) {
            let jar = java(file, path.as_str(), &place, &sha256, all)?;
            release.map(|release| release.contains.insert(jar));
            continue;
        }
        if release.is_some() {
            continue;
        }
        let mut component = Component::new(Kind::File, path.to_string(), String::new());
        component.sha256 = Some(sha256);
        component.places.insert(place);
        component.facts.insert("origin", origin.to_owned());
        all.add(component);
    }
    let extracted = packaged.unwrap_or_else(|| Path::new(""));
    for (owner, places) in from_packages {
        if let Some(package) = sources.packages.get(owner) {
            let mut component = deb(Kind::Package, package, sources, extracted)?;
            component.places = places;
            all.add(component);
        }
    }
    releases.0.into_values().for_each(|release| all.add(release));
    Ok(())
}

/// Releases of other projects, by the name of their download.
#[derive(Default)]
struct Releases(BTreeMap<String, Component>);

impl Releases {
    /// The release that a file was unpacked from, which then has its place.
    fn of(&mut self, sources: &Sources<'_>, content: &Content, place: &Place) -> Option<&mut Component> {
        let Content::File { path, .. } = content else {
            return None;
        };
        let mut tarballs = sources.ingredients.tarballs.iter();
        let (name, _) = tarballs.find(|(_, folder)| path.starts_with(folder))?;
        let locked = sources.downloads.iter().find(|locked| locked.name == *name)?;
        let release = self.0.entry(name.clone()).or_insert_with(|| {
            let mut release = Component::new(Kind::Release, name.clone(), String::new());
            release.purl = Some(purl::download(name, &locked.url, &locked.sha256.to_string()));
            release.sha256 = Some(locked.sha256.to_string());
            release.archive = true;
            release
        });
        release.places.insert(place.clone());
        Some(release)
    }
}

/// The packages that a `[[concatenation]]` at `path` took files from.
fn joined_from(manifest: &Manifest, path: &str, owners: &Owners) -> BTreeSet<usize> {
    let mut from = BTreeSet::new();
    for (target, patterns) in &manifest.concatenations {
        if target.as_str() == path {
            let taken = owners
                .iter()
                .filter(|(path, _)| patterns.iter().any(|pattern| matches(pattern, path)));
            from.extend(taken.map(|(_, owner)| owner));
        }
    }
    from
}

/// A Java archive and what is bundled in it; gives its reference. One that cannot be read is a component all the same.
fn java(file: &Path, path: &str, place: &Place, sha256: &str, all: &mut All) -> Result<String, GatherError> {
    let facts = jar::read(open(file)?);
    let unreadable = facts.is_err();
    let facts = facts.unwrap_or_default();
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".jar");
    let own = match facts.coordinates.as_slice() {
        [only] => Some(only),
        many => many
            .iter()
            .find(|c| stem == format!("{}-{}", c.artifact, c.version)),
    };
    let manifest = |key: &str| facts.manifest.get(key).cloned();
    let mut component = if let Some(own) = own {
        let mut component = Component::new(Kind::Jar, own.artifact.clone(), own.version.clone());
        component.purl = Some(purl::maven(&own.group, &own.artifact, &own.version));
        component.facts.insert("group", own.group.clone());
        component
    } else {
        let version = manifest("Implementation-Version").or_else(|| manifest("Bundle-Version"));
        let version = version.unwrap_or_default();
        let name = stem
            .strip_suffix(&format!("-{version}"))
            .unwrap_or(stem)
            .to_owned();
        let mut component = Component::new(Kind::Jar, name, version);
        component.purl = Some(purl::generic(&component.name, &component.version));
        component
    };
    component.sha256 = Some(sha256.to_owned());
    component.places.insert(place.clone());
    if unreadable {
        component
            .facts
            .insert("problem", "not a readable archive".to_owned());
    }
    // What a manifest calls a licence is an address as often as a name, so it is shown and not believed.
    if let Some(licence) = manifest("Bundle-License") {
        component.facts.insert("bundle-license", licence);
    }
    for other in facts.coordinates.iter().filter(|other| Some(*other) != own) {
        let mut part = Component::new(Kind::Jar, other.artifact.clone(), other.version.clone());
        part.purl = Some(purl::maven(&other.group, &other.artifact, &other.version));
        part.facts.insert("group", other.group.clone());
        part.facts.insert("bundled-in", component.name.clone());
        part.places.insert(place.clone());
        component.contains.insert(part.reference());
        all.add(part);
    }
    let reference = component.reference();
    all.add(component);
    Ok(reference)
}

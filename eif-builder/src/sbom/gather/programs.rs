//! Our programs, and what is compiled and linked into them.

use std::path::Path;

use super::{All, GatherError, Sources, deb, sha256_text};
use crate::crates::lockfile::CargoLock;
use crate::image::Ingredients;
use crate::manifest::ProgramName;
use crate::ramdisk::APP_ROOT;
use crate::sbom::closure::Used;
use crate::sbom::{Component, Kind, Place, purl};

/// Packages of the build root whose code is linked into every program: the C library, the compiler's own library, and
/// Rust's standard library with the crates that Debian compiled into it. Their names begin like this.
const LINKED: [(&str, &str); 3] = [("libc6-dev", ""), ("libgcc-", "-dev"), ("libstd-rust-", "-dev")];

/// Our programs, and what is compiled and linked into them.
pub(super) fn programs(sources: &Sources<'_>, all: &mut All) -> Result<(), GatherError> {
    let Ingredients {
        manifest,
        init,
        programs,
        ..
    } = sources.ingredients;
    let name = ProgramName {
        package: manifest.init_package.clone(),
        bin: manifest.init_package.clone(),
    };
    program(sources, &name, init, &Place::boot("/init"), all)?;
    for declared in &manifest.programs {
        if let Some(path) = programs.get(&declared.name) {
            let place = Place::app(&format!("{APP_ROOT}{}", declared.path));
            program(sources, &declared.name, path, &place, all)?;
        }
    }
    Ok(())
}

fn program(
    sources: &Sources<'_>,
    name: &ProgramName,
    path: &Path,
    place: &Place,
    all: &mut All,
) -> Result<(), GatherError> {
    let used = sources
        .closures
        .get(&name.package)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let own = used.iter().find(|used| used.member && used.name == name.package);
    let version = own.map(|used| used.version.clone()).unwrap_or_default();
    let mut component = Component::new(Kind::Program, name.bin.clone(), version);
    component.purl = Some(purl::generic(&name.bin, &component.version));
    component.licence = own.map(Used::licence).unwrap_or_default();
    component.sha256 = Some(sha256_text(path)?);
    component.places.insert(place.clone());
    component.facts.insert("package", name.package.clone());
    for used in used {
        let part = compiled(sources.lock, used, place)?;
        component.contains.insert(part.reference());
        all.add(part);
    }
    let (packages, root) = sources.build_root;
    for package in packages.iter().filter(|package| is_linked(&package.name)) {
        let mut part = deb(Kind::Linked, package, sources, root)?;
        part.places.insert(place.clone());
        component.contains.insert(part.reference());
        all.add(part);
    }
    all.add(component);
    Ok(())
}

/// Whether code of a package of the build root is linked into every program.
pub(in crate::sbom) fn is_linked(name: &str) -> bool {
    LINKED.iter().any(|(start, end)| match *end {
        "" => name == *start,
        end => name.starts_with(start) && name.ends_with(end),
    })
}

fn compiled(lock: &CargoLock, used: &Used, place: &Place) -> Result<Component, GatherError> {
    let kind = if used.member { Kind::Member } else { Kind::Crate };
    let mut component = Component::new(kind, used.name.clone(), used.version.clone());
    component.licence = used.licence();
    component.places.insert(place.clone());
    if !used.features.is_empty() {
        component.facts.insert("features", used.features.clone());
    }
    if used.member {
        component.purl = Some(purl::generic(&used.name, &used.version));
        return Ok(component);
    }
    component.purl = Some(purl::cargo(&used.name, &used.version));
    let same = |name: &str, version: &str| name == used.name && version == used.version;
    let locked = lock
        .packages()
        .iter()
        .find(|locked| same(&locked.name, &locked.version));
    let checksum = locked.and_then(|locked| locked.checksum.clone());
    component.sha256 = Some(checksum.ok_or_else(|| GatherError::NoChecksum {
        name: used.name.clone(),
        version: used.version.clone(),
    })?);
    component.archive = true;
    Ok(component)
}

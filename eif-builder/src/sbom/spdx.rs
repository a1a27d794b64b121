//! An inventory as an SPDX 2.3 document in JSON.
//!
//! SPDX 2.3 has no field for places and registers; they are in each package's `comment`. The time that the form demands is
//! the epoch: a build must not know another. Source: <https://spdx.github.io/spdx-spec/v2.3/>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::cyclonedx::UNKNOWN;
use super::{Component, Identity, Inventory, Kind};
use crate::digest::Sha256;

/// `created` of the document. Not a time.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// How many places a comment names.
const MAX_PLACES: usize = 20;
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// The document, ending in a newline.
#[must_use]
pub fn document(inventory: &Inventory) -> String {
    let Inventory { image, components } = inventory;
    let root = identifier("image", &image.name, &image.name);
    let mut packages = vec![whole(image, &root)];
    packages.extend(components.iter().map(one));
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": format!("{}-{}", image.name, image.version),
        "documentNamespace": format!("urn:uuid:{}", image.uuid()),
        "creationInfo": {
            "created": CREATED,
            "creators": [format!("Tool: {}-{}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))],
        },
        "documentDescribes": [root],
        "packages": packages,
        "relationships": relationships(&root, components),
    });
    let texts = texts(components);
    if let (false, Some(fields)) = (texts.is_empty(), document.as_object_mut()) {
        fields.insert("hasExtractedLicensingInfos".to_owned(), texts.into());
    }
    format!("{document:#}\n")
}

/// `SPDXRef-` with letters, digits, `.` and `-` only; the end of a digest keeps different names apart.
fn identifier(word: &str, name: &str, whole: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    let digest = Sha256::of(whole.as_bytes()).to_string();
    format!("SPDXRef-{word}-{plain}-{}", digest.get(..8).unwrap_or_default())
}

fn of(component: &Component) -> String {
    identifier(component.kind.word(), &component.name, &component.reference())
}

fn whole(image: &Identity, root: &str) -> Value {
    let registers: Vec<String> = image
        .registers()
        .into_iter()
        .map(|(name, value)| format!("{} {value}", name.to_uppercase()))
        .collect();
    json!({
        "SPDXID": root,
        "name": image.name,
        "versionInfo": image.version,
        "packageFileName": format!("{}.eif", image.name),
        "primaryPackagePurpose": "CONTAINER",
        "supplier": UNKNOWN,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
        "checksums": [
            {"algorithm": "SHA256", "checksumValue": image.eif_sha256.to_string()},
            {"algorithm": "SHA384", "checksumValue": image.eif_sha384},
        ],
        "comment": registers.join("\n"),
    })
}

const fn purpose(kind: Kind) -> &'static str {
    match kind {
        Kind::Kernel => "OPERATING-SYSTEM",
        Kind::Program | Kind::Release => "APPLICATION",
        Kind::Member | Kind::Crate | Kind::Linked | Kind::Package | Kind::Jar => "LIBRARY",
        Kind::File => "FILE",
    }
}

fn one(component: &Component) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("SPDXID", of(component).into());
    set("name", component.name.as_str().into());
    if !component.version.is_empty() {
        set("versionInfo", component.version.as_str().into());
    }
    set("primaryPackagePurpose", purpose(component.kind).into());
    set("supplier", UNKNOWN.into());
    set("downloadLocation", UNKNOWN.into());
    set("filesAnalyzed", false.into());
    // What somebody concluded from reading the sources. Nobody did.
    set("licenseConcluded", UNKNOWN.into());
    let declared = component.licence.expression().unwrap_or(UNKNOWN);
    set("licenseDeclared", declared.into());
    set("copyrightText", UNKNOWN.into());
    if let Some(sha256) = &component.sha256 {
        let checksum = json!({"algorithm": "SHA256", "checksumValue": sha256});
        set("checksums", json!([checksum]));
    }
    if let Some(purl) = &component.purl {
        let reference = json!({
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        });
        set("externalRefs", json!([reference]));
    }
    if let Some(source) = &component.source {
        set("sourceInfo", format!("built package from: {source}").into());
    }
    set("comment", comment(component).into());
    Value::Object(fields)
}

fn comment(component: &Component) -> String {
    let places = component.places.iter().take(MAX_PLACES);
    let mut lines: Vec<String> = places.map(|place| format!("at {place}")).collect();
    let more = component.places.len().saturating_sub(MAX_PLACES);
    if more > 0 {
        lines.push(format!(
            "and at {more} more places, all in the CycloneDX document"
        ));
    }
    let registers: BTreeSet<&str> = component
        .places
        .iter()
        .flat_map(|place| place.section.registers().split(','))
        .collect();
    let registers: Vec<&str> = registers.into_iter().collect();
    lines.push(format!("measured in {}", registers.join(", ")));
    if component.archive {
        lines.push("the checksum is that of the published archive".to_owned());
    }
    lines.extend(
        component
            .facts
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );
    lines.join("\n")
}

fn relationships(root: &str, components: &[Component]) -> Vec<Value> {
    let relation = |from: &str, kind: &str, to: &str| json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to});
    let by_reference: BTreeMap<String, &Component> = components.iter().map(|c| (c.reference(), c)).collect();
    let inner: BTreeSet<&String> = components.iter().flat_map(|c| &c.contains).collect();
    let mut all = vec![relation(DOCUMENT, "DESCRIBES", root)];
    for (reference, component) in &by_reference {
        if !inner.contains(reference) {
            all.push(relation(root, "CONTAINS", &of(component)));
        }
        for part in component
            .contains
            .iter()
            .filter_map(|part| by_reference.get(part))
        {
            let kind = if component.kind == Kind::Program {
                "STATIC_LINK"
            } else {
                "CONTAINS"
            };
            all.push(relation(&of(component), kind, &of(part)));
        }
    }
    all
}

/// Names that are not on SPDX's list must be explained.
fn texts(components: &[Component]) -> Vec<Value> {
    let all: BTreeMap<&String, &String> = components.iter().flat_map(|c| c.licence.references()).collect();
    let text = |(reference, name): (&String, &String)| {
        json!({
            "licenseId": reference,
            "name": name,
            "extractedText": format!("Called `{name}` in the package's copyright file, which has its text."),
        })
    };
    all.into_iter().map(text).collect()
}

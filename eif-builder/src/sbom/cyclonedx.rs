//! An inventory as a `CycloneDX` 1.6 document in JSON.
//!
//! Places are `evidence.occurrences`; registers and further facts are properties named `nitro-web3signer:…`. There is no
//! timestamp, and the serial number comes from the EIF's digest. Source: <https://cyclonedx.org/docs/1.6/json/>.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Component, Identity, Inventory, Kind, PROPERTY, Section};

/// What an unknown licence is called, in both forms.
pub const UNKNOWN: &str = "NOASSERTION";

/// The document, ending in a newline.
#[must_use]
pub fn document(inventory: &Inventory) -> String {
    let Inventory { image, components } = inventory;
    let root = reference(image);
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", image.uuid()),
        "version": 1,
        "metadata": {
            "tools": {"components": [{
                "type": "application",
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
            }]},
            "component": whole(image),
        },
        "components": components.iter().map(one).collect::<Vec<_>>(),
        "dependencies": dependencies(&root, components),
        "compositions": [{"aggregate": "complete", "assemblies": [root]}],
    });
    format!("{document:#}\n")
}

/// How the image is named within a document.
#[must_use]
pub fn reference(image: &Identity) -> String {
    format!("image:{}@{}", image.name, image.version)
}

fn whole(image: &Identity) -> Value {
    let registers = image.registers();
    let properties = registers.iter().map(|(name, value)| property(name, value));
    json!({
        "type": "container",
        "bom-ref": reference(image),
        "name": image.name,
        "version": image.version,
        "description": "AWS Nitro Enclave image (EIF)",
        "hashes": [
            {"alg": "SHA-256", "content": image.eif_sha256.to_string()},
            {"alg": "SHA-384", "content": image.eif_sha384},
        ],
        "properties": properties.collect::<Vec<_>>(),
    })
}

fn property(name: &str, value: &str) -> Value {
    json!({"name": format!("{PROPERTY}:{name}"), "value": value})
}

const fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Kernel => "operating-system",
        Kind::Program | Kind::Release => "application",
        Kind::Member | Kind::Crate | Kind::Linked | Kind::Package | Kind::Jar => "library",
        Kind::File => "file",
    }
}

fn one(component: &Component) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("type", type_of(component.kind).into());
    set("bom-ref", component.reference().into());
    set("name", component.name.as_str().into());
    if !component.version.is_empty() {
        set("version", component.version.as_str().into());
    }
    if let Some(group) = component.facts.get("group") {
        set("group", group.as_str().into());
    }
    if let Some(purl) = &component.purl {
        set("purl", purl.as_str().into());
    }
    if component.kind == Kind::Kernel {
        // What vulnerability databases list the kernel under: the release without Debian's additions.
        let version: String = component
            .version
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        if !version.is_empty() {
            set(
                "cpe",
                format!("cpe:2.3:o:linux:linux_kernel:{version}:*:*:*:*:*:*:*").into(),
            );
        }
    }
    let licence = component.licence.expression().map_or_else(
        || json!([{"license": {"name": UNKNOWN}}]),
        |expression| json!([{"expression": expression}]),
    );
    // A file that was made from the manifest has no licence that could be asked about.
    if component.kind != Kind::File {
        set("licenses", licence);
    }
    if let Some(sha256) = &component.sha256 {
        set("hashes", json!([{"alg": "SHA-256", "content": sha256}]));
    }
    let places: Vec<Value> = component
        .places
        .iter()
        .map(|place| json!({"location": place.to_string()}))
        .collect();
    if !places.is_empty() {
        set("evidence", json!({"occurrences": places}));
    }
    set("properties", properties(component).into());
    Value::Object(fields)
}

fn properties(component: &Component) -> Vec<Value> {
    let sections: BTreeSet<Section> = component.places.iter().map(|place| place.section).collect();
    let registers: BTreeSet<&str> = sections
        .iter()
        .flat_map(|section| section.registers().split(','))
        .collect();
    let mut properties = vec![property("kind", component.kind.word())];
    if component.archive {
        properties.push(property("digest-of", "the published archive"));
    }
    if let Some(source) = &component.source {
        properties.push(property("source", &source.name));
        properties.push(property("source-version", &source.version));
    }
    for (name, value) in &component.facts {
        properties.push(property(name, value));
    }
    for (reference, name) in component.licence.references() {
        properties.push(property("licence-name", &format!("{reference} is `{name}`")));
    }
    for register in registers {
        properties.push(property("measured-in", register));
    }
    properties
}

fn dependencies(root: &str, components: &[Component]) -> Vec<Value> {
    let inner: BTreeSet<&String> = components.iter().flat_map(|c| &c.contains).collect();
    let outer: Vec<String> = components
        .iter()
        .map(Component::reference)
        .filter(|reference| !inner.contains(reference))
        .collect();
    let mut all = vec![json!({"ref": root, "dependsOn": outer})];
    for component in components {
        let reference = component.reference();
        if component.contains.is_empty() {
            all.push(json!({"ref": reference}));
        } else {
            all.push(json!({"ref": reference, "dependsOn": component.contains}));
        }
    }
    all
}

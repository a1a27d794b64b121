//! The bill of materials that lies beside an image, believed only when it names this image's registers.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::sbom::PROPERTY;

/// Largest document that is read.
pub const MAX_BYTES: u64 = 64 << 20;
/// The registers that every image has. Together they cover everything that is measured.
const TIES: [&str; 3] = ["PCR0", "PCR1", "PCR2"];
/// Most components that are shown.
const MAX_COMPONENTS: usize = 20_000;

/// One thing in the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Material {
    /// `kernel`, `program`, `member`, `crate`, `linked`, `deb`, `release`, `jar`, `file`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version, or nothing.
    pub version: String,
    /// The source package that it was built from, or nothing.
    pub source: String,
    /// Its licence, or nothing.
    pub licence: String,
    /// Where it is.
    pub places: Vec<String>,
}

/// What a document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Materials {
    /// In the order of the document.
    pub all: Vec<Material>,
    /// SHA-256 of the kernel's configuration, if it names one.
    pub config_sha256: Option<String>,
}

/// Why a document is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaterialsError {
    /// Not JSON, or without what every document has.
    #[error("it is not a CycloneDX document in JSON")]
    Form,
    /// It describes other bytes.
    #[error("it is of another image: its {register} is {found}, this image's is {expected}")]
    OtherImage {
        /// Which register.
        register: &'static str,
        /// In the document.
        found: String,
        /// Of the image.
        expected: String,
    },
    /// Too much to show.
    #[error("it has more than {MAX_COMPONENTS} components")]
    TooMany,
}

/// Reads a `CycloneDX` document about the image with these registers. They, not the digest of the file, tie the two: what
/// is not measured (a signature, metadata) may differ.
///
/// # Errors
/// [`MaterialsError`].
pub fn read(document: &[u8], registers: &[(&'static str, &str)]) -> Result<Materials, MaterialsError> {
    let document: Value = serde_json::from_slice(document).map_err(|_| MaterialsError::Form)?;
    let image = document
        .pointer("/metadata/component")
        .ok_or(MaterialsError::Form)?;
    for name in TIES {
        let found = property(image, &name.to_lowercase());
        let expected = registers.iter().find(|(register, _)| *register == name);
        let expected = expected.map_or("", |(_, value)| value);
        if found.is_empty() {
            return Err(MaterialsError::Form);
        }
        if found != expected {
            return Err(MaterialsError::OtherImage {
                register: name,
                found: found.chars().take(96).collect(),
                expected: expected.to_owned(),
            });
        }
    }
    let components = document
        .get("components")
        .and_then(Value::as_array)
        .ok_or(MaterialsError::Form)?;
    if components.len() > MAX_COMPONENTS {
        return Err(MaterialsError::TooMany);
    }
    let all: Vec<Material> = components.iter().map(one).collect();
    let kernel = components
        .iter()
        .find(|component| property(component, "kind") == "kernel");
    let config = kernel
        .map(|kernel| property(kernel, "config-sha256"))
        .filter(|digest| !digest.is_empty());
    Ok(Materials {
        all,
        config_sha256: config.map(str::to_owned),
    })
}

fn one(component: &Value) -> Material {
    let licences = component.get("licenses").and_then(Value::as_array);
    let licences: BTreeSet<&str> = licences
        .into_iter()
        .flatten()
        .map(
            |licence| match licence.get("expression").and_then(Value::as_str) {
                Some(expression) => expression,
                None => licence.get("license").map_or("", |licence| text(licence, "name")),
            },
        )
        .collect();
    let occurrences = component
        .pointer("/evidence/occurrences")
        .and_then(Value::as_array);
    let places = occurrences
        .into_iter()
        .flatten()
        .map(|place| text(place, "location").to_owned());
    Material {
        kind: property(component, "kind").to_owned(),
        name: text(component, "name").to_owned(),
        version: text(component, "version").to_owned(),
        source: property(component, "source").to_owned(),
        licence: licences.into_iter().collect::<Vec<_>>().join(", "),
        places: places.collect(),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn property<'a>(component: &'a Value, name: &str) -> &'a str {
    let properties = component.get("properties").and_then(Value::as_array);
    let mut found = properties.into_iter().flatten().filter(|property| {
        text(property, "name")
            .strip_prefix(PROPERTY)
            .and_then(|rest| rest.strip_prefix(':'))
            == Some(name)
    });
    found.next().map_or("", |property| text(property, "value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: [(&str, &str); 3] = [("PCR0", "00"), ("PCR1", "11"), ("PCR2", "22")];

    fn document() -> String {
        let register = |(name, value): (&str, &str)| {
            let name = name.to_lowercase();
            format!(r#"{{"name":"nitro-web3signer:{name}","value":"{value}"}}"#)
        };
        let registers = ZERO.map(register).join(",");
        format!(
            r#"{{"metadata":{{"component":{{"properties":[{registers}]}}}},"components":[
            {{"name":"linux","version":"6.12","licenses":[{{"expression":"GPL-2.0-only"}}],
              "properties":[{{"name":"nitro-web3signer:kind","value":"kernel"}},
                            {{"name":"nitro-web3signer:source","value":"linux"}},
                            {{"name":"nitro-web3signer:config-sha256","value":"ab"}}],
              "evidence":{{"occurrences":[{{"location":"kernel"}}]}}}}, 7]}}"#
        )
    }

    #[test]
    fn a_document_about_this_image_is_read() {
        let materials = read(document().as_bytes(), &ZERO).unwrap();
        assert_eq!(materials.config_sha256.as_deref(), Some("ab"));
        let linux = &materials.all[0];
        assert_eq!(
            (linux.kind.as_str(), linux.licence.as_str()),
            ("kernel", "GPL-2.0-only")
        );
        assert_eq!(
            (linux.source.as_str(), linux.places.as_slice()),
            ("linux", &["kernel".to_owned()][..])
        );
        assert_eq!(materials.all[1], Material::default());
    }

    #[test]
    fn others_are_refused() {
        let text = document();
        for (index, (name, _)) in ZERO.iter().enumerate() {
            let mut other = ZERO;
            other[index].1 = "33";
            let error = read(text.as_bytes(), &other).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            let unnamed = text.replace(&name.to_lowercase(), "pcr9");
            assert_eq!(read(unnamed.as_bytes(), &ZERO), Err(MaterialsError::Form));
        }
        for cut in 0..text.len() {
            let cut = read(&text.as_bytes()[..cut], &ZERO);
            assert_eq!(cut, Err(MaterialsError::Form));
        }
        let many = text.replace(", 7]", &format!("{}]", ", 7".repeat(MAX_COMPONENTS)));
        assert_eq!(read(many.as_bytes(), &ZERO), Err(MaterialsError::TooMany));
    }
}

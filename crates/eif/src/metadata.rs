//! The metadata section: a JSON text about the build, in the order and spelling that AWS's tools write.
//!
//! It is not measured, so nothing may be trusted because of it. Every value comes from the caller: no clock, no
//! host name. `SPEC.md`, section 4.

use serde_json::Value;

/// How an image was built, as told by its builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// RFC 3339 time; a fixed one for a reproducible image.
    pub build_time: String,
    /// Name of the tool.
    pub build_tool: String,
    /// Version of the tool.
    pub build_tool_version: String,
    /// For example `Linux`.
    pub operating_system: String,
    /// For example `6.12.90`.
    pub kernel_version: String,
}

/// The content of the metadata section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Name of the image.
    pub image_name: String,
    /// Version of the image.
    pub image_version: String,
    /// How it was built.
    pub build: BuildInfo,
    /// What `docker inspect` said, or null.
    pub docker_info: Value,
    /// Whatever the user wants to add, or null.
    pub custom: Value,
}

impl Metadata {
    /// The section's bytes: compact JSON, all five top-level keys present, as AWS's reader needs them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = |value: &str| Value::from(value).to_string();
        let build = [
            ("BuildTime", &self.build.build_time),
            ("BuildTool", &self.build.build_tool),
            ("BuildToolVersion", &self.build.build_tool_version),
            ("OperatingSystem", &self.build.operating_system),
            ("KernelVersion", &self.build.kernel_version),
        ];
        let all = [
            ("ImageName", text(&self.image_name)),
            ("ImageVersion", text(&self.image_version)),
            (
                "BuildMetadata",
                object(&build.map(|(key, value)| (key, text(value)))),
            ),
            ("DockerInfo", self.docker_info.to_string()),
            ("CustomMetadata", self.custom.to_string()),
        ];
        object(&all).into_bytes()
    }
}

/// A JSON object with its keys in the given order, which a map would not keep.
fn object(members: &[(&str, String)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_fixed() {
        let metadata = Metadata {
            image_name: "a \"name\"\n\u{1}é".to_owned(),
            image_version: "1".to_owned(),
            build: BuildInfo {
                build_time: "1970-01-01T00:00:00Z".to_owned(),
                build_tool: "tool".to_owned(),
                build_tool_version: "0".to_owned(),
                operating_system: "Linux".to_owned(),
                kernel_version: "6.12".to_owned(),
            },
            docker_info: Value::Null,
            custom: serde_json::json!({ "k": [1, true] }),
        };
        let expected = concat!(
            r#"{"ImageName":"a \"name\"\n\u0001é","ImageVersion":"1","BuildMetadata":{"#,
            r#""BuildTime":"1970-01-01T00:00:00Z","BuildTool":"tool","BuildToolVersion":"0","#,
            r#""OperatingSystem":"Linux","KernelVersion":"6.12"},"DockerInfo":null,"CustomMetadata":{"k":[1,true]}}"#
        );
        let bytes = metadata.to_bytes();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        serde_json::from_slice::<Value>(&bytes).unwrap();
    }
}

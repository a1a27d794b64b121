//! What is taken for the measurements of an image, and what is not.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use kms_policy::measurements::{self, MeasurementsError};
use kms_policy::pcr::{Pcr, PcrError};
use kms_policy::request::ImagePcrs;
use serde_json::{Value, json};

fn sample() -> Value {
    json!({
        "HashAlgorithm": "Sha384 { ... }",
        "PCR0": "a0".repeat(48),
        "PCR1": "A1".repeat(48),
        "PCR2": "a2".repeat(48),
        "PCR8": "a8".repeat(48),
    })
}

fn read(json: &Value) -> Result<ImagePcrs, MeasurementsError> {
    measurements::read("native", json.to_string().as_bytes())
}

fn with(name: &str, value: Value) -> Value {
    let mut all = sample();
    all.as_object_mut().unwrap().insert(name.to_owned(), value);
    all
}

#[test]
fn both_forms_of_measurements_are_read() {
    let inner = read(&sample()).unwrap();
    assert_eq!(inner.pcr1.to_string(), "a1".repeat(48));
    assert_eq!(inner.pcr8, Some(Pcr::new([0xa8; 48])));
    let outer = json!({ "Measurements": sample(), "EifSha256": "00", "EifVersion": 4 });
    assert_eq!(read(&outer).unwrap(), inner);
    let mut unsigned = sample();
    unsigned.as_object_mut().unwrap().remove("PCR8");
    assert_eq!(read(&unsigned).unwrap().pcr8, None);
}

#[test]
fn other_files_are_refused() {
    let text = sample().to_string();
    for len in 0..text.len() {
        let cut = text.get(..len).unwrap();
        assert!(
            matches!(
                measurements::read("x", cut.as_bytes()),
                Err(MeasurementsError::Json { .. })
            ),
            "cut at {len}"
        );
    }
    for json in [
        json!({}),
        json!([]),
        json!({ "Measurements": 1 }),
        with("PCR3", json!("a3")),
        with("PCR0", json!(0)),
    ] {
        assert!(
            matches!(read(&json), Err(MeasurementsError::Json { .. })),
            "{json}"
        );
    }
    let twice = text.replacen('{', &format!("{{\"PCR0\":\"{}\",", "bb".repeat(48)), 1);
    assert!(matches!(
        measurements::read("x", twice.as_bytes()),
        Err(MeasurementsError::Json { .. })
    ));
    let outer_twice = format!("{{\"Measurements\":{text},\"Measurements\":{text}}}");
    assert!(matches!(
        measurements::read("x", outer_twice.as_bytes()),
        Err(MeasurementsError::Json { .. })
    ));
    assert!(matches!(
        read(&with("HashAlgorithm", json!("Sha256 { ... }"))),
        Err(MeasurementsError::Algorithm { .. })
    ));
    let short = read(&with("PCR2", json!("a2"))).unwrap_err();
    assert!(matches!(
        short,
        MeasurementsError::Pcr {
            name: "PCR2",
            source: PcrError::Length { actual: 2 },
            ..
        }
    ));
    let long = " ".repeat(measurements::MAX_BYTES + 1);
    assert!(matches!(
        measurements::read("x", long.as_bytes()),
        Err(MeasurementsError::TooLarge { .. })
    ));
}

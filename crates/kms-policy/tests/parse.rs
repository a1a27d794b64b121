//! Reading foreign policies: what is refused, and that no bytes lead to a panic.

use kms_policy::action::ActionError;
use kms_policy::condition::{ConditionError, ConditionKey, Operator, Test};
use kms_policy::parse::{JsonError, ParseError, Place};
use kms_policy::policy::{MAX_POLICY_BYTES, Policy, Version};
use proptest::prelude::*;

const FULL: &str = include_str!("data/full.json");

const ONE: &str = include_str!("data/one-image.json");

/// A policy as the AWS console writes it.
const CONSOLE: &str = include_str!("data/console-default.json");

const PLACE: Place = Place::Statement(0);

fn parse(text: &str) -> Result<Policy, ParseError> {
    Policy::parse(text.as_bytes())
}

/// A policy of one statement with one member replaced, added (`with` not empty) or left out.
fn with(member: &str, with: &str) -> Result<Policy, ParseError> {
    let members = [
        ("Effect", r#""Allow""#),
        ("Principal", r#"{"AWS":"111122223333"}"#),
        ("Action", r#""kms:*""#),
        ("Resource", r#""*""#),
    ];
    let mut all: Vec<(&str, &str)> = members.into_iter().filter(|(name, _)| *name != member).collect();
    if !with.is_empty() {
        all.push((member, with));
    }
    let text: Vec<String> = all
        .iter()
        .map(|(name, value)| format!("{name:?}:{value}"))
        .collect();
    parse(&format!(r#"{{"Statement":[{{{}}}]}}"#, text.join(",")))
}

#[test]
fn foreign_policies_are_read_and_written_in_one_form() {
    let policy = parse(CONSOLE).unwrap();
    assert_eq!(policy.version, Version::V2012);
    assert_eq!(policy.id.as_deref(), Some("key-consolepolicy-3"));
    assert_eq!(policy.statements.len(), 4);
    let text = policy.to_json();
    assert_eq!(parse(&text), Ok(policy));
    assert!(text.ends_with("}\n"));
    let single = parse(
        r#"{"Statement":{"Effect":"Deny","Principal":{"AWS":["*"]},"NotAction":["a:b"],"Resource":["*"]}}"#,
    );
    let written = single.unwrap().to_json();
    assert_eq!(
        written.split_whitespace().collect::<String>(),
        r#"{"Version":"2008-10-17","Statement":[{"Effect":"Deny","Principal":"*","NotAction":"a:b","Resource":"*"}]}"#
    );
}

#[test]
fn the_document_is_checked() {
    let place = Place::Document;
    let unknown = |name: &str| {
        Err(ParseError::UnknownElement {
            place,
            name: name.to_owned(),
        })
    };
    assert_eq!(parse(r#"{"Statement":[],"statement":[]}"#), unknown("statement"));
    assert_eq!(
        parse("{}"),
        Err(ParseError::MissingElement {
            place,
            name: "Statement"
        })
    );
    let expected = "an object";
    assert_eq!(
        parse("[]"),
        Err(ParseError::WrongType {
            place,
            name: "Policy",
            expected
        })
    );
    let expected = "a list of statements";
    assert_eq!(
        parse(r#"{"Statement":1}"#),
        Err(ParseError::WrongType {
            place,
            name: "Statement",
            expected
        })
    );
    let version = parse(r#"{"Version":"2012-10-18","Statement":[]}"#);
    let (found, expected) = ("2012-10-18".to_owned(), "2012-10-17 or 2008-10-17");
    assert_eq!(
        version,
        Err(ParseError::WrongValue {
            place,
            name: "Version",
            found,
            expected
        })
    );
    let key = "Effect".to_owned();
    let twice = parse(r#"{"Statement":[{"Effect":"Deny","Effect":"Allow"}]}"#);
    assert_eq!(twice, Err(ParseError::Json(JsonError::DuplicateKey { key })));
    let long = format!("{FULL}{}", " ".repeat(MAX_POLICY_BYTES));
    assert!(matches!(
        parse(&long),
        Err(ParseError::Json(JsonError::TooLarge { .. }))
    ));
    assert!(matches!(
        parse(&"[".repeat(MAX_POLICY_BYTES)),
        Err(ParseError::Json(JsonError::TooDeep { .. }))
    ));
}

#[test]
fn each_element_of_a_statement_is_checked() {
    with("Sid", r#""a name""#).unwrap();
    for name in ["Effect", "Principal", "Action", "Resource"] {
        assert_eq!(
            with(name, ""),
            Err(ParseError::MissingElement { place: PLACE, name })
        );
    }
    for name in ["NotResource", "condition", "Comment"] {
        let unknown = ParseError::UnknownElement {
            place: PLACE,
            name: name.to_owned(),
        };
        assert_eq!(with(name, r#""*""#), Err(unknown));
    }
    let (found, expected) = ("allow".to_owned(), "Allow or Deny");
    assert_eq!(
        with("Effect", r#""allow""#),
        Err(ParseError::WrongValue {
            place: PLACE,
            name: "Effect",
            found,
            expected
        })
    );
    for (name, value) in [
        ("Action", "[]"),
        ("Action", "[1]"),
        ("Resource", "null"),
        ("Principal", "\"x\""),
        ("Sid", "1"),
    ] {
        assert!(
            matches!(with(name, value), Err(ParseError::WrongType { name: n, .. }) if n == name),
            "{name} {value}"
        );
    }
    let both = |one, other| {
        Err(ParseError::Both {
            place: PLACE,
            one,
            other,
        })
    };
    assert_eq!(with("NotAction", r#""a:b""#), both("Action", "NotAction"));
    assert_eq!(with("NotPrincipal", r#""*""#), both("Principal", "NotPrincipal"));
    let allow = r#"{"Statement":{"Effect":"Allow","NotPrincipal":"*","Action":"kms:*","Resource":"*"}}"#;
    assert_eq!(parse(allow), Err(ParseError::NotPrincipalAllow { place: PLACE }));
    let source = ActionError {
        found: "Decrypt".to_owned(),
    };
    assert_eq!(
        with("Action", r#"["kms:*","Decrypt"]"#),
        Err(ParseError::Action { place: PLACE, source })
    );
    for principal in ["{}", r#"{"AWS":[]}"#, r#"{"AWS":{}}"#, "[]"] {
        assert!(
            matches!(with("Principal", principal), Err(ParseError::WrongType { .. })),
            "{principal}"
        );
    }
    for principal in [
        r#"{"AWS":"arn:aws:iam::111122223333:role/*"}"#,
        r#"{"AWS":"x"}"#,
        r#"{"Service":"x"}"#,
    ] {
        assert!(
            matches!(with("Principal", principal), Err(ParseError::Principal { .. })),
            "{principal}"
        );
    }
    let name = "Federated".to_owned();
    assert_eq!(
        with("Principal", r#"{"Federated":"x"}"#),
        Err(ParseError::UnknownElement { place: PLACE, name })
    );
    let variable = with("Resource", r#""${aws:x}""#);
    assert!(matches!(
        variable,
        Err(ParseError::WrongValue { name: "Resource", .. })
    ));
}

#[test]
fn each_part_of_a_condition_is_checked() {
    let condition = |text: &str| match with("Condition", text) {
        Err(ParseError::Condition { place: PLACE, source }) => source,
        other => panic!("{text}: {other:?}"),
    };
    with("Condition", r#"{"Bool":{"kms:GrantIsForAWSResource":true}}"#).unwrap();
    with("Condition", "{}").unwrap();
    let operator = Operator::plain(Test::StringEquals);
    let found = "NumericLessThan".to_owned();
    assert_eq!(
        condition(r#"{"NumericLessThan":{"kms:x":1}}"#),
        ConditionError::Operator { found }
    );
    assert_eq!(
        condition(r#"{"StringEquals":{}}"#),
        ConditionError::Empty { operator }
    );
    assert_eq!(
        condition(r#"{"StringEquals":{"kms:x":[]}}"#),
        ConditionError::Empty { operator }
    );
    assert_eq!(
        condition(r#"{"StringEquals":{"kms:x":null}}"#),
        ConditionError::ValueType { operator }
    );
    let key = ConditionKey::pcr(0);
    let twice =
        r#"{"StringEquals":{"kms:RecipientAttestation:PCR0":"a","KMS:recipientattestation:pcr0":"b"}}"#;
    assert_eq!(condition(twice), ConditionError::DuplicateKey { operator, key });
    let found = "${aws:username}".to_owned();
    assert_eq!(
        condition(r#"{"StringEquals":{"kms:x":"${aws:username}"}}"#),
        ConditionError::Variable { operator, found }
    );
    let (operator, found) = (Operator::plain(Test::Bool), "yes".to_owned());
    assert_eq!(
        condition(r#"{"Bool":{"kms:x":"yes"}}"#),
        ConditionError::NotBool { operator, found }
    );
    let found = "x".to_owned();
    assert_eq!(
        condition(r#"{"Bool":{"x":"true"}}"#),
        ConditionError::Key { found }
    );
    for text in ["[]", r#"{"StringEquals":[]}"#, "1"] {
        assert!(
            matches!(
                with("Condition", text),
                Err(ParseError::WrongType {
                    name: "Condition",
                    ..
                })
            ),
            "{text}"
        );
    }
}

#[test]
fn a_policy_cut_off_anywhere_is_refused() {
    let whole = ONE.trim_end();
    for len in 0..whole.len() {
        let cut = whole.get(..len).unwrap();
        assert!(
            matches!(parse(cut), Err(ParseError::Json(JsonError::Syntax { .. }))),
            "cut at {len}"
        );
    }
    parse(whole).unwrap();
}

#[test]
fn a_flipped_bit_is_refused_or_changes_the_policy() {
    // Without indent: white space is all that may change without a trace.
    let compact = serde_json::from_str::<serde_json::Value>(ONE)
        .unwrap()
        .to_string();
    let mut bytes = compact.clone().into_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            *bytes.get_mut(at).unwrap() ^= 1 << bit;
            if let Ok(policy) = Policy::parse(&bytes) {
                let text = policy.to_json();
                assert_ne!(text, ONE, "byte {at} bit {bit} of {compact}");
                assert_eq!(parse(&text), Ok(policy));
            }
            *bytes.get_mut(at).unwrap() ^= 1 << bit;
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_lead_to_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Policy::parse(&bytes).is_err());
    }

    #[test]
    fn no_edit_leads_to_a_panic(at in 0..FULL.len(), cut in 0_usize..40, insert in "[\\[\\]{}\",:*a-zA-Z0-9 ]{0,12}") {
        let mut bytes = FULL.as_bytes().to_vec();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, insert.bytes());
        if let Ok(policy) = Policy::parse(&bytes) {
            prop_assert_eq!(parse(&policy.to_json()), Ok(policy));
        }
    }
}

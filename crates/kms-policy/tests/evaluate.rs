//! The evaluator: operators, principals and the order of decisions, on hand-written policies.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::needless_pass_by_value,
    clippy::too_many_lines,
    reason = "tables of cases read best in place"
)]

use kms_policy::evaluate::{Caller, Context, Decision, EvaluateError, Fact, Request, StatementRef};
use kms_policy::policy::Policy;
use serde_json::{Value, json};
use support::{ADMIN, INSTANCE, KEY, LOADER, role};

#[expect(dead_code, reason = "this file asks in its own way")]
mod support;

fn policy(statements: Value) -> Policy {
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    Policy::parse(text.as_bytes()).unwrap()
}

fn context(facts: &[(&str, Fact)]) -> Context {
    facts
        .iter()
        .map(|(key, fact)| (key.parse().unwrap(), fact.clone()))
        .collect()
}

fn one(value: &str) -> Fact {
    Fact::One(value.to_owned())
}

fn many(values: &[&str]) -> Fact {
    Fact::Many(values.iter().map(|v| (*v).to_owned()).collect())
}

fn instance() -> Caller {
    Caller::role_session(&role(INSTANCE), "i-0123").unwrap()
}

fn decide(
    policy: &Policy,
    caller: &Caller,
    context: &Context,
    iam_allows: bool,
) -> Result<Decision, EvaluateError> {
    policy.evaluate(&Request {
        caller,
        action: "kms:Decrypt",
        key_arn: KEY,
        context,
        iam_allows,
    })
}

/// Whether an Allow with this condition lets a request with this fact about `kms:k` through.
fn holds(operator: &str, wanted: Value, fact: Option<Fact>) -> Result<bool, EvaluateError> {
    let condition = json!({ operator: { "kms:k": wanted } });
    let policy = policy(json!({
        "Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*", "Condition": condition
    }));
    let context = fact.map(|fact| context(&[("KMS:K", fact)])).unwrap_or_default();
    decide(&policy, &instance(), &context, false).map(|decision| decision.is_allow())
}

#[test]
fn each_operator_means_what_iam_says() {
    let ab = || json!(["a", "b"]);
    for (operator, wanted, fact, expected) in [
        ("StringEquals", ab(), Some("b"), true),
        ("StringEquals", ab(), Some("B"), false),
        ("StringEquals", ab(), None, false),
        ("StringEqualsIgnoreCase", ab(), Some("B"), true),
        ("StringNotEquals", ab(), Some("a"), false),
        ("StringNotEquals", ab(), Some("A"), true),
        ("StringNotEquals", ab(), None, true),
        ("StringNotEqualsIgnoreCase", ab(), Some("A"), false),
        ("StringNotEqualsIgnoreCase", ab(), Some("c"), true),
        ("StringNotEqualsIgnoreCase", ab(), None, true),
        ("StringLike", json!("a*z"), Some("abcz"), true),
        ("StringLike", json!("a*z"), Some("ABCZ"), false),
        ("StringNotLike", json!("a?"), Some("ab"), false),
        ("StringNotLike", json!("a?"), Some("abc"), true),
        ("StringEquals", json!("a*"), Some("ab"), false),
        ("StringEqualsIfExists", ab(), None, true),
        ("StringEqualsIfExists", ab(), Some("c"), false),
        ("Null", json!("true"), None, true),
        ("Null", json!(true), Some("x"), false),
        ("Null", json!("false"), Some("x"), true),
        ("Null", json!(["true", "false"]), Some("x"), true),
        ("Bool", json!(true), Some("true"), true),
        ("Bool", json!("True"), Some("true"), true),
        ("Bool", json!("true"), Some("false"), false),
        ("Bool", json!("true"), None, false),
        ("BoolIfExists", json!("true"), None, true),
        (
            "ArnLike",
            json!("arn:aws:iam::*:role/x*"),
            Some("arn:aws:iam::1:role/xy"),
            true,
        ),
        (
            "ArnEquals",
            json!("arn:aws:iam::*:role/x*"),
            Some("arn:aws:iam::1:role/xy"),
            true,
        ),
        ("ArnLike", json!("arn:*"), Some("arn:aws:iam::1:role/xy"), false),
        (
            "ArnLike",
            json!("arn:*:iam::1:role/x"),
            Some("arn:a:iam::1:role/x"),
            true,
        ),
        (
            "ArnLike",
            json!("arn:*:1:role/x"),
            Some("arn:aws:iam::1:role/x"),
            false,
        ),
        (
            "ArnNotEquals",
            json!("arn:aws:iam::1:role/x"),
            Some("arn:aws:iam::1:role/x"),
            false,
        ),
        (
            "ArnNotLike",
            json!("arn:aws:iam::1:role/x"),
            Some("arn:aws:iam::1:role/y"),
            true,
        ),
        ("ArnNotLike", json!("arn:aws:iam::1:role/x"), Some("no arn"), true),
        ("ArnNotLike", json!("arn:aws:iam::1:role/x"), None, true),
    ] {
        let what = format!("{operator} {wanted} of {fact:?}");
        assert_eq!(holds(operator, wanted, fact.map(one)), Ok(expected), "{what}");
    }
}

#[test]
fn set_operators_quantify_over_the_request() {
    let ab = || json!(["a", "b"]);
    for (operator, values, expected) in [
        ("ForAllValues:StringEquals", Some(many(&["a", "b"])), true),
        ("ForAllValues:StringEquals", Some(many(&["a", "c"])), false),
        ("ForAllValues:StringEquals", Some(many(&[])), true),
        ("ForAllValues:StringEquals", None, true),
        ("ForAllValues:StringNotEquals", Some(many(&["c", "d"])), true),
        ("ForAllValues:StringNotEquals", Some(many(&["c", "a"])), false),
        ("ForAllValues:StringEqualsIfExists", None, true),
        ("ForAnyValue:StringEquals", Some(many(&["a", "c"])), true),
        ("ForAnyValue:StringEquals", Some(many(&["c", "d"])), false),
        ("ForAnyValue:StringEquals", Some(many(&[])), false),
        ("ForAnyValue:StringEquals", None, false),
        ("ForAnyValue:StringNotEquals", Some(many(&["a", "c"])), true),
        ("ForAnyValue:StringNotEquals", Some(many(&["a", "b"])), false),
        ("ForAnyValue:StringNotEquals", None, false),
        ("ForAnyValue:StringLike", Some(one("a")), true),
    ] {
        assert_eq!(
            holds(operator, ab(), values.clone()),
            Ok(expected),
            "{operator} of {values:?}"
        );
    }
    let key = "kms:k".parse().unwrap();
    let error = EvaluateError::SeveralValues { index: 0, key };
    assert_eq!(holds("StringEquals", ab(), Some(many(&["a"]))), Err(error));
    assert_eq!(holds("Null", json!("false"), Some(many(&["a"]))), Ok(true));
}

#[test]
fn several_keys_and_operators_must_all_hold() {
    let policy = policy(json!([{
        "Effect": "Allow", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*",
        "Condition": { "StringEquals": { "kms:a": "1", "kms:b": "2" }, "StringLike": { "kms:c": "3*" } }
    }]));
    let allowed = |a, b, c| {
        let context = context(&[("kms:a", one(a)), ("kms:b", one(b)), ("kms:c", one(c))]);
        decide(&policy, &instance(), &context, false).unwrap().is_allow()
    };
    assert!(allowed("1", "2", "33"));
    assert!(!allowed("1", "x", "33"));
    assert!(!allowed("x", "2", "33"));
    assert!(!allowed("1", "2", "x"));
}

#[test]
fn a_deny_wins_wherever_it_stands() {
    let allow =
        json!({ "Sid": "A", "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" });
    let deny =
        json!({ "Sid": "D", "Effect": "Deny", "Principal": "*", "Action": "KMS:decrypt", "Resource": "*" });
    for (statements, index) in [(json!([allow, deny]), 1), (json!([deny, allow]), 0)] {
        let decision = decide(&policy(statements), &instance(), &Context::new(), false);
        assert_eq!(
            decision,
            Ok(Decision::Deny(StatementRef {
                index,
                sid: Some("D".to_owned())
            }))
        );
    }
    let decision = decide(
        &policy(json!([deny])),
        &Caller::service("ec2.amazonaws.com"),
        &Context::new(),
        false,
    );
    assert!(matches!(decision, Ok(Decision::Deny(_))));
    assert_eq!(
        decide(&policy(json!([])), &instance(), &Context::new(), true),
        Ok(Decision::ImplicitDeny)
    );
}

#[test]
fn principals_cover_whom_they_name() {
    let user = |text: &str| Caller::user(text.parse().unwrap()).unwrap();
    let callers = [
        ("session", instance()),
        (
            "other session",
            Caller::role_session(&role(INSTANCE), "i-9999").unwrap(),
        ),
        ("user", user("arn:aws:iam::111122223333:user/alice")),
        ("root", user("arn:aws:iam::111122223333:root")),
        (
            "stranger",
            Caller::role_session(&role("arn:aws:iam::444455556666:role/eth/SignerInstance"), "x1").unwrap(),
        ),
        ("service", Caller::service("logs.amazonaws.com")),
    ];
    let covered = |effect: &str, element: &str, principal: Value, iam_allows: bool| -> Vec<&str> {
        let statement = json!({ "Effect": effect, element: principal, "Action": "kms:*", "Resource": "*" });
        let policy = policy(statement);
        let hit = |caller| decide(&policy, caller, &Context::new(), iam_allows) != Ok(Decision::ImplicitDeny);
        callers
            .iter()
            .filter(|(_, caller)| hit(caller))
            .map(|(name, _)| *name)
            .collect()
    };
    let session = "arn:aws:sts::111122223333:assumed-role/SignerInstance/i-0123";
    let account = "arn:aws:iam::111122223333:root";
    let home = ["session", "other session", "user", "root"];
    let all = ["session", "other session", "user", "root", "stranger", "service"];

    for (principal, iam_allows, expected) in [
        (
            json!({ "AWS": INSTANCE }),
            false,
            vec!["session", "other session"],
        ),
        (
            json!({ "AWS": [INSTANCE, "arn:aws:iam::111122223333:user/alice"] }),
            false,
            vec!["session", "other session", "user"],
        ),
        (json!({ "AWS": session }), false, vec!["session"]),
        // The account alone hands the decision to its IAM policies; its root user needs none.
        (json!({ "AWS": account }), false, vec!["root"]),
        (json!({ "AWS": "111122223333" }), true, home.to_vec()),
        (json!({ "AWS": "444455556666" }), false, vec![]),
        (json!({ "AWS": "444455556666" }), true, vec!["stranger"]),
        // Another account's caller needs its own account's leave as well.
        (
            json!("*"),
            false,
            vec!["session", "other session", "user", "root", "service"],
        ),
        (json!({ "AWS": "*" }), true, all.to_vec()),
        (json!({ "Service": "logs.amazonaws.com" }), false, vec!["service"]),
    ] {
        assert_eq!(
            covered("Allow", "Principal", principal.clone(), iam_allows),
            expected,
            "{principal} {iam_allows}"
        );
    }
    for (element, principal, expected) in [
        ("Principal", json!({ "AWS": account }), home.to_vec()),
        ("Principal", json!("*"), all.to_vec()),
        (
            "Principal",
            json!({ "AWS": INSTANCE }),
            vec!["session", "other session"],
        ),
        // Who shall be left out must be listed with every identity: account, role, session.
        ("NotPrincipal", json!({ "AWS": INSTANCE }), all.to_vec()),
        (
            "NotPrincipal",
            json!({ "AWS": [account, INSTANCE] }),
            all.iter().copied().filter(|n| *n != "root").collect(),
        ),
        (
            "NotPrincipal",
            json!({ "AWS": [account, INSTANCE, session] }),
            vec!["other session", "user", "stranger", "service"],
        ),
        (
            "NotPrincipal",
            json!({ "Service": "logs.amazonaws.com" }),
            all.iter().copied().filter(|n| *n != "service").collect(),
        ),
    ] {
        assert_eq!(
            covered("Deny", element, principal.clone(), true),
            expected,
            "{element} {principal}"
        );
    }
}

#[test]
fn not_action_and_resources() {
    let ask = |statement: Value, action: &str| {
        let caller = instance();
        let context = Context::new();
        let request = Request {
            caller: &caller,
            action,
            key_arn: KEY,
            context: &context,
            iam_allows: false,
        };
        policy(statement).evaluate(&request).unwrap().is_allow()
    };
    let not = json!({ "Effect": "Allow", "Principal": "*", "NotAction": ["kms:Decrypt", "kms:Put*"], "Resource": "*" });
    assert!(ask(not.clone(), "kms:Encrypt"));
    assert!(!ask(not.clone(), "kms:Decrypt"));
    assert!(!ask(not, "kms:PutKeyPolicy"));
    for (resource, expected) in [
        (json!(KEY), true),
        (
            json!([
                "arn:aws:kms:eu-west-1:111122223333:key/other",
                "arn:aws:kms:*:111122223333:key/*"
            ]),
            true,
        ),
        (json!("arn:aws:kms:us-east-1:111122223333:key/*"), false),
    ] {
        let statement =
            json!({ "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": resource });
        assert_eq!(ask(statement, "kms:Decrypt"), expected);
    }
}

#[test]
fn what_follows_from_the_caller_is_derived_and_cannot_be_given() {
    let statement = |key: &str, value: &str| {
        policy(json!({
            "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*",
            "Condition": { "StringEquals": { key: value } }
        }))
    };
    for (key, value) in [
        ("aws:PrincipalArn", INSTANCE),
        ("aws:PrincipalAccount", "111122223333"),
        ("kms:CallerAccount", "111122223333"),
    ] {
        let policy = statement(key, value);
        assert!(
            decide(&policy, &instance(), &Context::new(), false)
                .unwrap()
                .is_allow(),
            "{key}"
        );
        let admin = Caller::role_session(&role(ADMIN), "s1").unwrap();
        let expected = key != "aws:PrincipalArn";
        assert_eq!(
            decide(&policy, &admin, &Context::new(), false)
                .unwrap()
                .is_allow(),
            expected,
            "{key}"
        );
        let given = context(&[(&key.to_uppercase(), one(value))]);
        let error = EvaluateError::ReservedKey {
            key: key.parse().unwrap(),
        };
        assert_eq!(decide(&policy, &admin, &given, false), Err(error));
        assert!(
            !decide(&policy, &Caller::service("a.b"), &Context::new(), false)
                .unwrap()
                .is_allow()
        );
    }
}

#[test]
fn malformed_requests_and_unknowable_statements_are_errors() {
    let caller = instance();
    let context = Context::new();
    let ask = |statements: Value, action, key_arn| {
        policy(statements).evaluate(&Request {
            caller: &caller,
            action,
            key_arn,
            context: &context,
            iam_allows: true,
        })
    };
    for action in ["", "Decrypt", "kms:", "kms:*", "kms:De crypt", "s3:GetObject"] {
        assert_eq!(
            ask(json!([]), action, KEY),
            Err(EvaluateError::Action {
                action: action.to_owned()
            })
        );
    }
    for key_arn in [
        "",
        "*",
        "arn:aws:kms:eu-west-1:111122223333:alias/a",
        "arn:aws:kms::111122223333:key/a",
        LOADER,
    ] {
        assert_eq!(
            ask(json!([]), "kms:Decrypt", key_arn),
            Err(EvaluateError::KeyArn {
                key_arn: key_arn.to_owned()
            })
        );
    }
    let id = "AROADBQP57FF2AEXAMPLE".to_owned();
    let statement = json!([
        { "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*" },
        { "Effect": "Deny", "Principal": { "AWS": id }, "Action": "kms:Sign", "Resource": "*" },
    ]);
    assert_eq!(
        ask(statement, "kms:Decrypt", KEY),
        Err(EvaluateError::UniqueId { index: 1, id })
    );
}

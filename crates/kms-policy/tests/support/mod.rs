//! Requests and callers that several test files start from.

use kms_policy::arn::RoleArn;
use kms_policy::condition::ConditionKey;
use kms_policy::evaluate::{Caller, Context, Decision, Fact, Request};
use kms_policy::pcr::Pcr;
use kms_policy::policy::Policy;
use kms_policy::request::{Bindings, ImagePcrs, PolicyRequest, Roles};

pub(crate) const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
pub(crate) const ADMIN: &str = "arn:aws:iam::111122223333:role/KeyAdmin";
pub(crate) const INSTANCE: &str = "arn:aws:iam::111122223333:role/eth/SignerInstance";
pub(crate) const LOADER: &str = "arn:aws:iam::111122223333:role/KeyCeremony";

pub(crate) fn role(text: &str) -> RoleArn {
    text.parse().unwrap()
}

/// A register whose bytes are all `byte`.
pub(crate) fn pcr(byte: u8) -> Pcr {
    Pcr::new([byte; 48])
}

/// An image with registers `16 * n`, `16 * n + 1`, `16 * n + 2`.
pub(crate) fn image(n: u8) -> ImagePcrs {
    let at = |k| pcr(16 * n + k);
    ImagePcrs {
        label: format!("native-0.{n}"),
        pcr0: at(0),
        pcr1: at(1),
        pcr2: at(2),
        pcr8: None,
    }
}

pub(crate) fn request(images: Vec<ImagePcrs>) -> PolicyRequest {
    let roles = Roles {
        account: "111122223333".parse().unwrap(),
        partition: "aws".parse().unwrap(),
        admins: vec![ADMIN.parse().unwrap()],
        instance: role(INSTANCE),
        loaders: vec![role(LOADER)],
    };
    PolicyRequest {
        roles,
        images,
        bindings: Bindings::default(),
        danger_admit_debug: false,
    }
}

/// The context of a request with an attestation document that has these registers.
pub(crate) fn attested(registers: &[(u8, Pcr)]) -> Context {
    registers
        .iter()
        .map(|(index, value)| (ConditionKey::pcr(*index), Fact::One(value.to_string())))
        .collect()
}

/// What KMS says to a session of a role whose own IAM policies allow everything.
pub(crate) fn ask(policy: &Policy, role_arn: &str, action: &str, context: &Context) -> Decision {
    let caller = Caller::role_session(&role(role_arn), "i-0123456789abcdef0").unwrap();
    let request = Request {
        caller: &caller,
        action,
        key_arn: KEY,
        context,
        iam_allows: true,
    };
    policy.evaluate(&request).unwrap()
}

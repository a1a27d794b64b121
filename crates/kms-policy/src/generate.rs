//! From a [`PolicyRequest`] to a key policy.
//!
//! - One Allow per image, on PCR0, PCR1 **and** PCR2: the measured bytes carry no section lengths, so PCR0 alone lets bytes
//!   move across section borders, and lists in one statement would admit the PCR1 of one image with the PCR2 of another.
//! - One Deny per register, each listing the values of all admitted images. Keys in one block must all hold, so a joint Deny
//!   would fire only when all of them differ. `StringNotEqualsIgnoreCase` holds for an absent key: what is not attested
//!   is denied, also where a grant or a later statement would allow it.
//! - Nobody is given `kms:*`, and the account is not named: IAM policies alone open nothing.
//! - `kms:Encrypt` is denied to all but the loaders, so a parent cannot make artefacts of its own.
//! - What leads around attestation ([`AROUND_ATTESTATION`]) is denied to all.
//!
//! No Deny covers an action of [`ADMINISTRATION`], so the policy can always be changed by those it names.
//!
//! Spec: AWS KMS developer guide, "Condition keys for attested platforms" and "Least-privilege permissions".

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{self, ADMINISTRATION, AROUND_ATTESTATION, ATTESTABLE, ATTESTED_USE, ENCRYPT};
use crate::arn::{PrincipalArn, PrincipalKind, RoleArn};
use crate::condition::{ConditionKey, Conditions, Operator, Test};
use crate::pcr::Pcr;
use crate::policy::{Effect, MAX_POLICY_BYTES, Match, Policy, Statement, Version};
use crate::principal::Principal;
use crate::request::{Bindings, ImagePcrs, PolicyRequest, RequestError, Roles};

impl PolicyRequest {
    /// The key policy, if the request is sound.
    ///
    /// # Errors
    /// [`RequestError`], by its variants, for the first thing that is wrong.
    pub fn generate(&self) -> Result<Policy, RequestError> {
        self.roles.check()?;
        check_images(&self.images, self.danger_admit_debug, &self.bindings)?;
        check_bindings(&self.bindings)?;

        let mut statements = vec![administration(&self.roles)];
        statements.extend(encryption(&self.roles));
        for (index, image) in self.images.iter().enumerate() {
            statements.push(attested_use(&self.roles, index, image, &self.bindings));
        }
        statements.extend(unless_registers(&self.images, &self.bindings));
        statements.push(no_other_encryption(&self.roles));
        statements.push(nothing_around());

        let policy = Policy {
            version: Version::V2012,
            id: None,
            statements,
        };
        let actual = policy.to_json().len();
        if actual > MAX_POLICY_BYTES {
            return Err(RequestError::TooLarge {
                actual,
                limit: MAX_POLICY_BYTES,
            });
        }
        Ok(policy)
    }
}

/// Stand-ins of a [`template`]. KMS and [`Policy::parse`] refuse every one of them.
pub const STAND_INS: [&str; 4] = ["ACCOUNT_ID", "ADMIN_ROLE", "INSTANCE_ROLE", "LOADER_ROLE"];

/// The text of a key policy whose measurements are real and whose names are [`STAND_INS`], for an image that is built
/// before anyone says whose key it will use.
///
/// It is no key policy: `ACCOUNT_ID` is not twelve digits, so KMS refuses it until every name is filled in.
/// The partition is `aws`.
///
/// # Errors
/// As [`PolicyRequest::generate`], for the images and bindings.
pub fn template(images: Vec<ImagePcrs>, bindings: Bindings) -> Result<String, RequestError> {
    // Account ids never start with ten zeros; colons stand on both sides, so nothing else is replaced.
    const NOBODY: &str = "000000000000";
    let role = |name: &str| format!("arn:aws:iam::{NOBODY}:role/{name}");
    let roles = Roles {
        account: NOBODY.parse()?,
        partition: "aws".parse()?,
        admins: vec![role("ADMIN_ROLE").parse()?],
        instance: role("INSTANCE_ROLE").parse()?,
        loaders: vec![role("LOADER_ROLE").parse()?],
    };
    let request = PolicyRequest {
        roles,
        images,
        bindings,
        danger_admit_debug: false,
    };
    Ok(request
        .generate()?
        .to_json()
        .replace(&format!(":{NOBODY}:"), ":ACCOUNT_ID:"))
}

impl Roles {
    fn check(&self) -> Result<(), RequestError> {
        let loaders = || self.loaders.iter().map(RoleArn::principal);
        for arn in self
            .admins
            .iter()
            .chain([self.instance.principal()])
            .chain(loaders())
        {
            if arn.account() != &self.account || arn.partition() != &self.partition {
                let home = PrincipalArn::root(self.partition.clone(), self.account.clone()).to_string();
                return Err(RequestError::Foreign {
                    arn: arn.to_string(),
                    home,
                });
            }
        }
        if self.admins.is_empty() {
            return Err(RequestError::NoAdmin);
        }
        if let Some(arn) = self.admins.iter().find(|a| a.kind() == PrincipalKind::Session) {
            return Err(RequestError::AdminSession { arn: arn.to_string() });
        }
        let instance = |also| RequestError::InstanceRole {
            arn: self.instance.to_string(),
            also,
        };
        if self.admins.contains(self.instance.principal()) {
            return Err(instance("an administrator"));
        }
        if self.loaders.contains(&self.instance) {
            return Err(instance("a loader role"));
        }
        unique("administrator", self.admins.iter().map(|a| (a, a.to_string())))?;
        unique("loader role", self.loaders.iter().map(|a| (a, a.to_string())))
    }
}

fn check_images(images: &[ImagePcrs], admit_debug: bool, bindings: &Bindings) -> Result<(), RequestError> {
    if images.is_empty() {
        let bound = registers(&bindings.values()).next();
        return Err(bound.map_or(RequestError::NoImage, |index| RequestError::NoImageFor { index }));
    }
    for image in images {
        let label = &image.label;
        let measured = [(0, image.pcr0), (1, image.pcr1), (2, image.pcr2)];
        if measured.iter().all(|(_, pcr)| pcr.is_zero()) {
            if !admit_debug {
                return Err(RequestError::DebugImage { label: label.clone() });
            }
        } else {
            for (index, pcr) in measured {
                not_zero(index, &format!("of image {label:?}"), pcr, "in debug mode")?;
            }
        }
        if let Some(pcr) = image.pcr8 {
            not_zero(
                8,
                &format!("of image {label:?}"),
                pcr,
                "in every image that is not signed",
            )?;
        }
    }
    let label = |image: &ImagePcrs| image.label.clone();
    let with = images.iter().find(|i| i.pcr8.is_some()).map(label);
    let without = images.iter().find(|i| i.pcr8.is_none()).map(label);
    if let (Some(with), Some(without)) = (with, without) {
        return Err(RequestError::SomePcr8 { with, without });
    }
    unique(
        "the measurements of image",
        images.iter().map(|i| ((i.pcr0, i.pcr1, i.pcr2), label(i))),
    )
}

fn check_bindings(bindings: &Bindings) -> Result<(), RequestError> {
    if let Some(pcr) = bindings.pcr3 {
        not_zero(3, "of the parent's role", pcr, "when the parent has no role")?;
    }
    for pcr in &bindings.pcr4 {
        not_zero(4, "of the parent instance", *pcr, "when no instance is measured")?;
    }
    for pcr in &bindings.pcr16 {
        not_zero(
            16,
            "of the deployment config",
            *pcr,
            "before a config is measured",
        )?;
    }
    unique("PCR4", bindings.pcr4.iter().map(|p| (p, p.to_string())))?;
    unique("PCR16", bindings.pcr16.iter().map(|p| (p, p.to_string())))
}

fn not_zero(index: u8, of: &str, pcr: Pcr, meaning: &'static str) -> Result<(), RequestError> {
    if pcr.is_zero() {
        return Err(RequestError::ZeroPcr {
            index,
            of: of.to_owned(),
            meaning,
        });
    }
    Ok(())
}

fn unique<T: Ord>(what: &'static str, items: impl Iterator<Item = (T, String)>) -> Result<(), RequestError> {
    let mut seen = BTreeSet::new();
    for (item, label) in items {
        if !seen.insert(item) {
            return Err(RequestError::Duplicate { what, label });
        }
    }
    Ok(())
}

/// The admitted values of each register.
type Registers = BTreeMap<u8, Vec<Pcr>>;

fn registers(values: &Registers) -> impl Iterator<Item = u8> + '_ {
    values
        .iter()
        .filter(|(_, list)| !list.is_empty())
        .map(|(index, _)| *index)
}

impl Bindings {
    fn values(&self) -> Registers {
        let pcr3 = self.pcr3.into_iter().collect();
        [(3, pcr3), (4, self.pcr4.clone()), (16, self.pcr16.clone())].into()
    }
}

impl ImagePcrs {
    fn values(&self) -> Registers {
        let pcr8 = self.pcr8.into_iter().collect();
        [
            (0, vec![self.pcr0]),
            (1, vec![self.pcr1]),
            (2, vec![self.pcr2]),
            (8, pcr8),
        ]
        .into()
    }
}

/// One operator over registers; the values of each are sorted and stand once.
fn pcr_conditions<'a>(
    operator: Operator,
    values: impl Iterator<Item = (&'a u8, &'a Vec<Pcr>)>,
) -> Conditions {
    let mut keys = BTreeMap::new();
    for (index, list) in values.filter(|(_, list)| !list.is_empty()) {
        let sorted: BTreeSet<Pcr> = list.iter().copied().collect();
        keys.insert(
            ConditionKey::pcr(*index),
            sorted.iter().map(Pcr::to_string).collect(),
        );
    }
    [(operator, keys)].into()
}

fn statement(
    sid: &str,
    effect: Effect,
    who: Vec<Principal>,
    names: &[&str],
    conditions: Conditions,
) -> Statement {
    Statement {
        sid: Some(sid.to_owned()),
        effect,
        principals: Match::Named(who),
        actions: Match::Named(action::patterns(names.iter().copied())),
        resources: vec!["*".to_owned()],
        conditions,
    }
}

fn principals<'a>(arns: impl IntoIterator<Item = &'a PrincipalArn>) -> Vec<Principal> {
    let sorted: BTreeSet<&PrincipalArn> = arns.into_iter().collect();
    sorted.into_iter().cloned().map(Principal::Arn).collect()
}

fn administration(roles: &Roles) -> Statement {
    statement(
        "Administer the key without using it",
        Effect::Allow,
        principals(&roles.admins),
        &ADMINISTRATION,
        Conditions::new(),
    )
}

fn encryption(roles: &Roles) -> Option<Statement> {
    let loaders = principals(roles.loaders.iter().map(RoleArn::principal));
    let sid = "Encrypt artefacts in the key ceremony";
    (!loaders.is_empty()).then(|| statement(sid, Effect::Allow, loaders, &[ENCRYPT], Conditions::new()))
}

fn attested_use(roles: &Roles, index: usize, image: &ImagePcrs, bindings: &Bindings) -> Statement {
    let label: String = image
        .label
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' })
        .collect();
    let words: Vec<&str> = label.split_whitespace().collect();
    let sid = format!("Attested use by image {} {}", index + 1, words.join(" "));
    let (measured, bound) = (image.values(), bindings.values());
    let conditions = pcr_conditions(Operator::EQUALS, measured.iter().chain(&bound));
    let who = principals([roles.instance.principal()]);
    statement(sid.trim_end(), Effect::Allow, who, &ATTESTED_USE, conditions)
}

fn unless_registers(images: &[ImagePcrs], bindings: &Bindings) -> Vec<Statement> {
    let mut admitted = bindings.values();
    for (index, mut values) in images.iter().flat_map(ImagePcrs::values) {
        admitted.entry(index).or_default().append(&mut values);
    }
    let deny = |(index, values): (&u8, &Vec<Pcr>)| {
        let conditions = pcr_conditions(Operator::NOT_EQUALS, std::iter::once((index, values)));
        let sid = format!("No use without an admitted PCR{index}");
        statement(
            &sid,
            Effect::Deny,
            vec![Principal::Anyone],
            &ATTESTABLE,
            conditions,
        )
    };
    admitted
        .iter()
        .filter(|(_, values)| !values.is_empty())
        .map(deny)
        .collect()
}

fn no_other_encryption(roles: &Roles) -> Statement {
    let sid = "No encryption but by the key ceremony";
    let mut conditions = Conditions::new();
    if !roles.loaders.is_empty() {
        let arns: BTreeSet<&str> = roles.loaders.iter().map(RoleArn::as_str).collect();
        let arns = arns.into_iter().map(str::to_owned).collect();
        let operator = Operator::plain(Test::ArnNotEquals);
        conditions.insert(operator, [(ConditionKey::principal_arn(), arns)].into());
    }
    statement(sid, Effect::Deny, vec![Principal::Anyone], &[ENCRYPT], conditions)
}

fn nothing_around() -> Statement {
    let sid = "No way around attestation";
    statement(
        sid,
        Effect::Deny,
        vec![Principal::Anyone],
        &AROUND_ATTESTATION,
        Conditions::new(),
    )
}

//! What is weak in a key policy, and how to mend it.
//!
//! The rules look at the text of the statements and at what Deny statements guard; they do not know the IAM policies of
//! any role. A policy without a finding is not proven good; [`crate::evaluate`] says what it means for a request.
//!
//! Spec: AWS KMS developer guide, "Condition keys for attested platforms"; the rules of [`crate::generate`].

use std::collections::BTreeSet;
use std::fmt;

use crate::condition::{Attested, Operator};
use crate::policy::{Effect, Match, Policy, Statement};
use crate::principal::Principal;
use crate::request::ImagePcrs;

mod measured;
mod rights;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $severity:ident $name:literal $mend:literal,)+) => {
        /// What kind of weakness a finding is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum LintCode { $($(#[$doc])* $variant,)+ }

        impl LintCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in reports: lower case, words joined by `-`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How bad it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// How to mend it.
            #[must_use]
            pub const fn mend(self) -> &'static str {
                match self { $(Self::$variant => $mend,)+ }
            }
        }
    };
}

codes! {
    /// An Allow on an attestable action without any condition on a register.
    OpenUse Danger "open-use" "allow the attestable actions only under PCR0, PCR1 and PCR2, one statement per image",
    /// A condition on registers, but not on all of PCR0, PCR1 and PCR2.
    PartialPcrs Danger "partial-pcrs" "name PCR0, PCR1 and PCR2 together in the statement",
    /// A condition in an Allow that holds when there is no attestation document.
    AbsentKeyTrap Danger "absent-key-trap" "use StringEqualsIgnoreCase, without IfExists, ForAllValues or Not",
    /// A register value that is all zero.
    ZeroPcr Danger "zero-pcr" "remove the value; it fits every debug enclave, unsigned image or parent without role",
    /// A register value that is not 96 hex characters.
    MalformedPcr Danger "malformed-pcr" "write the register as 96 hex characters",
    /// A key of the attestation family that a Nitro Enclave's request never has.
    UnknownAttestationKey Danger "unknown-attestation-key" "use kms:RecipientAttestation:PCR0 to PCR31",
    /// Lists under several registers of one Allow.
    CrossCombination Warning "cross-combination" "write one statement per image",
    /// A Deny that names several registers.
    JointDeny Danger "joint-deny" "write one Deny per register; keys in one block must all differ before it fires",
    /// A Deny on a register that leaves out an attestable action that is allowed somewhere.
    PartialDeny Warning "partial-deny" "list every attestable action in each Deny on a register",
    /// Attested use that no Deny guards.
    MissingDeny Warning "missing-deny" "add one Deny per register for everyone, so that grants and later statements cannot open the key",
    /// Registers of no given image.
    StalePcr Warning "stale-pcr" "remove the statement of the image that is no longer in use",
    /// A given image that no statement admits.
    ImageNotAdmitted Warning "image-not-admitted" "add a statement for the image, and its registers to each Deny",
    /// An Allow for everyone.
    WildcardPrincipal Danger "wildcard-principal" "name the roles",
    /// The right to change the policy, for a whole account or for who also uses the key.
    BroadPutKeyPolicy Danger "broad-put-key-policy" "give kms:PutKeyPolicy to an administrator's role that does not use the key",
    /// An Allow on an action that leads around attestation.
    AroundAttestation Danger "around-attestation" "remove the action, and deny it to everyone",
    /// Encryption by who also decrypts.
    EncryptAndUse Danger "encrypt-and-use" "give kms:Encrypt to the role of the key ceremony alone",
    /// Nobody may change the policy.
    NoAdministrator Warning "no-administrator" "allow kms:PutKeyPolicy to an administrator's role, or the key cannot be managed",
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Not as it should be, but opens nothing by itself.
    Warning,
    /// Something can use the key that should not.
    Danger,
}

impl fmt::Display for LintCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One weakness.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Index of the statement, from 0; `None` when the policy as a whole is meant.
    pub statement: Option<usize>,
    /// What kind of weakness.
    pub code: LintCode,
    /// What is there that should not be, or is missing.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.statement {
            Some(index) => write!(f, "statement {index}: ")?,
            None => f.write_str("policy: ")?,
        }
        write!(f, "{}: {}; mend: {}", self.code, self.reason, self.code.mend())
    }
}

/// Finds what is weak in `policy`, sorted by statement and code.
///
/// `images` are the images that should be in use; with `None` neither stale nor missing images are looked for.
#[must_use]
pub fn lint(policy: &Policy, images: Option<&[ImagePcrs]>) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut report = |statement, code, reason| {
        found.push(Finding {
            statement,
            code,
            reason,
        });
    };
    for (index, statement) in policy.statements.iter().enumerate() {
        let mut here = |code, reason| report(Some(index), code, reason);
        measured::values(statement, &mut here);
        match statement.effect {
            Effect::Allow => {
                measured::allow(policy, statement, &mut here);
                rights::allow(policy, statement, &mut here);
            }
            Effect::Deny => measured::deny(policy, statement, &mut here),
        }
        if let Some(images) = images {
            measured::stale(statement, images, &mut here);
        }
    }
    let mut whole = |code, reason| report(None, code, reason);
    measured::guards(policy, &mut whole);
    rights::administrator(policy, &mut whole);
    if let Some(images) = images {
        measured::missing(policy, images, &mut whole);
    }
    found.sort();
    found
}

/// What everyone is denied for one action.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Guard {
    /// All of it.
    Always,
    /// Use without an admitted value of these registers.
    Registers(BTreeSet<u8>),
}

impl Guard {
    fn of(policy: &Policy, action: &str) -> Self {
        let mut registers = BTreeSet::new();
        for statement in policy
            .statements
            .iter()
            .filter(|s| is_deny_for_all(s) && s.covers_action(action))
        {
            if statement.conditions.is_empty() {
                return Self::Always;
            }
            let keys: Vec<(Operator, Attested)> = register_keys(statement).collect();
            if let ([(operator, Attested::Pcr(index))], 1) = (keys.as_slice(), condition_count(statement))
                && operator.test.is_negated()
                && operator.passes_absent_key()
            {
                registers.insert(*index);
            }
        }
        Self::Registers(registers)
    }
}

fn is_deny_for_all(statement: &Statement) -> bool {
    statement.effect == Effect::Deny
        && matches!(&statement.principals, Match::Named(entries) if entries.contains(&Principal::Anyone))
        && statement.resources.iter().any(|r| r == "*")
}

fn condition_count(statement: &Statement) -> usize {
    statement
        .conditions
        .values()
        .map(std::collections::BTreeMap::len)
        .sum()
}

fn register_keys(statement: &Statement) -> impl Iterator<Item = (Operator, Attested)> + '_ {
    let keys = statement
        .conditions
        .iter()
        .flat_map(|(operator, keys)| keys.keys().map(|k| (*operator, k.attested())));
    keys.filter(|(_, attested)| *attested != Attested::No)
}

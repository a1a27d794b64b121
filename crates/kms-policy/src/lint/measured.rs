//! Rules about conditions on registers.

use std::collections::BTreeSet;

use super::{Guard, LintCode, is_deny_for_all, register_keys};
use crate::action::ATTESTABLE;
use crate::condition::{Attested, Operator};
use crate::pcr::Pcr;
use crate::policy::{Effect, Policy, Statement};
use crate::request::ImagePcrs;

/// Receives each finding of a rule.
pub(super) type Report<'a> = dyn FnMut(LintCode, String) + 'a;

const IMAGE: [u8; 3] = [0, 1, 2];

fn list(registers: impl IntoIterator<Item = u8>) -> String {
    let names: Vec<String> = registers.into_iter().map(|index| format!("PCR{index}")).collect();
    names.join(", ")
}

/// Every register condition of a statement, with its values.
fn conditions(statement: &Statement) -> impl Iterator<Item = (Operator, Attested, &str, &Vec<String>)> {
    statement.conditions.iter().flat_map(|(operator, keys)| {
        let keys = keys.iter().filter(|(key, _)| key.attested() != Attested::No);
        keys.map(|(key, values)| (*operator, key.attested(), key.as_str(), values))
    })
}

/// Values that are no register, or a register that proves nothing; keys that no enclave has.
pub(super) fn values(statement: &Statement, report: &mut Report<'_>) {
    for (operator, attested, key, values) in conditions(statement) {
        let Attested::Pcr(index) = attested else {
            report(
                LintCode::UnknownAttestationKey,
                format!("{key} is in no request of a Nitro Enclave"),
            );
            continue;
        };
        if operator.test == crate::condition::Test::Null {
            continue;
        }
        for value in values {
            match value.parse::<Pcr>() {
                Ok(pcr) if pcr.is_zero() => report(LintCode::ZeroPcr, format!("PCR{index} may be all zero")),
                Ok(_) => {}
                Err(error) => report(
                    LintCode::MalformedPcr,
                    format!("{value:?} under PCR{index}: {error}"),
                ),
            }
        }
    }
}

/// Use that is allowed without a sufficient condition.
pub(super) fn allow(policy: &Policy, statement: &Statement, report: &mut Report<'_>) {
    let mut demanded = BTreeSet::new();
    for (operator, attested, key, _) in conditions(statement) {
        if operator.passes_absent_key() {
            let reason = format!("{operator} on {key} holds for a request without attestation document");
            report(LintCode::AbsentKeyTrap, reason);
        } else if let (Attested::Pcr(index), false) = (attested, operator.test.is_negated()) {
            demanded.insert(index);
        }
    }
    let (mut open, mut partial) = (Vec::new(), BTreeSet::new());
    for action in ATTESTABLE.iter().filter(|action| statement.covers_action(action)) {
        let Guard::Registers(guarded) = Guard::of(policy, action) else {
            continue;
        };
        let held: BTreeSet<u8> = demanded.union(&guarded).copied().collect();
        if held.is_empty() {
            open.push(*action);
        } else {
            partial.extend(IMAGE.iter().copied().filter(|index| !held.contains(index)));
        }
    }
    if !open.is_empty() {
        report(
            LintCode::OpenUse,
            format!("{} allowed without attestation", open.join(", ")),
        );
    }
    if !partial.is_empty() {
        report(LintCode::PartialPcrs, format!("{} left open", list(partial)));
    }
    let several = conditions(statement).filter_map(|(_, attested, _, values)| match attested {
        Attested::Pcr(index) if IMAGE.contains(&index) && values.len() > 1 => Some(index),
        _ => None,
    });
    let several: BTreeSet<u8> = several.collect();
    if several.len() > 1 {
        let reason = format!(
            "{} each have several values, so registers of different images combine",
            list(several)
        );
        report(LintCode::CrossCombination, reason);
    }
}

fn is_used(policy: &Policy, action: &str) -> bool {
    policy
        .statements
        .iter()
        .any(|s| s.effect == Effect::Allow && s.covers_action(action))
}

/// A Deny on registers that seldom fires, or leaves actions out.
pub(super) fn deny(policy: &Policy, statement: &Statement, report: &mut Report<'_>) {
    let keys: BTreeSet<u8> = register_keys(statement)
        .filter_map(|(_, attested)| {
            if let Attested::Pcr(index) = attested {
                Some(index)
            } else {
                None
            }
        })
        .collect();
    if keys.len() > 1 {
        report(
            LintCode::JointDeny,
            format!("{} must all differ before it denies", list(keys.iter().copied())),
        );
    }
    if keys.is_empty() || !is_deny_for_all(statement) {
        return;
    }
    let left: Vec<&str> = ATTESTABLE
        .into_iter()
        .filter(|action| is_used(policy, action) && !statement.covers_action(action))
        .filter(|action| Guard::of(policy, action) != Guard::Always)
        .collect();
    if !left.is_empty() {
        report(LintCode::PartialDeny, format!("{} left out", left.join(", ")));
    }
}

/// Attested use without a Deny behind it.
pub(super) fn guards(policy: &Policy, report: &mut Report<'_>) {
    let mut unguarded = BTreeSet::new();
    for action in ATTESTABLE.iter().filter(|action| is_used(policy, action)) {
        if let Guard::Registers(guarded) = Guard::of(policy, action) {
            unguarded.extend(IMAGE.iter().copied().filter(|index| !guarded.contains(index)));
        }
    }
    if !unguarded.is_empty() {
        report(
            LintCode::MissingDeny,
            format!("no Deny for everyone on {}", list(unguarded)),
        );
    }
}

fn value_of(image: &ImagePcrs, index: u8) -> Option<Pcr> {
    match index {
        0 => Some(image.pcr0),
        1 => Some(image.pcr1),
        2 => Some(image.pcr2),
        8 => image.pcr8,
        _ => None,
    }
}

/// Values of PCR0, PCR1 and PCR2 that no given image has.
pub(super) fn stale(statement: &Statement, images: &[ImagePcrs], report: &mut Report<'_>) {
    for (_, attested, _, values) in conditions(statement) {
        let Attested::Pcr(index) = attested else { continue };
        for pcr in values.iter().filter_map(|value| value.parse::<Pcr>().ok()) {
            if IMAGE.contains(&index) && !images.iter().any(|image| value_of(image, index) == Some(pcr)) {
                report(
                    LintCode::StalePcr,
                    format!("PCR{index} {pcr} is of none of the given images"),
                );
            }
        }
    }
}

/// Given images that no Allow names with all of PCR0, PCR1 and PCR2.
pub(super) fn missing(policy: &Policy, images: &[ImagePcrs], report: &mut Report<'_>) {
    for image in images {
        let names = |statement: &Statement, index: u8| {
            conditions(statement).any(|(operator, attested, _, values)| {
                let wanted = value_of(image, index);
                attested == Attested::Pcr(index)
                    && !operator.test.is_negated()
                    && values.iter().any(|value| value.parse().ok() == wanted)
            })
        };
        let admits = |s: &Statement| s.effect == Effect::Allow && IMAGE.iter().all(|index| names(s, *index));
        if !policy.statements.iter().any(admits) {
            report(
                LintCode::ImageNotAdmitted,
                format!("no statement admits image {:?}", image.label),
            );
        }
    }
}

//! Rules about who may do what.

use super::measured::Report;
use super::{Guard, LintCode};
use crate::action::{AROUND_ATTESTATION, ATTESTABLE, ENCRYPT, PUT_KEY_POLICY};
use crate::policy::{Effect, Match, Policy, Statement};
use crate::principal::Principal;

/// Rights that are too broad, or that one principal must not have together.
pub(super) fn allow(policy: &Policy, statement: &Statement, report: &mut Report<'_>) {
    let covers =
        |action: &&str| statement.covers_action(action) && Guard::of(policy, action) != Guard::Always;
    let entries = statement.principals.entries();

    if entries.contains(&Principal::Anyone) {
        report(LintCode::WildcardPrincipal, "everyone is allowed".to_owned());
    }
    if covers(&PUT_KEY_POLICY) {
        for entry in entries {
            let why = match entry {
                Principal::Anyone => Some("everyone"),
                entry if entry.whole_account().is_some() => Some("whoever the account's IAM policies name"),
                entry if allowed_any(policy, entry, &ATTESTABLE) => Some("a principal that uses the key"),
                _ => None,
            };
            if let Some(why) = why {
                report(
                    LintCode::BroadPutKeyPolicy,
                    format!("{entry} may change the policy: {why}"),
                );
            }
        }
    }
    let around: Vec<&str> = AROUND_ATTESTATION
        .into_iter()
        .filter(|action| covers(action))
        .collect();
    if !around.is_empty() {
        report(
            LintCode::AroundAttestation,
            format!("{} allowed", around.join(", ")),
        );
    }
    if covers(&ENCRYPT) {
        for entry in entries
            .iter()
            .filter(|entry| allowed_any(policy, entry, &ATTESTABLE))
        {
            report(
                LintCode::EncryptAndUse,
                format!("{entry} may both encrypt and use the key"),
            );
        }
    }
}

/// Whether some Allow gives the very same principal one of the actions.
fn allowed_any(policy: &Policy, entry: &Principal, actions: &[&str]) -> bool {
    policy.statements.iter().any(|s| {
        s.effect == Effect::Allow
            && matches!(&s.principals, Match::Named(entries) if entries.contains(entry))
            && actions
                .iter()
                .any(|action| s.covers_action(action) && Guard::of(policy, action) != Guard::Always)
    })
}

/// Nobody left to change the policy.
pub(super) fn administrator(policy: &Policy, report: &mut Report<'_>) {
    let given = |s: &Statement| s.effect == Effect::Allow && s.covers_action(PUT_KEY_POLICY);
    if !policy.statements.iter().any(given) || Guard::of(policy, PUT_KEY_POLICY) == Guard::Always {
        report(
            LintCode::NoAdministrator,
            format!("nobody is allowed {PUT_KEY_POLICY}"),
        );
    }
}

//! For every generated policy: exactly the admitted measurements get through.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;

use kms_policy::action::ATTESTED_USE;
use kms_policy::evaluate::Context;
use kms_policy::pcr::Pcr;
use kms_policy::policy::Policy;
use kms_policy::request::{Bindings, ImagePcrs};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use support::{ADMIN, INSTANCE, LOADER, ask, attested, pcr, request};

#[expect(dead_code, reason = "images are made at random here")]
mod support;

/// Few values, so that images often share registers: that is where combinations go wrong.
fn any_pcr() -> impl Strategy<Value = Pcr> {
    (1_u8..5).prop_map(pcr)
}

#[derive(Debug)]
struct Case {
    images: Vec<ImagePcrs>,
    bindings: Bindings,
}

fn case() -> impl Strategy<Value = Case> {
    let images = btree_set((any_pcr(), any_pcr(), any_pcr()), 1..5);
    let bindings = (
        option::of(any_pcr()),
        btree_set(any_pcr(), 0..3),
        btree_set(any_pcr(), 0..3),
    );
    (images, vec(any_pcr(), 5), any::<bool>(), bindings).prop_map(
        |(images, pcr8s, signed, (pcr3, pcr4, pcr16))| {
            let image = |((pcr0, pcr1, pcr2), pcr8): (_, &Pcr)| ImagePcrs {
                label: "image".to_owned(),
                pcr0,
                pcr1,
                pcr2,
                pcr8: signed.then_some(*pcr8),
            };
            let images = images.into_iter().zip(&pcr8s).map(image).collect();
            let bindings = Bindings {
                pcr3,
                pcr4: pcr4.into_iter().collect(),
                pcr16: pcr16.into_iter().collect(),
            };
            Case { images, bindings }
        },
    )
}

type Registers = BTreeMap<u8, Pcr>;

impl Case {
    fn policy(&self) -> Policy {
        let mut request = request(self.images.clone());
        request.bindings = self.bindings.clone();
        let policy = request.generate().unwrap();
        // What an operator puts into KMS is the text.
        Policy::parse(policy.to_json().as_bytes()).unwrap()
    }

    /// The rule itself, written down without any policy.
    fn admits(&self, has: &Registers) -> bool {
        let is = |index: u8, value: Pcr| has.get(&index) == Some(&value);
        let one_of = |index: u8, values: &[Pcr]| values.is_empty() || values.iter().any(|v| is(index, *v));
        let image = self.images.iter().any(|i| {
            is(0, i.pcr0) && is(1, i.pcr1) && is(2, i.pcr2) && i.pcr8.is_none_or(|pcr8| is(8, pcr8))
        });
        image
            && self.bindings.pcr3.is_none_or(|pcr3| is(3, pcr3))
            && one_of(4, &self.bindings.pcr4)
            && one_of(16, &self.bindings.pcr16)
    }

    /// What an enclave of image `n` on an admitted parent attests.
    fn registers_of(&self, n: usize) -> Registers {
        let image = &self.images[n];
        let other = pcr(0xee);
        let first = |values: &[Pcr]| values.first().copied().unwrap_or(other);
        [
            (0, image.pcr0),
            (1, image.pcr1),
            (2, image.pcr2),
            (3, self.bindings.pcr3.unwrap_or(other)),
            (4, first(&self.bindings.pcr4)),
            (8, image.pcr8.unwrap_or(Pcr::ZERO)),
            (16, first(&self.bindings.pcr16)),
        ]
        .into()
    }
}

fn context(registers: &Registers) -> Context {
    attested(
        &registers
            .iter()
            .map(|(index, value)| (*index, *value))
            .collect::<Vec<_>>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_measurements_get_what_the_rule_says(
        case in case(),
        has in proptest::collection::btree_map(prop::sample::select(vec![0_u8, 1, 2, 3, 4, 8, 16]), any_pcr(), 0..8),
    ) {
        let policy = case.policy();
        for action in ATTESTED_USE {
            let decision = ask(&policy, INSTANCE, action, &context(&has));
            prop_assert_eq!(decision.is_allow(), case.admits(&has), "{:?} {:?}", has, decision);
        }
    }

    #[test]
    fn each_image_gets_in_and_no_change_of_one_register_does(case in case()) {
        let policy = case.policy();
        for n in 0..case.images.len() {
            let good = case.registers_of(n);
            prop_assert!(ask(&policy, INSTANCE, "kms:Decrypt", &context(&good)).is_allow());
            for who in [ADMIN, LOADER, "arn:aws:iam::111122223333:role/Other", "arn:aws:iam::444455556666:role/SignerInstance"] {
                prop_assert!(!ask(&policy, who, "kms:Decrypt", &context(&good)).is_allow(), "{}", who);
            }
            for index in good.keys() {
                for value in [None, Some(Pcr::ZERO), Some(pcr(0xdd)), Some(pcr(1)), Some(pcr(2))] {
                    let mut changed = good.clone();
                    match value {
                        None => changed.remove(index),
                        Some(value) => changed.insert(*index, value),
                    };
                    let decision = ask(&policy, INSTANCE, "kms:Decrypt", &context(&changed));
                    prop_assert_eq!(decision.is_allow(), case.admits(&changed), "PCR{} {:?}", index, value);
                }
            }
        }
    }

    #[test]
    fn two_images_do_not_make_a_third(case in case()) {
        let policy = case.policy();
        let all: Vec<Registers> = (0..case.images.len()).map(|n| case.registers_of(n)).collect();
        for (a, b, c) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b)))
            .flat_map(|(a, b)| all.iter().map(move |c| (a, b, c)))
        {
            let mut mixed = a.clone();
            mixed.insert(1, b[&1]);
            mixed.insert(2, c[&2]);
            let decision = ask(&policy, INSTANCE, "kms:GenerateDataKey", &context(&mixed));
            prop_assert_eq!(decision.is_allow(), case.admits(&mixed));
        }
    }

    #[test]
    fn nothing_is_used_without_attestation(case in case()) {
        let policy = case.policy();
        for who in [INSTANCE, ADMIN, LOADER] {
            for action in ATTESTED_USE {
                prop_assert!(!ask(&policy, who, action, &Context::new()).is_allow());
            }
        }
    }
}

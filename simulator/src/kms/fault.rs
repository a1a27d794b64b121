//! What goes wrong on request: kinds of faults, and the list of those that are waiting.

use std::time::Duration;

use super::operation::Operation;

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// `ThrottlingException`, which KMS sends with status 400.
    Throttle,
    /// Status 500, `KMSInternalException`.
    Internal,
    /// Status 503 with a page of HTML, as a load balancer sends it.
    Unavailable,
    /// The answer comes after this long.
    Slow(Duration),
    /// The connection ends without an answer.
    Reset,
    /// The connection ends in the middle of the answer's body.
    ShortRead,
    /// Status 200 and a body that is no JSON.
    Garbage,
    /// The answer names another key.
    WrongKeyId,
    /// `CiphertextForRecipient` is for another key than that of the document.
    AnotherRecipient,
}

/// Kinds by name, as the control socket and the command line have them. [`Kind::Slow`] needs a time.
const NAMES: [(&str, Kind); 8] = [
    ("throttle", Kind::Throttle),
    ("internal", Kind::Internal),
    ("unavailable", Kind::Unavailable),
    ("reset", Kind::Reset),
    ("short-read", Kind::ShortRead),
    ("garbage", Kind::Garbage),
    ("wrong-key-id", Kind::WrongKeyId),
    ("another-recipient", Kind::AnotherRecipient),
];

impl Kind {
    /// The kind of this name; `slow` needs `ms`, the others must not have it.
    #[must_use]
    pub fn named(name: &str, ms: Option<u64>) -> Option<Self> {
        match (name, ms) {
            ("slow", Some(ms)) => Some(Self::Slow(Duration::from_millis(ms))),
            (_, None) => NAMES
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, kind)| *kind),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("slow", |(name, _)| name)
    }
}

/// A fault that waits for calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Only for this operation, or for any.
    pub operation: Option<Operation>,
    /// What goes wrong.
    pub kind: Kind,
    /// So many calls pass first.
    pub skip: u32,
    /// So many calls are hit then.
    pub count: u32,
}

impl Fault {
    /// Hits the next `count` calls of any operation.
    #[must_use]
    pub const fn next(kind: Kind, count: u32) -> Self {
        Self {
            operation: None,
            kind,
            skip: 0,
            count,
        }
    }

    /// Only calls of `operation`.
    #[must_use]
    pub const fn of(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only after `skip` calls.
    #[must_use]
    pub const fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }
}

/// The faults that wait, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds one behind the others.
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong with this call: the oldest fault that is for it and has no call to skip. The others that are for it
    /// and still skip count it as skipped.
    pub fn take(&mut self, operation: Operation) -> Option<Kind> {
        let mut hit = None;
        for fault in &mut self.0 {
            if fault.operation.is_some_and(|only| only != operation) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if hit.is_none() && fault.count > 0 {
                fault.count -= 1;
                hit = Some(fault.kind);
            }
        }
        self.0.retain(|fault| fault.count > 0);
        hit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for (name, kind) in NAMES {
            assert_eq!((Kind::named(name, None), kind.name()), (Some(kind), name));
            assert_eq!(Kind::named(name, Some(1)), None);
        }
        let slow = Kind::Slow(Duration::from_millis(7));
        assert_eq!((Kind::named("slow", Some(7)), slow.name()), (Some(slow), "slow"));
        assert_eq!(Kind::named("slow", None), None);
        assert_eq!(Kind::named("", None), None);
    }

    #[test]
    fn faults_are_counted_by_operation() {
        let mut faults = Faults::default();
        faults.add(Fault::next(Kind::Throttle, 2).of(Operation::Decrypt));
        faults.add(Fault::next(Kind::Reset, 1).after(3));
        let takes: Vec<_> = [
            Operation::Encrypt,
            Operation::Decrypt,
            Operation::Decrypt,
            Operation::Decrypt,
            Operation::Decrypt,
        ]
        .map(|operation| faults.take(operation))
        .into();
        assert_eq!(
            takes,
            [
                None,
                Some(Kind::Throttle),
                Some(Kind::Throttle),
                Some(Kind::Reset),
                None
            ]
        );
        faults.add(Fault::next(Kind::Garbage, 1));
        faults.clear();
        assert_eq!(faults.take(Operation::Decrypt), None);
    }
}

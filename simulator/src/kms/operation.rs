//! The operations that are answered, as data.

use std::fmt;

/// Prefix of the `X-Amz-Target` header.
pub const TARGET_PREFIX: &str = "TrentService.";

macro_rules! operations {
    ($($name:ident),* $(,)?) => {
        /// An operation of KMS.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Operation {
            $(
                #[doc = concat!("`", stringify!($name), "`.")]
                $name,
            )*
        }

        impl Operation {
            /// All of them, in alphabetical order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name, as in `X-Amz-Target` and, after `kms:`, in policies.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

operations![
    CancelKeyDeletion,
    CreateAlias,
    CreateKey,
    Decrypt,
    DeleteAlias,
    DescribeKey,
    DisableKey,
    EnableKey,
    Encrypt,
    GenerateDataKey,
    GenerateDataKeyPair,
    GenerateDataKeyPairWithoutPlaintext,
    GenerateDataKeyWithoutPlaintext,
    GenerateRandom,
    GetKeyPolicy,
    PutKeyPolicy,
    ScheduleKeyDeletion,
];

impl Operation {
    /// The operation of this name, exactly spelled.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|operation| operation.name() == name)
    }

    /// The operation of an `X-Amz-Target` header.
    #[must_use]
    pub fn of_target(target: &str) -> Option<Self> {
        target.strip_prefix(TARGET_PREFIX).and_then(Self::named)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        assert!(Operation::ALL.is_sorted_by_key(|operation| operation.name()));
        for operation in Operation::ALL {
            let target = format!("{TARGET_PREFIX}{operation}");
            assert_eq!(Operation::of_target(&target), Some(*operation));
        }
        for bad in ["Decrypt", "TrentService.decrypt", "TrentService.", ""] {
            assert_eq!(Operation::of_target(bad), None, "{bad}");
        }
    }
}

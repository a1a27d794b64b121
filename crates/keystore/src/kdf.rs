//! The two key derivations of EIP-2335 and what they may cost. Parameters that cost too much are refused unrun.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use zeroize::Zeroizing;

use crate::Password;

/// How the 32-byte key is derived from the password and a salt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kdf {
    /// scrypt (RFC 7914).
    Scrypt {
        /// Cost: a power of two above 1.
        n: u64,
        /// Block size in units of 128 bytes, at least 1.
        r: u32,
        /// Lanes, at least 1. They run one after the other here.
        p: u32,
    },
    /// PBKDF2 (RFC 8018) with HMAC-SHA-256.
    Pbkdf2 {
        /// Iterations, at least 1.
        c: u32,
    },
}

/// What one keystore may cost. Parameters are the keystore's own, so a hostile one could ask for terabytes.
///
/// The [`Default`] takes every keystore that a known tool makes with room to spare: four times the memory and sixteen
/// times the work of the standard scrypt, 64 times the standard PBKDF2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of scrypt in bytes: 128 r (n + p). EIP-2335's own parameters need 256 MiB.
    pub scrypt_memory_bytes: u64,
    /// Work of scrypt: n r p. EIP-2335's own parameters give 2^21.
    pub scrypt_work: u64,
    /// Iterations of PBKDF2. EIP-2335's own parameters ask for 2^18.
    pub pbkdf2_iterations: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            scrypt_memory_bytes: 1 << 30,
            scrypt_work: 1 << 25,
            pbkdf2_iterations: 1 << 24,
        }
    }
}

/// Why parameters of a key derivation were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KdfError {
    /// A parameter that must be at least 1 is 0.
    #[error("{parameter} is 0, expected at least 1")]
    Zero {
        /// `r`, `p` or `c`.
        parameter: &'static str,
    },
    /// scrypt's `n`.
    #[error("n is {n}, expected a power of two above 1")]
    NotAPowerOfTwo {
        /// As found.
        n: u64,
    },
    /// scrypt would need too much memory.
    #[error(
        "scrypt with n {n}, r {r}, p {p} needs more than {limit} bytes of memory; encrypt the key again with n 262144, r 8, p 1"
    )]
    Memory {
        /// As found.
        n: u64,
        /// As found.
        r: u32,
        /// As found.
        p: u32,
        /// [`Limits::scrypt_memory_bytes`].
        limit: u64,
    },
    /// scrypt would take too long.
    #[error(
        "scrypt with n {n}, r {r}, p {p} is more work than the limit of n r p = {limit}; encrypt the key again with n 262144, r 8, p 1"
    )]
    Work {
        /// As found.
        n: u64,
        /// As found.
        r: u32,
        /// As found.
        p: u32,
        /// [`Limits::scrypt_work`].
        limit: u64,
    },
    /// PBKDF2 would take too long.
    #[error("pbkdf2 with c {c} is more work than the limit of {limit}; encrypt the key again with c 262144")]
    Iterations {
        /// As found.
        c: u32,
        /// [`Limits::pbkdf2_iterations`].
        limit: u32,
    },
}

impl Kdf {
    /// scrypt as EIP-2335 writes it: n 262144, r 8, p 1. 256 MiB and about a second.
    pub const SCRYPT: Self = Self::Scrypt {
        n: 1 << 18,
        r: 8,
        p: 1,
    };
    /// PBKDF2 as EIP-2335 writes it: c 262144. Almost no memory, and so easier to attack.
    pub const PBKDF2: Self = Self::Pbkdf2 { c: 1 << 18 };
    /// Next to no cost: anyone guesses the password. For throw-away keys in tests only.
    pub const DANGER_WEAK: Self = Self::Pbkdf2 { c: 1 };

    /// Refuses what is not a parameter at all, then what costs more than `limits`.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), KdfError> {
        match *self {
            Self::Scrypt { n, r, p } => {
                if !n.is_power_of_two() || n < 2 {
                    return Err(KdfError::NotAPowerOfTwo { n });
                }
                nonzero("r", r)?;
                nonzero("p", p)?;
                if self.memory_bytes() > limits.scrypt_memory_bytes {
                    return Err(KdfError::Memory {
                        n,
                        r,
                        p,
                        limit: limits.scrypt_memory_bytes,
                    });
                }
                let work = u128::from(n) * u128::from(r) * u128::from(p);
                // RFC 7914, section 2: r p < 2^30, whatever the limits say.
                if work > u128::from(limits.scrypt_work) || u64::from(r) * u64::from(p) >= 1 << 30 {
                    return Err(KdfError::Work {
                        n,
                        r,
                        p,
                        limit: limits.scrypt_work,
                    });
                }
                Ok(())
            }
            Self::Pbkdf2 { c } => {
                nonzero("c", c)?;
                if c > limits.pbkdf2_iterations {
                    return Err(KdfError::Iterations {
                        c,
                        limit: limits.pbkdf2_iterations,
                    });
                }
                Ok(())
            }
        }
    }

    /// Memory in bytes that one derivation holds while it runs; 0 for PBKDF2. Whoever runs several at once adds up.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        match *self {
            Self::Scrypt { n, r, p } => (n.saturating_add(u64::from(p)))
                .saturating_mul(u64::from(r))
                .saturating_mul(128),
            Self::Pbkdf2 { .. } => 0,
        }
    }

    /// The first 32 bytes of the derived key. Both functions make their output in blocks of 32 bytes that do not depend
    /// on how many are asked for, so a larger `dklen` changes nothing.
    ///
    /// `None` only for parameters that [`Kdf::check`] would have refused.
    pub(crate) fn derive(&self, password: &Password, salt: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let mut key = Zeroizing::new([0; 32]);
        match *self {
            Self::Scrypt { n, r, p } => {
                let log_n = u8::try_from(n.checked_ilog2()?).ok()?;
                let params = scrypt::Params::new(log_n, r, p).ok()?;
                scrypt::scrypt(password.expose(), salt, &params, key.as_mut_slice()).ok()?;
            }
            Self::Pbkdf2 { c } => pbkdf2::derive(
                pbkdf2::PBKDF2_HMAC_SHA256,
                NonZeroU32::new(c)?,
                salt,
                password.expose(),
                key.as_mut_slice(),
            ),
        }
        Some(key)
    }
}

fn nonzero(parameter: &'static str, value: u32) -> Result<(), KdfError> {
    if value == 0 {
        return Err(KdfError::Zero { parameter });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kdf: Kdf) -> Result<(), KdfError> {
        kdf.check(&Limits::default())
    }

    /// RFC 7914, section 12, second vector, and RFC 7914, section 11, first vector: the first 32 bytes of 64.
    #[test]
    fn published_vectors() {
        let scrypt = Kdf::Scrypt { n: 1024, r: 8, p: 16 };
        let key = scrypt
            .derive(&Password::new("password").unwrap(), b"NaCl")
            .unwrap();
        assert_eq!(
            hex::encode(*key),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
        );
        let key = Kdf::DANGER_WEAK
            .derive(&Password::new("passwd").unwrap(), b"salt")
            .unwrap();
        assert_eq!(
            hex::encode(*key),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        );
    }

    #[test]
    fn what_real_tools_write_is_taken() {
        for kdf in [Kdf::SCRYPT, Kdf::PBKDF2, Kdf::DANGER_WEAK] {
            assert_eq!(check(kdf), Ok(()));
        }
        // Four times the memory; p as go-ethereum's light mode has it.
        assert_eq!(
            check(Kdf::Scrypt {
                n: 1 << 20,
                r: 8,
                p: 1
            }),
            Err(KdfError::Memory {
                n: 1 << 20,
                r: 8,
                p: 1,
                limit: 1 << 30
            })
        );
        assert_eq!(
            check(Kdf::Scrypt {
                n: 1 << 19,
                r: 8,
                p: 8
            }),
            Ok(())
        );
        assert_eq!(
            check(Kdf::Scrypt {
                n: 1 << 12,
                r: 8,
                p: 6
            }),
            Ok(())
        );
        assert_eq!(Kdf::SCRYPT.memory_bytes(), (256 << 20) + 1024);
    }

    #[test]
    fn nonsense_and_excess_are_refused() {
        for n in [0, 1, 3, 262_143, u64::MAX] {
            assert_eq!(
                check(Kdf::Scrypt { n, r: 8, p: 1 }),
                Err(KdfError::NotAPowerOfTwo { n })
            );
        }
        assert_eq!(
            check(Kdf::Scrypt { n: 2, r: 0, p: 1 }),
            Err(KdfError::Zero { parameter: "r" })
        );
        assert_eq!(
            check(Kdf::Scrypt { n: 2, r: 1, p: 0 }),
            Err(KdfError::Zero { parameter: "p" })
        );
        assert_eq!(
            check(Kdf::Pbkdf2 { c: 0 }),
            Err(KdfError::Zero { parameter: "c" })
        );
        for (n, r, p) in [
            (1 << 63, u32::MAX, u32::MAX),
            (2, 1, u32::MAX),
            (2, u32::MAX, 1),
            (1 << 40, 1, 1),
        ] {
            assert!(
                matches!(check(Kdf::Scrypt { n, r, p }), Err(KdfError::Memory { .. })),
                "{n} {r} {p}"
            );
        }
        assert!(matches!(
            check(Kdf::Scrypt {
                n: 1 << 18,
                r: 8,
                p: 17
            }),
            Err(KdfError::Work { .. })
        ));
        assert!(matches!(
            check(Kdf::Pbkdf2 { c: u32::MAX }),
            Err(KdfError::Iterations { .. })
        ));
        // A caller's own limits cannot lift the bound of the function itself.
        let all = Limits {
            scrypt_memory_bytes: u64::MAX,
            scrypt_work: u64::MAX,
            pbkdf2_iterations: u32::MAX,
        };
        assert!(matches!(
            Kdf::Scrypt {
                n: 2,
                r: 1 << 16,
                p: 1 << 16
            }
            .check(&all),
            Err(KdfError::Work { .. })
        ));
    }
}

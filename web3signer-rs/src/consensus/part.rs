//! How the JSON form of a container becomes the container.
//!
//! Web3Signer reads a whole body first and misses absent members later, with another status. So every container has two
//! forms: the *wire* form, whose members may be absent or `null`, and the SSZ form, which is complete. [`Part::complete`]
//! is the only way from one to the other. `containers!` writes both from one list of members.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use ssz::{Decode, Fixed, Variable};
use ssz_types::typenum::Unsigned;
use ssz_types::{Bitfield, FixedVector, VariableList};

use super::refusal::CannotSign;
use super::text::{Bytes, HexBytes, Number};

/// An SSZ value that a request carries.
pub(super) trait Part: Sized {
    /// What JSON gives: the same, perhaps with holes.
    type Wire;

    /// The complete value. `member` names it in errors, as `Container.member`.
    ///
    /// # Errors
    /// [`CannotSign::Missing`] if it, or a member of it, is absent or null; the other variants where a length is wrong.
    fn complete(wire: Option<Self::Wire>, member: &'static str) -> Result<Self, CannotSign>;
}

impl Part for u64 {
    type Wire = Number;

    fn complete(wire: Option<Number>, member: &'static str) -> Result<Self, CannotSign> {
        wire.map(|Number(value)| value)
            .ok_or(CannotSign::Missing { member })
    }
}

impl Part for bool {
    type Wire = bool;

    fn complete(wire: Option<bool>, member: &'static str) -> Result<Self, CannotSign> {
        wire.ok_or(CannotSign::Missing { member })
    }
}

impl<const N: usize> Part for [u8; N] {
    type Wire = Bytes<N>;

    fn complete(wire: Option<Bytes<N>>, member: &'static str) -> Result<Self, CannotSign> {
        wire.map(|Bytes(bytes)| bytes)
            .ok_or(CannotSign::Missing { member })
    }
}

impl<N: Unsigned + Clone> Part for Bitfield<Variable<N>> {
    type Wire = HexBytes;

    fn complete(wire: Option<HexBytes>, member: &'static str) -> Result<Self, CannotSign> {
        bits(wire, member, N::USIZE)
    }
}

impl<N: Unsigned + Clone> Part for Bitfield<Fixed<N>> {
    type Wire = HexBytes;

    fn complete(wire: Option<HexBytes>, member: &'static str) -> Result<Self, CannotSign> {
        bits(wire, member, N::USIZE)
    }
}

fn bits<T: Decode>(wire: Option<HexBytes>, member: &'static str, limit: usize) -> Result<T, CannotSign> {
    let HexBytes(bytes) = wire.ok_or(CannotSign::Missing { member })?;
    T::from_ssz_bytes(&bytes).map_err(|_| CannotSign::Bits {
        member,
        bytes: bytes.len(),
        limit,
    })
}

impl<T: Part, N: Unsigned> Part for VariableList<T, N> {
    type Wire = AtMost<T::Wire, N>;

    fn complete(wire: Option<Self::Wire>, member: &'static str) -> Result<Self, CannotSign> {
        let (items, length) = wire.ok_or(CannotSign::Missing { member })?.complete(member)?;
        Self::try_from(items).map_err(|_| CannotSign::Length {
            member,
            length,
            limit: N::USIZE,
        })
    }
}

impl<T: Part + Clone + Default, N: Unsigned> Part for FixedVector<T, N> {
    type Wire = AtMost<T::Wire, N>;

    fn complete(wire: Option<Self::Wire>, member: &'static str) -> Result<Self, CannotSign> {
        let (items, length) = wire.ok_or(CannotSign::Missing { member })?.complete(member)?;
        Self::try_from(items).map_err(|_| CannotSign::Length {
            member,
            length,
            limit: N::USIZE,
        })
    }
}

/// A JSON array of which at most `N` items are kept; the others are counted, so that their memory is bounded too.
pub(super) struct AtMost<W, N> {
    items: Vec<Option<W>>,
    length: usize,
    limit: PhantomData<N>,
}

impl<W, N: Unsigned> AtMost<W, N> {
    fn complete<T: Part<Wire = W>>(self, member: &'static str) -> Result<(Vec<T>, usize), CannotSign> {
        if self.length > N::USIZE {
            return Err(CannotSign::Length {
                member,
                length: self.length,
                limit: N::USIZE,
            });
        }
        let items = self
            .items
            .into_iter()
            .map(|item| T::complete(item, member))
            .collect::<Result<_, _>>()?;
        Ok((items, self.length))
    }
}

impl<'de, W: Deserialize<'de>, N: Unsigned> Deserialize<'de> for AtMost<W, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

struct Items<W, N>(PhantomData<(W, N)>);

impl<'de, W: Deserialize<'de>, N: Unsigned> Visitor<'de> for Items<W, N> {
    type Value = AtMost<W, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while items.len() < N::USIZE {
            let Some(item) = seq.next_element()? else {
                return Ok(AtMost {
                    length: items.len(),
                    items,
                    limit: PhantomData,
                });
            };
            items.push(item);
        }
        let mut length = items.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        Ok(AtMost {
            items,
            length,
            limit: PhantomData,
        })
    }
}

/// Writes the wire form and the SSZ form of containers from one list of members, in SSZ order.
///
/// `required` after the names: its members must be there (they may be `null`), as where Web3Signer marks them so.
/// `member: Type = Wire` names the wire form where `Type` depends on the preset `P`.
macro_rules! containers {
    ($($(#[$doc:meta])* struct $name:ident $(<$preset:ident>)? as $wire:ident $($kind:ident)? {
        $($member:ident: $type:ty $(= $member_wire:ty)?),+ $(,)?
    })+) => {$(
        $(#[$doc])*
        #[derive(tree_hash_derive::TreeHash)]
        pub(in crate::consensus) struct $name $(<$preset: Preset>)? {
            $(pub(in crate::consensus) $member: $type),+
        }

        containers!(@wire $($kind)? $wire {
            $($member: containers!(@type $type $(, $member_wire)?)),+
        });

        impl $(<$preset: Preset>)? Part for $name $(<$preset>)? {
            type Wire = $wire;

            fn complete(wire: Option<$wire>, member: &'static str) -> Result<Self, CannotSign> {
                let wire = wire.ok_or(CannotSign::Missing { member })?;
                Ok(Self {
                    $($member: Part::complete(wire.$member, concat!(stringify!($name), ".", stringify!($member)))?),+
                })
            }
        }
    )+};
    (@wire $wire:ident { $($member:ident: $type:ty),+ }) => {
        #[derive(serde::Deserialize)]
        pub(in crate::consensus) struct $wire {
            $(pub(in crate::consensus) $member: Option<$type>),+
        }
    };
    (@wire required $wire:ident { $($member:ident: $type:ty),+ }) => {
        #[derive(serde::Deserialize)]
        pub(in crate::consensus) struct $wire {
            $(
                #[serde(deserialize_with = "serde::Deserialize::deserialize")]
                pub(in crate::consensus) $member: Option<$type>
            ),+
        }
    };
    (@type $type:ty) => { <$type as Part>::Wire };
    (@type $type:ty, $wire:ty) => { $wire };
}
pub(super) use containers;

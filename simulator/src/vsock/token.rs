//! The name of one connection inside the backend. Never used twice in one backend, so a late event of a
//! closed connection can not reach another.

/// The name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

impl Token {
    /// The listening socket of host programs.
    pub const LISTENER: Self = Self(0);
    /// The timer.
    pub const TIMER: Self = Self(1);
    /// The worker's note to itself that work is left.
    pub const AGAIN: Self = Self(2);
    /// The first connection.
    pub const FIRST: Self = Self(16);

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

//! Ports on the parent's side for connections that a host program opens.
//!
//! They come from the upper half of the signed range, where no service listens, and a freed port is
//! the last to be used again, so a late packet of an old connection finds nobody.

use std::collections::BTreeSet;

/// First port that is given out.
pub(super) const FIRST: u32 = 1 << 30;

/// Last port that is given out.
pub(super) const LAST: u32 = (1 << 31) - 1;

/// The ports in use.
#[derive(Debug)]
pub(super) struct Ports {
    used: BTreeSet<u32>,
    next: u32,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            used: BTreeSet::new(),
            next: FIRST,
        }
    }
}

impl Ports {
    /// A port that nobody uses. `None` when all are in use.
    pub(super) fn take(&mut self) -> Option<u32> {
        let range = LAST - FIRST + 1;
        for _ in 0..range {
            let port = self.next;
            self.next = if port >= LAST { FIRST } else { port + 1 };
            if self.used.insert(port) {
                return Some(port);
            }
        }
        None
    }

    /// `port` is free again. Ports that were never given out are ignored.
    pub(super) fn free(&mut self, port: u32) {
        self.used.remove(&port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_used_twice() {
        let mut ports = Ports {
            next: LAST - 1,
            ..Ports::default()
        };
        assert_eq!(
            [ports.take(), ports.take(), ports.take()],
            [Some(LAST - 1), Some(LAST), Some(FIRST)]
        );
        ports.free(LAST);
        assert_eq!(
            ports.take(),
            Some(FIRST + 1),
            "a freed port is not used again at once"
        );
        ports.next = LAST - 1;
        assert_eq!(ports.take(), Some(LAST), "the port in use is skipped");
        ports.free(1);
    }
}

//! The bytes of test transfers: word k is k times an odd constant, so a lost, doubled or moved byte shows.

/// The next bytes of the pattern.
#[derive(Debug, Default)]
pub(crate) struct Pattern {
    word: u64,
    used: usize,
}

impl Pattern {
    /// Fills `out` with the bytes that follow.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            *byte = self.step();
        }
    }

    /// Whether `bytes` are the ones that follow.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| *byte == self.step())
    }

    fn step(&mut self) -> u8 {
        let bytes = self.word.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
        let byte = bytes.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        if self.used == bytes.len() {
            self.used = 0;
            self.word += 1;
        }
        byte
    }
}

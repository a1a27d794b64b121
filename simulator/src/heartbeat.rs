//! The parent's side of the heartbeat, as nitro-cli does it: one connection, exactly one byte, the same byte back.
//!
//! Source: aws-nitro-enclaves-cli, `enclave_proc/utils.rs` and error E36.

use std::io::{self, Read, Write};
use std::time::Duration;

use abi::vsock::HEARTBEAT;
use thiserror::Error;

/// How the heartbeat failed; nitro-cli would end the enclave with E36 (`EnclaveBootFailure`).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HeartbeatError {
    /// The enclave connected but sent nothing.
    #[error("E36 enclave boot failure: no heartbeat byte was received")]
    Receive(#[source] io::Error),
    /// The enclave sent another byte.
    #[error("E36 enclave boot failure: heartbeat byte is {0:#04x}, expected {HEARTBEAT:#04x}")]
    Wrong(u8),
    /// The answer could not be sent.
    #[error("E36 enclave boot failure: the heartbeat could not be answered")]
    Answer(#[source] io::Error),
}

/// Reads the byte, calls `beat` when it is the right one, and then answers it: what the enclave does next comes after
/// `beat`.
///
/// # Errors
/// [`HeartbeatError`]; nothing is answered then.
pub fn answer(stream: &mut (impl Read + Write), beat: impl FnOnce()) -> Result<(), HeartbeatError> {
    let mut byte = [0];
    stream.read_exact(&mut byte).map_err(HeartbeatError::Receive)?;
    match byte {
        [HEARTBEAT] => {
            beat();
            stream.write_all(&byte).map_err(HeartbeatError::Answer)
        }
        [other] => Err(HeartbeatError::Wrong(other)),
    }
}

/// How long nitro-cli waits for the heartbeat: 90 s for each begun 6 GiB of image, and 90 s for each begun 100 GiB of memory.
#[must_use]
pub fn wait(image_bytes: u64, memory_mib: u32) -> Duration {
    const STEP: Duration = Duration::from_secs(90);
    let steps = |size: u64, unit: u64| u32::try_from(size.div_ceil(unit)).unwrap_or(u32::MAX).max(1);
    let image = steps(image_bytes, 6 << 30);
    let memory = steps(u64::from(memory_mib), 100 << 10);
    STEP.saturating_mul(image.saturating_add(memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, and what was written.
    struct Line(&'static [u8], Vec<u8>);

    impl Read for Line {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.0.read(into)
        }
    }

    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_byte_is_answered() {
        let mut line = Line(&[0xB7, 0xB7], Vec::new());
        let mut beats = 0;
        answer(&mut line, || beats += 1).unwrap();
        assert_eq!((beats, line.0.len(), line.1), (1, 1, vec![0xB7]));
    }

    #[test]
    fn anything_else_is_e36_and_not_answered() {
        for byte in 0..=u8::MAX {
            let bytes: &'static [u8] = vec![byte].leak();
            let mut line = Line(bytes, Vec::new());
            let mut beats = 0;
            let result = answer(&mut line, || beats += 1);
            assert_eq!(beats == 1, byte == HEARTBEAT);
            if byte != HEARTBEAT {
                let error = result.unwrap_err();
                assert!(matches!(error, HeartbeatError::Wrong(b) if b == byte));
                assert!(error.to_string().starts_with("E36 ") && line.1.is_empty());
            }
        }
        let error = answer(&mut Line(&[], Vec::new()), || ()).unwrap_err();
        assert!(matches!(error, HeartbeatError::Receive(_)) && error.to_string().starts_with("E36 "));
    }

    #[test]
    fn the_wait_is_that_of_nitro_cli() {
        assert_eq!(wait(1, 512), Duration::from_mins(3));
        assert_eq!(wait(6 << 30, 100 << 10), Duration::from_mins(3));
        assert_eq!(wait((6 << 30) + 1, (100 << 10) + 1), Duration::from_mins(6));
        assert_eq!(wait(0, 0), Duration::from_mins(3));
    }
}

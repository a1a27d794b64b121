//! The files that PID 1 and the kernel keep, read with bounds. Nothing here comes from the parent.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use abi::events::{self, Event, EventError};

/// Longest `/proc/uptime` and `rng_current` that are read, in bytes.
const MAX_SHORT_BYTES: usize = 256;

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// The events of the boot, see [`abi::events`].
    pub boot: PathBuf,
    /// Seconds since the kernel started, as `/proc/uptime`.
    pub uptime: PathBuf,
    /// Name of the active hardware random number generator.
    pub rng: PathBuf,
    /// The latest reading of the clock, see [`abi::events::CLOCK_FILE`].
    pub clock: PathBuf,
}

/// Why a file does not say what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is longer than it can be.
    #[error("{path} has more than {limit} bytes")]
    TooLong {
        /// Its path.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// It does not hold what it should.
    #[error("{path} does not hold {expected}")]
    Content {
        /// Its path.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// A line is no event.
    #[error("line {line} of {path} is no event")]
    Event {
        /// Its path.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// Why.
        source: EventError,
    },
}

impl Sources {
    /// The files of a running enclave.
    #[must_use]
    pub fn system() -> Self {
        Self {
            boot: events::BOOT_FILE.into(),
            uptime: "/proc/uptime".into(),
            rng: "/sys/class/misc/hw_random/rng_current".into(),
            clock: events::CLOCK_FILE.into(),
        }
    }

    /// The events of the boot so far, oldest first. A line that is still being written is left out.
    ///
    /// # Errors
    /// [`SourceError`], by its variants.
    pub fn events(&self) -> Result<Vec<Event>, SourceError> {
        let text = read(&self.boot, events::MAX_BOOT_FILE_BYTES)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let event = |(index, line): (usize, &str)| {
            let path = || self.boot.clone();
            Event::parse(line).map_err(|source| SourceError::Event {
                path: path(),
                line: index + 1,
                source,
            })
        };
        whole.lines().enumerate().map(event).collect()
    }

    /// The latest reading of the clock; `None` when there was none yet.
    ///
    /// # Errors
    /// [`SourceError`], by its variants.
    pub fn clock(&self) -> Result<Option<Event>, SourceError> {
        match std::fs::metadata(&self.clock) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            _ => {}
        }
        let text = read(&self.clock, events::MAX_LINE_BYTES + 1)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let event = Event::parse(line).map_err(|source| SourceError::Event {
            path: self.clock.clone(),
            line: 1,
            source,
        })?;
        Ok(Some(event))
    }

    /// Milliseconds since the kernel started.
    ///
    /// # Errors
    /// [`SourceError`], by its variants.
    pub fn uptime_ms(&self) -> Result<u64, SourceError> {
        let text = read(&self.uptime, MAX_SHORT_BYTES)?;
        let seconds_and_hundredths = || {
            let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
            let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
            if !digits(seconds) || !digits(hundredths) || hundredths.len() != 2 {
                return None;
            }
            let ms = seconds.parse::<u64>().ok()?.checked_mul(1000)?;
            ms.checked_add(hundredths.parse::<u64>().ok()? * 10)
        };
        seconds_and_hundredths().ok_or_else(|| SourceError::Content {
            path: self.uptime.clone(),
            expected: "seconds with two decimals",
        })
    }

    /// Name of the active hardware random number generator, as the kernel says it.
    ///
    /// # Errors
    /// [`SourceError`], by its variants.
    pub fn rng(&self) -> Result<String, SourceError> {
        let text = read(&self.rng, MAX_SHORT_BYTES)?;
        let name = text.trim_end_matches('\n');
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(name.to_owned())
        } else {
            Err(SourceError::Content {
                path: self.rng.clone(),
                expected: "one name",
            })
        }
    }
}

fn read(path: &Path, limit: usize) -> Result<String, SourceError> {
    let failed = |source| SourceError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .map_err(failed)?
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > limit {
        return Err(SourceError::TooLong {
            path: path.to_owned(),
            limit,
        });
    }
    String::from_utf8(bytes).map_err(|_| SourceError::Content {
        path: path.to_owned(),
        expected: "UTF-8",
    })
}

#[cfg(test)]
mod tests {
    use abi::boot::Stage;
    use abi::events::{Key, Kind};

    use super::*;

    struct Files {
        dir: tempfile::TempDir,
        sources: Sources,
    }

    impl Files {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let at = |name| dir.path().join(name);
            let sources = Sources {
                boot: at("boot"),
                uptime: at("uptime"),
                rng: at("rng"),
                clock: at("clock"),
            };
            Self { dir, sources }
        }

        fn write(&self, name: &str, content: &[u8]) {
            std::fs::write(self.dir.path().join(name), content).unwrap();
        }
    }

    #[test]
    fn good_files_are_read() {
        let files = Files::new();
        let event = Event::new(12, Stage::Nsm, Kind::Ok).with(Key::Rng, "nsm-hwrng");
        files.write("boot", format!("{event}\n{event}\nnitro-init upt").as_bytes());
        assert_eq!(files.sources.events().unwrap(), vec![event.clone(), event]);
        files.write("uptime", b"12.34 99.99\n");
        assert_eq!(files.sources.uptime_ms().unwrap(), 12_340);
        files.write("rng", b"nsm-hwrng\n");
        assert_eq!(files.sources.rng().unwrap(), "nsm-hwrng");
        files.write("boot", b"");
        assert_eq!(files.sources.events().unwrap(), vec![]);
        assert_eq!(files.sources.clock().unwrap(), None);
        let event = Event::new(12, Stage::Running, Kind::Clock).with(Key::OffsetUs, -3);
        files.write("clock", format!("{event}\n").as_bytes());
        assert_eq!(files.sources.clock().unwrap(), Some(event));
    }

    #[test]
    fn other_files_are_refused() {
        let files = Files::new();
        assert!(matches!(files.sources.events(), Err(SourceError::Read { .. })));
        files.write("boot", b"hello\n");
        assert!(matches!(
            files.sources.events(),
            Err(SourceError::Event {
                line: 1,
                source: EventError::Foreign,
                ..
            })
        ));
        files.write("boot", &vec![b'a'; events::MAX_BOOT_FILE_BYTES + 1]);
        assert!(matches!(files.sources.events(), Err(SourceError::TooLong { .. })));
        for text in ["", "clock\n"] {
            files.write("clock", text.as_bytes());
            assert!(
                matches!(files.sources.clock(), Err(SourceError::Event { .. })),
                "{text}"
            );
        }
        files.write("boot", b"\xff\n");
        assert!(matches!(files.sources.events(), Err(SourceError::Content { .. })));
        for text in [
            "",
            "\n",
            "12",
            "12.3",
            "12.345 1",
            "-1.00",
            "+1.00",
            "1.+1",
            "99999999999999999999.00",
            "1e3.00",
        ] {
            files.write("uptime", text.as_bytes());
            assert!(
                matches!(files.sources.uptime_ms(), Err(SourceError::Content { .. })),
                "{text}"
            );
        }
        for text in ["", "\n", "two words", "x\ny"] {
            files.write("rng", text.as_bytes());
            assert!(
                matches!(files.sources.rng(), Err(SourceError::Content { .. })),
                "{text}"
            );
        }
    }
}

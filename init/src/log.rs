//! Events to the console and to the boot file, and the stage that PID 1 is in.
//!
//! Before `/run` exists the lines are kept and written when it does. The boot file ends at
//! [`MAX_BOOT_FILE_BYTES`]; what follows goes to [`MORE_FILE`], which is put anew when it is as long. A failure to append later
//! costs a line of status, never the boot.

use core::sync::atomic::{AtomicU8, Ordering};

use abi::boot::Stage;
use abi::events::{BOOT_FILE, Event, Kind, MAX_BOOT_FILE_BYTES, MORE_FILE};

use crate::system::{Result, System};

/// The stage, for a panic's last words; every other reader asks its [`Log`].
static CURRENT: AtomicU8 = AtomicU8::new(0);

/// The stage that this process was last in.
#[must_use]
pub fn current_stage() -> Stage {
    Stage::from_code(CURRENT.load(Ordering::Relaxed)).unwrap_or(Stage::Start)
}

/// Where events go.
#[derive(Debug)]
pub struct Log {
    stage: Stage,
    /// Lines of before the file; `None` once it is open.
    early: Option<String>,
    /// Bytes in the file.
    written: usize,
    /// Bytes in the file for what follows; `None` while all fits into the first.
    more: Option<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            stage: Stage::Start,
            early: Some(String::new()),
            written: 0,
            more: None,
        }
    }
}

impl Log {
    /// The stage that is being passed.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Goes to the next stage.
    pub fn enter(&mut self, stage: Stage) {
        self.stage = stage;
        CURRENT.store(stage.code(), Ordering::Relaxed);
    }

    /// An event of now and of this stage.
    #[must_use]
    pub fn event(&self, system: &dyn System, kind: Kind) -> Event {
        Event::new(system.uptime_ms(), self.stage, kind)
    }

    /// Writes an event.
    pub fn write(&mut self, system: &mut dyn System, event: &Event) {
        let mut line = event.to_string();
        system.console(&line);
        line.push('\n');
        match &mut self.early {
            Some(early) => early.push_str(&line),
            None if self.more.is_some() || self.written + line.len() > MAX_BOOT_FILE_BYTES => {
                let more = self.more.unwrap_or(MAX_BOOT_FILE_BYTES);
                let (result, before) = if more + line.len() > MAX_BOOT_FILE_BYTES {
                    (system.replace_file(MORE_FILE, &line), 0)
                } else {
                    (system.append_file(MORE_FILE, &line), more)
                };
                if result.is_ok() {
                    self.more = Some(before + line.len());
                }
            }
            None => {
                if system.append_file(BOOT_FILE, &line).is_ok() {
                    self.written += line.len();
                }
            }
        }
    }

    /// Makes the boot file with the lines so far.
    ///
    /// # Errors
    /// That of making the file: an agent that cannot tell its boot's story must not start.
    pub fn open_file(&mut self, system: &mut dyn System) -> Result<()> {
        let early = self.early.take().unwrap_or_default();
        self.written = early.len();
        system.replace_file(BOOT_FILE, &early)
    }
}

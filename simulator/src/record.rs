//! What is known of one enclave so far: its milestones with times, its console, how it ended.
//!
//! A value that several threads write and anyone may wait on. Bounded: old console lines make room for new ones.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use abi::boot::{FatalReport, Stage};
use abi::events::{Event, Kind};

/// Console lines that are kept.
pub const MAX_LINES: usize = 20_000;

/// What QEMU says when its NSM device has looked at the queue between the two halves of a request. Everything that
/// asks the NSM hangs from then on, so such a boot is tried again.
const NSM_RACE: &str = "Expected response buffer after request buffer in virtqueue";

/// What the kernel prints last when the guest is to end. QEMU then ends as well, but not always: the machine has no
/// keyboard controller to reset it, and the kernel's other ways now and then leave a processor spinning.
const LAST_WORDS: [&str; 3] = [
    "reboot: machine restart",
    "reboot: System halted",
    "reboot: Power down",
];

/// A point in an enclave's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Milestone {
    /// The emulator was started.
    Spawned,
    /// The kernel has printed its first line.
    Kernel,
    /// PID 1 has passed a stage.
    Init(Stage),
    /// The heartbeat was answered: what nitro-cli waits for.
    Heartbeat,
    /// The kernel has stopped the machine.
    Stopped,
    /// The emulator has ended.
    Ended,
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spawned => f.write_str("spawned"),
            Self::Kernel => f.write_str("kernel"),
            Self::Init(stage) => write!(f, "init:{stage}"),
            Self::Heartbeat => f.write_str("heartbeat"),
            Self::Stopped => f.write_str("stopped"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

/// News of an enclave, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// A milestone was passed.
    Passed(Milestone),
    /// A line of the console, without control characters.
    Console(String),
    /// A line of the emulator itself.
    Emulator(String),
    /// The enclave said why it dies.
    Fatal(FatalReport),
    /// The heartbeat, or a boot report, was wrong; the text says how.
    Wrong(String),
}

#[derive(Debug, Default)]
struct Inner {
    news: VecDeque<(Duration, News)>,
    /// Number of the first entry of `news`.
    first: usize,
    passed: Vec<(Milestone, Duration)>,
    fatal: Option<FatalReport>,
    wrong: Option<String>,
    nsm_race: bool,
}

/// The record.
#[derive(Debug)]
pub struct Record {
    start: Instant,
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            inner: Mutex::default(),
            changed: Condvar::new(),
        }
    }
}

impl Record {
    /// Writes down a milestone; the second of its kind is ignored.
    pub fn pass(&self, milestone: Milestone) {
        self.add(|inner, at| {
            let new = inner.passed.iter().all(|(known, _)| *known != milestone);
            new.then(|| {
                inner.passed.push((milestone, at));
                News::Passed(milestone)
            })
        });
    }

    /// Writes down a line of the guest's console, and what it means.
    pub fn console(&self, line: &str) {
        let line: String = line.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        if line.is_empty() {
            return;
        }
        if line.starts_with('[') || line.starts_with("Linux version") {
            self.pass(Milestone::Kernel);
        }
        let event = Event::parse(&line).ok();
        let stopped = line.starts_with('[') && LAST_WORDS.iter().any(|words| line.ends_with(words));
        self.add(|_, _| Some(News::Console(line)));
        if stopped {
            self.pass(Milestone::Stopped);
        }
        if let Some(event) = event.filter(|e| matches!(e.kind, Kind::Ok | Kind::Skipped)) {
            self.pass(Milestone::Init(event.stage));
        }
    }

    /// Writes down a line of the emulator.
    pub fn emulator(&self, line: &str) {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        self.add(|inner, _| {
            inner.nsm_race |= line.contains(NSM_RACE);
            Some(News::Emulator(line))
        });
    }

    /// Writes down why the enclave dies.
    pub fn fatal(&self, report: FatalReport) {
        self.add(|inner, _| {
            inner.fatal = Some(report);
            Some(News::Fatal(report))
        });
    }

    /// Writes down that the enclave has broken the boot contract.
    pub fn wrong(&self, text: String) {
        self.add(|inner, _| {
            inner.wrong = Some(text.clone());
            Some(News::Wrong(text))
        });
    }

    /// Time since the emulator was to be started.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.start.elapsed()
    }

    /// The time at which a milestone was passed, since the emulator was to be started.
    #[must_use]
    pub fn passed(&self, milestone: Milestone) -> Option<Duration> {
        time_of(&self.lock(), milestone)
    }

    /// All milestones in order of time.
    #[must_use]
    pub fn milestones(&self) -> Vec<(Milestone, Duration)> {
        self.lock().passed.clone()
    }

    /// What the enclave said before it died.
    #[must_use]
    pub fn fatal_report(&self) -> Option<FatalReport> {
        self.lock().fatal
    }

    /// How the enclave broke the boot contract.
    #[must_use]
    pub fn wrong_text(&self) -> Option<String> {
        self.lock().wrong.clone()
    }

    /// Whether the emulator's NSM device has lost a request.
    #[must_use]
    pub fn nsm_race(&self) -> bool {
        self.lock().nsm_race
    }

    /// The console lines that are kept, oldest first.
    #[must_use]
    pub fn console_lines(&self) -> Vec<String> {
        let inner = self.lock();
        let lines = inner.news.iter().filter_map(|(_, news)| match news {
            News::Console(line) => Some(line.clone()),
            _ => None,
        });
        lines.collect()
    }

    /// The news from number `from` on, at least one unless `wait` passes first, and the number that comes next.
    /// Numbers begin at 0; news that were dropped are skipped.
    #[must_use]
    pub fn news(&self, from: usize, wait: Duration) -> (Vec<(Duration, News)>, usize) {
        let inner = self.wait(wait, |inner| inner.first + inner.news.len() > from);
        let skip = from.saturating_sub(inner.first);
        let news = inner.news.iter().skip(skip).cloned().collect();
        (news, inner.first + inner.news.len())
    }

    /// Waits until `milestone` is passed, or the enclave has ended or broken the contract, or `limit` is over.
    /// Returns the milestone's time, if it was passed.
    #[must_use]
    pub fn wait_for(&self, milestone: Milestone, limit: Duration) -> Option<Duration> {
        let settled = |inner: &Inner| {
            let over = time_of(inner, Milestone::Ended).is_some() || inner.wrong.is_some();
            over || time_of(inner, milestone).is_some()
        };
        time_of(&self.wait(limit, settled), milestone)
    }

    /// Waits until the machine has stopped or the emulator has ended; `false` when `limit` was over first.
    pub(crate) fn wait_stopped(&self, limit: Duration) -> bool {
        let stopped = |inner: &Inner| {
            [Milestone::Stopped, Milestone::Ended]
                .iter()
                .any(|m| time_of(inner, *m).is_some())
        };
        stopped(&self.wait(limit, stopped))
    }

    fn add(&self, change: impl FnOnce(&mut Inner, Duration) -> Option<News>) {
        let mut inner = self.lock();
        let at = self.start.elapsed();
        if let Some(news) = change(&mut inner, at) {
            inner.news.push_back((at, news));
        }
        if inner.news.len() > MAX_LINES {
            inner.news.pop_front();
            inner.first += 1;
        }
        drop(inner);
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Inner) -> bool) -> MutexGuard<'_, Inner> {
        let waiting = self
            .changed
            .wait_timeout_while(self.lock(), limit, |inner| !until(inner));
        waiting.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Nothing is ever half written, so a panic elsewhere does no harm to the record.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn time_of(inner: &Inner, milestone: Milestone) -> Option<Duration> {
    inner
        .passed
        .iter()
        .find(|(known, _)| *known == milestone)
        .map(|(_, at)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_milestones_once() {
        let record = Record::default();
        record.console("SeaBIOS (version x)\x1b");
        record.console("[    0.000000] Linux version 6.12");
        record.console("nitro-init uptime_ms=5 stage=mounts event=ok\r");
        record.console("nitro-init uptime_ms=6 stage=heartbeat event=retry attempt=1");
        record.console("service: nitro-init uptime_ms=7 stage=running event=ok");
        record.console("nitro-init uptime_ms=8 stage=mounts event=ok");
        let passed: Vec<_> = record.milestones().iter().map(|(m, _)| m.to_string()).collect();
        assert_eq!(passed, ["kernel", "init:mounts"]);
        assert_eq!(record.console_lines().len(), 6);
        assert_eq!(record.console_lines()[0], "SeaBIOS (version x)");
    }

    #[test]
    fn the_kernels_last_words_are_a_milestone() {
        let record = Record::default();
        record.console("service: reboot: Power down");
        record.console("[    1.0] reboot: Power down on request");
        assert_eq!(record.passed(Milestone::Stopped), None);
        record.console("[    5.876290] reboot: machine restart");
        assert!(record.passed(Milestone::Stopped).is_some());
    }

    #[test]
    fn the_console_is_bounded() {
        let record = Record::default();
        for n in 0..MAX_LINES + 5 {
            record.console(&format!("line {n}"));
        }
        assert_eq!(record.console_lines().len(), MAX_LINES);
        let (news, next) = record.news(0, Duration::ZERO);
        assert_eq!((news.len(), next), (MAX_LINES, MAX_LINES + 5));
        assert_eq!(news[0].1, News::Console("line 5".into()));
        assert_eq!(record.news(next, Duration::ZERO), (vec![], next));
    }

    #[test]
    fn a_wait_ends_with_the_enclave() {
        let record = Record::default();
        assert_eq!(record.wait_for(Milestone::Heartbeat, Duration::ZERO), None);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| record.wait_for(Milestone::Heartbeat, Duration::from_mins(1)));
            record.pass(Milestone::Kernel);
            record.pass(Milestone::Heartbeat);
            assert!(waiting.join().unwrap().is_some());
            let waiting =
                scope.spawn(|| record.wait_for(Milestone::Init(Stage::Running), Duration::from_mins(1)));
            record.pass(Milestone::Ended);
            assert_eq!(waiting.join().unwrap(), None);
        });
    }

    #[test]
    fn the_lost_nsm_request_is_noticed() {
        let record = Record::default();
        record.emulator("qemu-system-x86_64: warning: something");
        assert!(!record.nsm_race());
        record.emulator("qemu-system-x86_64: Expected response buffer after request buffer in virtqueue");
        assert!(record.nsm_race());
    }
}

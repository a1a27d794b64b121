//! What the kernel says of this process: the collectors that every Prometheus library has.
//!
//! Source: proc(5); the names are those of the Prometheus client guidelines.

use std::fs;

/// Figures of the process. A figure that cannot be read is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// Processor time, seconds.
    pub cpu_seconds: Option<f64>,
    /// Start, seconds since 1970.
    pub start_seconds: Option<f64>,
    /// Open descriptors.
    pub open_fds: Option<u64>,
    /// Most descriptors.
    pub max_fds: Option<u64>,
    /// Address space, bytes.
    pub virtual_bytes: Option<u64>,
    /// Memory in use, bytes.
    pub resident_bytes: Option<u64>,
}

/// Ticks of a second in `/proc/self/stat`: 100 on Linux for every architecture that matters.
const TICKS: f64 = 100.0;

impl Process {
    /// Reads `/proc`.
    #[must_use]
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut process = Self::parse(
            &text("/proc/self/stat"),
            &text("/proc/self/status"),
            &text("/proc/self/limits"),
            &text("/proc/stat"),
        );
        #[expect(
            clippy::disallowed_methods,
            reason = "descriptors are counted; their order does not matter"
        )]
        let entries = fs::read_dir("/proc/self/fd").map(Iterator::count);
        process.open_fds = entries.ok().and_then(|count| u64::try_from(count).ok());
        process
    }

    fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Self {
        // The second field, the name, may hold spaces and parentheses.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let field = |n: usize| fields.get(n - 3).and_then(|text| text.parse::<f64>().ok());
        let boot = system
            .lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|text| text.trim().parse::<f64>().ok());
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let number: u64 = line.split_whitespace().next()?.parse().ok()?;
            number.checked_mul(1024)
        };
        let max_fds = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Self {
            cpu_seconds: field(14)
                .zip(field(15))
                .map(|(user, system)| (user + system) / TICKS),
            start_seconds: boot.zip(field(22)).map(|(boot, ticks)| boot + ticks / TICKS),
            open_fds: None,
            max_fds,
            virtual_bytes: kib("VmSize:"),
            resident_bytes: kib("VmRSS:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let stat = "42 (a b) c) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 3 0 12345 999 88 184";
        let found = Process::parse(
            stat,
            "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t 512 kB\n",
            "Limit Soft Hard Units\nMax open files            1024                 4096                 files\n",
            "cpu 1 2\nbtime 1700000000\n",
        );
        let expected = Process {
            cpu_seconds: Some(2.0),
            start_seconds: Some(1_700_000_123.45),
            open_fds: None,
            max_fds: Some(1024),
            virtual_bytes: Some(2 << 20),
            resident_bytes: Some(512 << 10),
        };
        assert_eq!(found, expected);
        assert_eq!(Process::parse("", "", "", ""), Process::default());
    }
}

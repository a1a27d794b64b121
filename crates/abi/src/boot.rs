//! Boot stages, and the report that PID 1 sends to the parent before it powers off.
//!
//! The report is 16 bytes, big-endian:
//!
//! ```text
//!  0      4       5       6      8       10       12       16
//!  +------+-------+-------+------+-------+--------+--------+
//!  | NWBR | ver 1 | stage | code | errno | detail | uptime |
//!  +------+-------+-------+------+-------+--------+--------+
//! ```
//!
//! `code` is a [`FatalCode`], `errno` is 0 when no system call failed, `detail` depends on the code,
//! `uptime` is in milliseconds since the kernel started (saturating). It carries numbers only, so it can leak no secret.

use core::fmt;

/// First four bytes of a [`FatalReport`].
pub const REPORT_MAGIC: [u8; 4] = *b"NWBR";

/// Layout version of [`FatalReport`].
pub const REPORT_VERSION: u8 = 1;

/// Length of an encoded [`FatalReport`], in bytes.
pub const REPORT_LEN: usize = 16;

macro_rules! coded {
    ($(#[$doc:meta])* $name:ident: $repr:ty { $($(#[$vdoc:meta])* $variant:ident = $code:literal $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr($repr)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant = $code,)+ }

        impl $name {
            /// Every value, in order of code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> $repr { self as $repr }

            /// The name used in logs and on the console: lower case, words joined by `-`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value with this number, or `None` for a number that this version does not know.
            #[must_use]
            pub const fn from_code(code: $repr) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.name()) }
        }
    };
}

coded! {
    /// How far PID 1 has come. Stages are passed in this order, each once.
    Stage: u8 {
        /// The kernel has handed over; nothing is mounted yet.
        Start = 0 "start",
        /// Pseudo file systems and the console.
        Mounts = 1 "mounts",
        /// Kernel modules of an operator's own kernel, if the boot ramdisk has any.
        Modules = 2 "modules",
        /// The Nitro Secure Module answers and feeds the hardware random number generator.
        Nsm = 3 "nsm",
        /// Entropy from the NSM is credited to the kernel's pool.
        Entropy = 4 "entropy",
        /// The loopback interface is up.
        Loopback = 5 "loopback",
        /// The parent has answered the heartbeat.
        Heartbeat = 6 "heartbeat",
        /// The root is the app ramdisk, read-only.
        Root = 7 "root",
        /// Services of the table are being started.
        Services = 8 "services",
        /// Every service that starts at boot has been started.
        Running = 9 "running",
        /// Going down on purpose.
        Stopping = 10 "stopping",
    }
}

coded! {
    /// Why PID 1 gave up.
    FatalCode: u16 {
        /// A mount, directory, link or sysctl of the boot plan failed.
        Mount = 1 "mount-failed",
        /// A kernel module could not be loaded.
        Module = 2 "module-failed",
        /// `/dev/nsm` is absent or does not answer.
        NsmAbsent = 3 "nsm-absent",
        /// The active hardware random number generator is not the NSM.
        RngNotNsm = 4 "rng-not-nsm",
        /// Entropy could not be read from the NSM or not be credited.
        Entropy = 5 "entropy-failed",
        /// The loopback interface could not be brought up.
        Loopback = 6 "loopback-failed",
        /// The parent did not answer the heartbeat, or answered with another byte.
        Heartbeat = 7 "heartbeat-failed",
        /// The app ramdisk is absent or its root could not be moved.
        Root = 8 "root-failed",
        /// The service table is absent or malformed.
        ServiceTable = 9 "service-table-bad",
        /// A service could not be started.
        ServiceStart = 10 "service-start-failed",
        /// A service ended more often than its table entry allows.
        CrashLoop = 11 "crash-loop",
        /// The agent asked for power-off with a fatal cause.
        AgentRequest = 12 "agent-request",
        /// PID 1 broke one of its own rules.
        Internal = 13 "internal",
    }
}

/// What PID 1 tells the parent before it powers off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FatalReport {
    /// The stage that was being passed.
    pub stage: Stage,
    /// Why it ended.
    pub code: FatalCode,
    /// The error number of the system call that failed, 0 when there was none.
    pub errno: u16,
    /// Milliseconds since the kernel started, saturating.
    pub uptime_ms: u32,
    /// For [`FatalCode::AgentRequest`] the agent's own code, for a service its index in the table, else 0.
    pub detail: u16,
}

/// Why bytes are not a [`FatalReport`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportError {
    /// Not [`REPORT_LEN`] bytes; holds the actual length.
    Length(usize),
    /// Not [`REPORT_MAGIC`].
    Magic([u8; 4]),
    /// A layout version that is not [`REPORT_VERSION`].
    Version(u8),
    /// A stage number that this version does not know.
    Stage(u8),
    /// A code that this version does not know.
    Code(u16),
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(n) => write!(f, "boot report has {n} bytes, expected {REPORT_LEN}"),
            Self::Magic(m) => write!(
                f,
                "boot report starts with {m:02x?}, expected {REPORT_MAGIC:02x?}"
            ),
            Self::Version(v) => write!(f, "boot report has version {v}, expected {REPORT_VERSION}"),
            Self::Stage(s) => write!(f, "boot report names unknown stage {s}"),
            Self::Code(c) => write!(f, "boot report names unknown code {c}"),
        }
    }
}

impl core::error::Error for ReportError {}

impl FatalReport {
    /// The 16 bytes of the report.
    #[must_use]
    pub fn encode(&self) -> [u8; REPORT_LEN] {
        let [m0, m1, m2, m3] = REPORT_MAGIC;
        let [c0, c1] = self.code.code().to_be_bytes();
        let [e0, e1] = self.errno.to_be_bytes();
        let [d0, d1] = self.detail.to_be_bytes();
        let [u0, u1, u2, u3] = self.uptime_ms.to_be_bytes();
        [
            m0,
            m1,
            m2,
            m3,
            REPORT_VERSION,
            self.stage.code(),
            c0,
            c1,
            e0,
            e1,
            d0,
            d1,
            u0,
            u1,
            u2,
            u3,
        ]
    }

    /// Reads a report that came from an enclave; every byte is checked.
    ///
    /// # Errors
    /// [`ReportError`] names the first field that is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, ReportError> {
        let bytes: &[u8; REPORT_LEN] = bytes.try_into().map_err(|_| ReportError::Length(bytes.len()))?;
        let [
            m0,
            m1,
            m2,
            m3,
            version,
            stage,
            c0,
            c1,
            e0,
            e1,
            d0,
            d1,
            u0,
            u1,
            u2,
            u3,
        ] = *bytes;
        let magic = [m0, m1, m2, m3];
        if magic != REPORT_MAGIC {
            return Err(ReportError::Magic(magic));
        }
        if version != REPORT_VERSION {
            return Err(ReportError::Version(version));
        }
        let code = u16::from_be_bytes([c0, c1]);
        Ok(Self {
            stage: Stage::from_code(stage).ok_or(ReportError::Stage(stage))?,
            code: FatalCode::from_code(code).ok_or(ReportError::Code(code))?,
            errno: u16::from_be_bytes([e0, e1]),
            uptime_ms: u32::from_be_bytes([u0, u1, u2, u3]),
            detail: u16::from_be_bytes([d0, d1]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: FatalReport = FatalReport {
        stage: Stage::Heartbeat,
        code: FatalCode::Heartbeat,
        errno: 111,
        uptime_ms: 0x0102_0304,
        detail: 0xAABB,
    };

    #[test]
    fn layout_is_fixed() {
        assert_eq!(
            REPORT.encode(),
            [b'N', b'W', b'B', b'R', 1, 6, 0, 7, 0, 111, 0xAA, 0xBB, 1, 2, 3, 4]
        );
        assert_eq!(FatalReport::decode(&REPORT.encode()), Ok(REPORT));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let good = REPORT.encode();
        for len in 0..REPORT_LEN {
            assert_eq!(FatalReport::decode(&good[..len]), Err(ReportError::Length(len)));
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            FatalReport::decode(&bytes)
        };
        assert_eq!(with(0, b'X'), Err(ReportError::Magic(*b"XWBR")));
        assert_eq!(with(4, 2), Err(ReportError::Version(2)));
        assert_eq!(with(5, 200), Err(ReportError::Stage(200)));
        assert_eq!(with(7, 0), Err(ReportError::Code(0)));
    }

    #[test]
    fn codes_and_names_are_one_to_one() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_code(stage.code()), Some(*stage));
        }
        let mut names: Vec<_> = FatalCode::ALL.iter().map(|c| c.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FatalCode::ALL.len());
        assert_eq!(Stage::from_code(255), None);
    }
}

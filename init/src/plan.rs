//! What the boot does, as tables: file systems, links, kernel settings, paths. [`crate::boot`] runs them in this order.
//! Nothing here depends on the image; what does is in the service table.

use rustix::mount::MountFlags;

use crate::system::Mount;

const NO_SUID_DEV: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);
const NO_SUID_DEV_EXEC: MountFlags = NO_SUID_DEV.union(MountFlags::NOEXEC);

/// Mounted in the boot ramdisk, then moved to the same place in the app root.
///
/// - `/dev` is the kernel's own tree of device nodes; PID 1 only changes the access to `/dev/nsm`.
/// - `/proc` shows a process only to its own user (`hidepid=2`, the number also pleases kernels before 5.8);
///   no group is excepted.
/// - `/sys` is read-only: nothing in an enclave is configured there.
/// - `/tmp` and `/run` hold nothing executable. A service that needs more asks for a mount of its own in the table.
pub const MOUNTS: &[Mount<'_>] = &[
    Mount {
        target: "/dev",
        kind: "devtmpfs",
        flags: MountFlags::NOSUID.union(MountFlags::NOEXEC),
        options: "mode=0755",
    },
    Mount {
        target: "/proc",
        kind: "proc",
        flags: NO_SUID_DEV_EXEC,
        options: "hidepid=2",
    },
    Mount {
        target: "/sys",
        kind: "sysfs",
        flags: NO_SUID_DEV_EXEC.union(MountFlags::RDONLY),
        options: "",
    },
    Mount {
        target: "/run",
        kind: "tmpfs",
        flags: NO_SUID_DEV_EXEC,
        options: "mode=0755,size=16m",
    },
    Mount {
        target: "/tmp",
        kind: "tmpfs",
        flags: NO_SUID_DEV_EXEC,
        options: "mode=1777,size=64m",
    },
];

/// Links that programs expect in `/dev`.
pub const LINKS: &[(&str, &str)] = &[
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Directory of [`abi::events::BOOT_FILE`] and [`abi::events::CLOCK_FILE`].
pub const STATE_DIR: &str = "/run/nitro";

/// Whether a kernel that lacks a setting may boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Its absence is fatal.
    Required,
    /// A kernel without it lacks the feature that it restricts, too.
    IfPresent,
}

/// A kernel setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// File below `/proc/sys`.
    pub path: &'static str,
    /// What is written.
    pub value: &'static str,
    /// Whether it must exist.
    pub need: Need,
}

const fn required(path: &'static str, value: &'static str) -> Setting {
    Setting {
        path,
        value,
        need: Need::Required,
    }
}

const fn if_present(path: &'static str, value: &'static str) -> Setting {
    Setting {
        path,
        value,
        need: Need::IfPresent,
    }
}

/// Written once `/proc` is there. Source: kernel documentation, `admin-guide/sysctl`.
pub const SETTINGS: &[Setting] = &[
    // Kernel addresses are nobody's business, the log is root's.
    required("/proc/sys/kernel/kptr_restrict", "2"),
    required("/proc/sys/kernel/dmesg_restrict", "1"),
    required("/proc/sys/kernel/randomize_va_space", "2"),
    // No core dump can leave a process: not into a pipe, not of one that changed its ids.
    if_present("/proc/sys/kernel/core_pattern", "/dev/null"),
    required("/proc/sys/fs/suid_dumpable", "0"),
    // Kernel interfaces that no service needs.
    if_present("/proc/sys/kernel/sysrq", "0"),
    if_present("/proc/sys/kernel/unprivileged_bpf_disabled", "1"),
    if_present("/proc/sys/kernel/perf_event_paranoid", "3"),
    if_present("/proc/sys/kernel/io_uring_disabled", "2"),
    if_present("/proc/sys/kernel/kexec_load_disabled", "1"),
    if_present("/proc/sys/kernel/yama/ptrace_scope", "3"),
    if_present("/proc/sys/vm/unprivileged_userfaultfd", "0"),
    if_present("/proc/sys/user/max_user_namespaces", "0"),
    if_present("/proc/sys/dev/tty/ldisc_autoload", "0"),
    // Tricks with links and pipes in directories that all may write to.
    required("/proc/sys/fs/protected_hardlinks", "1"),
    required("/proc/sys/fs/protected_symlinks", "1"),
    if_present("/proc/sys/fs/protected_fifos", "2"),
    if_present("/proc/sys/fs/protected_regular", "2"),
    // A kernel that has gone wrong must not go on signing.
    required("/proc/sys/kernel/panic_on_oops", "1"),
];

/// Written after the modules: none can be loaded from then on.
pub const NO_MORE_MODULES: Setting = if_present("/proc/sys/kernel/modules_disabled", "1");

/// First port that needs no capability; the value comes from the service table.
pub const PORT_START: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

/// Module of a kernel that does not have the NSM driver built in. AWS's boot ramdisks have it under this name too.
pub const NSM_MODULE: &str = "/nsm.ko";

/// The kernel's active hardware random number generator.
pub const RNG_CURRENT: &str = "/sys/class/misc/hw_random/rng_current";
/// Its name when it is the NSM. Source: `drivers/misc/nsm.c` of Linux.
pub const NSM_RNG: &str = "nsm-hwrng";

/// Mode of `/dev/nsm`; its owner is root, its group comes from the service table.
pub const NSM_MODE: u32 = 0o660;

/// Where the app ramdisk unpacks to.
pub const APP_ROOT: &str = "/rootfs";
/// How the app root is mounted for good.
pub const APP_ROOT_FLAGS: MountFlags = NO_SUID_DEV.union(MountFlags::RDONLY);

/// Flags of a memory file system of the service table.
#[must_use]
pub const fn table_mount_flags(noexec: bool) -> MountFlags {
    if noexec { NO_SUID_DEV_EXEC } else { NO_SUID_DEV }
}

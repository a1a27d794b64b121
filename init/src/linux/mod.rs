//! The real [`System`] and [`Confine`](crate::child::Confine), through the safe interfaces of rustix, nix and std.
//! Each method is one operation; whatever needs more than a few lines is in a file of its own.

mod confine;
mod files;
mod parent;
mod process;
mod time;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::time::Duration;

use nsm::entropy::{KernelPool, Pool};
use nsm::{Nsm, NsmError, Session};
use rustix::mount::MountFlags;
use rustix::process::Rlimit;
use rustix::system::RebootCommand;

pub use confine::Process;
use process::Children;

use crate::system::{Errno, Mount, Pid, Result, Signal, Spawn, Status, System};

/// The machine that this process is PID 1 of.
#[derive(Debug, Default)]
pub struct Linux {
    children: Children,
}

impl System for Linux {
    fn uptime_ms(&self) -> u64 {
        time::uptime_ms()
    }

    fn console(&mut self, line: &str) {
        files::say(rustix::stdio::stdout(), line);
    }

    fn forbid_core_dumps(&mut self) -> Result<()> {
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        Ok(rustix::process::setrlimit(rustix::process::Resource::Core, none)?)
    }

    fn ignore_ctrl_alt_del(&mut self) -> Result<()> {
        Ok(rustix::system::reboot(RebootCommand::CadOff)?)
    }

    fn make_dir(&mut self, path: &str) -> Result<()> {
        files::make_dir(path)
    }

    fn mount(&mut self, mount: &Mount<'_>) -> Result<()> {
        let options = files::c_string(mount.options)?;
        Ok(rustix::mount::mount(
            mount.kind,
            mount.target,
            mount.kind,
            mount.flags,
            options.as_c_str(),
        )?)
    }

    fn link(&mut self, path: &str, target: &str) -> Result<()> {
        Ok(symlink(target, path)?)
    }

    fn open_console(&mut self) -> Result<()> {
        files::open_console()
    }

    fn write_setting(&mut self, path: &str, value: &str) -> Result<()> {
        files::write_setting(path, value)
    }

    fn read_file(&mut self, path: &str, max: usize) -> Result<Vec<u8>> {
        files::read(path, max)
    }

    fn replace_file(&mut self, path: &str, content: &str) -> Result<()> {
        files::replace(path, content)
    }

    fn append_file(&mut self, path: &str, content: &str) -> Result<()> {
        files::append(path, content)
    }

    fn load_module(&mut self, path: &str) -> Result<()> {
        let file = fs::File::open(path)?;
        Ok(rustix::system::finit_module(&file, c"", 0)?)
    }

    fn remove_file(&mut self, path: &str) -> Result<()> {
        Ok(fs::remove_file(path)?)
    }

    fn open_nsm(&mut self) -> Result<Box<dyn Nsm>> {
        match Session::open() {
            Ok(session) => Ok(Box::new(session)),
            Err(NsmError::Open { errno }) => Err(errno.try_into().map_or(Errno::NONE, Errno)),
            Err(_) => Err(Errno::NONE),
        }
    }

    fn open_pool(&mut self) -> Result<Box<dyn Pool>> {
        Ok(Box::new(KernelPool::open()?))
    }

    fn loopback_up(&mut self) -> Result<()> {
        parent::loopback_up()
    }

    fn exchange_byte(&mut self, port: u32, byte: u8) -> Result<u8> {
        parent::exchange_byte(port, byte)
    }

    fn tell(&mut self, port: u32, message: &[u8]) -> Result<()> {
        parent::tell(port, message)
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn bind(&mut self, path: &str) -> Result<()> {
        Ok(rustix::mount::mount_bind(path, path)?)
    }

    fn move_mount(&mut self, from: &str, to: &str) -> Result<()> {
        Ok(rustix::mount::mount_move(from, to)?)
    }

    fn remount_bind(&mut self, path: &str, flags: MountFlags) -> Result<()> {
        Ok(rustix::mount::mount_remount(path, MountFlags::BIND | flags, c"")?)
    }

    fn change_dir(&mut self, path: &str) -> Result<()> {
        Ok(rustix::process::chdir(path)?)
    }

    fn change_root(&mut self, path: &str) -> Result<()> {
        Ok(rustix::process::chroot(path)?)
    }

    fn set_access(&mut self, path: &str, uid: u32, gid: u32, mode: u32) -> Result<()> {
        chown(path, Some(uid), Some(gid))?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    }

    fn clock_offset_ns(&mut self) -> Result<Option<i64>> {
        time::clock_offset_ns()
    }

    fn step_clock(&mut self, offset_ns: i64) -> Result<()> {
        time::step_clock(offset_ns)
    }

    fn watch_children(&mut self) -> Result<()> {
        self.children.watch()
    }

    fn make_pipe(&mut self, index: usize, path: &str, gid: u32) -> Result<()> {
        self.children.make_pipe(index, path, gid)
    }

    fn spawn(&mut self, spawn: Spawn) -> Result<Pid> {
        self.children.spawn(spawn)
    }

    fn signal_group(&mut self, leader: Pid, signal: Signal) -> Result<()> {
        process::signal_group(leader, signal)
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.children.wait(timeout)
    }

    fn reap(&mut self) -> Result<Option<(Pid, Status)>> {
        process::reap()
    }

    fn read_request(&mut self) -> Option<u8> {
        self.children.read_request()
    }

    fn answer_request(&mut self, byte: u8) {
        self.children.answer_request(byte);
    }

    /// A restart, not a power-off: an enclave has no ACPI, so the kernel would turn a power-off into a halt that hangs.
    /// A restart goes the way that `reboot=` of the command line names, and the hypervisor ends an enclave that
    /// restarts. Source: `init/init.c` of aws-nitro-enclaves-sdk-bootstrap; `kernel/reboot.c` of Linux.
    fn power_off(&mut self) {
        if let Err(error) = rustix::system::reboot(RebootCommand::Restart) {
            self.console(&format!("reboot failed: {error}"));
        }
    }
}

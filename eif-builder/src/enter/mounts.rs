//! The file system that the command sees: the root's folders, a few of its own, and what was asked to be shown.

use std::ffi::{CString, OsString};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Component, Path};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use super::inside::{Fault, Step, at, in_step};
use super::{Bind, Job};

/// Builds the new root on a fresh tmpfs, so that any folder can be added at its top, and changes to it.
pub(super) fn make_root(job: &Job) -> Result<(), Fault> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(in_step(Step::Private))?;
    let stage = job.stage.as_path();
    mount_fs(
        "tmpfs",
        stage,
        MountFlags::NOSUID | MountFlags::NODEV,
        "mode=0755",
    )?;
    let wanted: Vec<&str> = job.binds.iter().map(|bind| top(&bind.inside)).collect();
    for name in sorted_names(&job.root)? {
        let own = ["dev", "proc", "run", "sys", "tmp"].iter().chain(&wanted);
        if !own.into_iter().any(|other| **other == *name) {
            show_root_entry(&job.root.join(&name), &stage.join(&name))?;
        }
    }
    for name in ["dev", "proc", "run", "sys", "tmp"] {
        make_dir(&stage.join(name))?;
    }
    mount_fs(
        "proc",
        &stage.join("proc"),
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        "",
    )?;
    mount_fs(
        "tmpfs",
        &stage.join("tmp"),
        MountFlags::NOSUID | MountFlags::NODEV,
        "mode=1777",
    )?;
    for name in ["null", "zero", "full", "random", "urandom"] {
        let target = stage.join("dev").join(name);
        fs::write(&target, "").map_err(at(Step::Make, &target))?;
        let host = Path::new("/dev").join(name);
        rustix::mount::mount_bind(&host, &target).map_err(at(Step::Bind, &host))?;
    }
    for (name, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        let link = stage.join("dev").join(name);
        symlink(format!("/proc/self/fd{target}"), &link).map_err(at(Step::Make, &link))?;
    }
    for bind in &job.binds {
        show(bind, stage)?;
    }
    rustix::process::chdir(stage).map_err(at(Step::Pivot, stage))?;
    rustix::process::pivot_root(".", ".").map_err(at(Step::Pivot, stage))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(in_step(Step::Pivot))?;
    rustix::process::chdir("/").map_err(in_step(Step::Pivot))?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount_remount("/", flags, c"").map_err(in_step(Step::Pivot))
}

/// The first component of an absolute path.
fn top(inside: &str) -> &str {
    inside
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
}

/// Names in a folder, sorted.
fn sorted_names(dir: &Path) -> Result<Vec<OsString>, Fault> {
    #[expect(clippy::disallowed_methods, reason = "sorted below")]
    let entries = fs::read_dir(dir).map_err(at(Step::Bind, dir))?;
    let mut names = entries
        .map(|entry| entry.map(|e| e.file_name()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(at(Step::Bind, dir))?;
    names.sort();
    Ok(names)
}

/// Shows one entry at the top of the root: a link as a link, a folder read-only.
fn show_root_entry(host: &Path, target: &Path) -> Result<(), Fault> {
    let kind = fs::symlink_metadata(host).map_err(at(Step::Bind, host))?;
    if kind.is_symlink() {
        let link = fs::read_link(host).map_err(at(Step::Bind, host))?;
        return symlink(link, target).map_err(at(Step::Make, target));
    }
    if kind.is_dir() {
        make_dir(target)?;
        return bind_mount(host, target, false);
    }
    Ok(())
}

fn show(bind: &Bind, stage: &Path) -> Result<(), Fault> {
    let inside = Path::new(&bind.inside);
    let plain = inside.is_absolute()
        && inside
            .components()
            .skip(1)
            .all(|c| matches!(c, Component::Normal(_)));
    if !plain || top(&bind.inside).is_empty() {
        return Err(Fault {
            step: Step::Bind,
            path: Some(inside.to_path_buf()),
            errno: Some(rustix::io::Errno::INVAL.raw_os_error()),
        });
    }
    let target = stage.join(bind.inside.trim_start_matches('/'));
    let is_dir = fs::metadata(&bind.host)
        .map_err(at(Step::Bind, &bind.host))?
        .is_dir();
    if !target.exists() {
        let dir = if is_dir { Some(&*target) } else { target.parent() };
        if let Some(dir) = dir {
            make_dir(dir)?;
        }
        if !is_dir {
            fs::write(&target, "").map_err(at(Step::Make, inside))?;
        }
    }
    bind_mount(&bind.host, &target, bind.writable)
}

fn make_dir(path: &Path) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(at(Step::Make, path))
}

fn mount_fs(kind: &str, target: &Path, flags: MountFlags, options: &str) -> Result<(), Fault> {
    let options = CString::new(options).map_err(in_step(Step::Mount))?;
    rustix::mount::mount(kind, target, kind, flags, Some(options.as_c_str())).map_err(at(Step::Mount, target))
}

fn bind_mount(host: &Path, target: &Path, writable: bool) -> Result<(), Fault> {
    rustix::mount::mount_bind(host, target).map_err(at(Step::Bind, host))?;
    // A user namespace may add restrictions to a mount of its parent but not take any away, so those that
    // the host's mount has must be named again.
    let kept = rustix::fs::statvfs(target).map_err(at(Step::Bind, host))?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
    if kept.contains(rustix::fs::StatVfsMountFlags::NOEXEC) {
        flags |= MountFlags::NOEXEC;
    }
    if !writable {
        flags |= MountFlags::RDONLY;
    }
    rustix::mount::mount_remount(target, flags, c"").map_err(at(Step::Bind, host))
}

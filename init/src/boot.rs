//! The boot, stage by stage, from the kernel's hand-over to the root that services run in. Each stage either is passed
//! or ends the enclave; there is no stage that warns and goes on.
//!
//! The app ramdisk unpacks to `/rootfs` of the same initramfs that `/init` is in. It is mounted on itself, gets the pseudo
//! file systems moved in, is made read-only and becomes the root. `/init` is out of sight from there, so services are
//! started through `/proc/self/exe`, which the kernel resolves to the running file wherever it lies.

use abi::boot::{FatalCode, Stage};
use abi::events::{Key, Kind, OUTPUT_DIR, output_file};
use nsm::entropy::EntropyError;
use nsm::{Nsm, NsmError, Pcr, PcrIndex};
use services::codec::MAX_TABLE_BYTES;
use services::{Stdio, Table, TmpfsMount};

use crate::fatal::Fatal;
use crate::heartbeat;
use crate::log::Log;
use crate::plan::{self, Need, Setting};
use crate::system::{Errno, Mount, Result as SysResult, System};

/// What a stage gives.
type Result<T> = core::result::Result<T, Fatal>;

/// Runs every stage up to [`Stage::Services`] and returns the service table, whose mounts and settings are in force.
///
/// # Errors
/// The [`Fatal`] cause of the stage that failed.
pub fn boot(system: &mut dyn System, log: &mut Log) -> Result<Table> {
    let event = log
        .event(system, Kind::Ok)
        .with(Key::Version, env!("CARGO_PKG_VERSION"));
    log.write(system, &event);
    mounts(system, log)?;
    modules(system, log)?;
    let nsm = open_nsm(system, log)?;
    entropy(system, log, nsm.as_ref())?;
    loopback(system, log)?;
    beat(system, log)?;
    root(system, log)?;
    table(system, log)
}

/// Names the code and the target of a failed call.
fn at<T>(result: SysResult<T>, log: &Log, code: FatalCode, target: &str) -> Result<T> {
    result.map_err(|errno| Fatal::new(log.stage(), code).on(target, errno))
}

fn passed(system: &mut dyn System, log: &mut Log) {
    let event = log.event(system, Kind::Ok);
    log.write(system, &event);
}

fn mounts(system: &mut dyn System, log: &mut Log) -> Result<()> {
    log.enter(Stage::Mounts);
    let code = FatalCode::Mount;
    at(system.forbid_core_dumps(), log, code, "core-limit")?;
    at(system.ignore_ctrl_alt_del(), log, code, "ctrl-alt-del")?;
    for mount in plan::MOUNTS {
        at(system.make_dir(mount.target), log, code, mount.target)?;
        at(system.mount(mount), log, code, mount.target)?;
    }
    for (path, target) in plan::LINKS {
        at(system.link(path, target), log, code, path)?;
    }
    at(system.open_console(), log, code, "/dev/console")?;
    for setting in plan::SETTINGS {
        set(system, log, setting)?;
    }
    at(system.make_dir(plan::STATE_DIR), log, code, plan::STATE_DIR)?;
    let opened = log.open_file(system);
    at(opened, log, code, abi::events::BOOT_FILE)?;
    passed(system, log);
    Ok(())
}

fn set(system: &mut dyn System, log: &Log, setting: &Setting) -> Result<()> {
    match system.write_setting(setting.path, setting.value) {
        Err(Errno::NOT_FOUND) if setting.need == Need::IfPresent => Ok(()),
        result => at(result, log, FatalCode::Mount, setting.path),
    }
}

/// Loads the NSM driver of a kernel that has it as a module; then no module can be loaded any more.
fn modules(system: &mut dyn System, log: &mut Log) -> Result<()> {
    log.enter(Stage::Modules);
    let kind = match system.load_module(plan::NSM_MODULE) {
        Err(Errno::NOT_FOUND) => Kind::Skipped,
        result => {
            at(result, log, FatalCode::Module, plan::NSM_MODULE)?;
            at(
                system.remove_file(plan::NSM_MODULE),
                log,
                FatalCode::Module,
                plan::NSM_MODULE,
            )?;
            Kind::Ok
        }
    };
    set(system, log, &plan::NO_MORE_MODULES)?;
    let event = log.event(system, kind);
    log.write(system, &event);
    Ok(())
}

/// The NSM answers and feeds the kernel's generator. PCR0 of 48 zero bytes is what a debug-mode enclave has.
fn open_nsm(system: &mut dyn System, log: &mut Log) -> Result<Box<dyn Nsm>> {
    log.enter(Stage::Nsm);
    let nsm = at(system.open_nsm(), log, FatalCode::NsmAbsent, nsm::DEVICE)?;
    let module = answered(nsm.describe(), log, "DescribeNSM")?.module_id;
    let image = answered(nsm.describe_pcr(PcrIndex::IMAGE), log, "DescribePCR")?.value;
    let read = system.read_file(plan::RNG_CURRENT, 64);
    let current = at(read, log, FatalCode::RngNotNsm, plan::RNG_CURRENT)?;
    if current.trim_ascii() != plan::NSM_RNG.as_bytes() {
        let fatal = Fatal::new(log.stage(), FatalCode::RngNotNsm);
        return Err(fatal.on(&String::from_utf8_lossy(current.trim_ascii()), Errno::NONE));
    }
    let debug = if image == Pcr::ZERO { "yes" } else { "no" };
    let event = log.event(system, Kind::Ok).with(Key::Rng, plan::NSM_RNG);
    log.write(system, &event.with(Key::Debug, debug).with(Key::Module, module));
    Ok(nsm)
}

fn answered<T>(result: core::result::Result<T, NsmError>, log: &Log, request: &str) -> Result<T> {
    result.map_err(|_| Fatal::new(log.stage(), FatalCode::NsmAbsent).on(request, Errno::NONE))
}

fn entropy(system: &mut dyn System, log: &mut Log, nsm: &dyn Nsm) -> Result<()> {
    log.enter(Stage::Entropy);
    let mut pool = at(
        system.open_pool(),
        log,
        FatalCode::Entropy,
        nsm::entropy::POOL_DEVICE,
    )?;
    let fed = nsm::entropy::feed(nsm, pool.as_mut()).map_err(|error| {
        let fatal = Fatal::new(log.stage(), FatalCode::Entropy);
        match error {
            EntropyError::Pool { source, .. } => fatal.on(nsm::entropy::POOL_DEVICE, source.into()),
            _ => fatal.on("GetRandom", Errno::NONE),
        }
    })?;
    let event = log.event(system, Kind::Ok).with(Key::Bytes, fed);
    log.write(system, &event);
    Ok(())
}

fn loopback(system: &mut dyn System, log: &mut Log) -> Result<()> {
    log.enter(Stage::Loopback);
    at(system.loopback_up(), log, FatalCode::Loopback, "lo")?;
    passed(system, log);
    Ok(())
}

fn beat(system: &mut dyn System, log: &mut Log) -> Result<()> {
    log.enter(Stage::Heartbeat);
    let attempts = heartbeat::exchange(system, log)?;
    let event = log.event(system, Kind::Ok).with(Key::Attempt, attempts);
    log.write(system, &event);
    Ok(())
}

/// Moves to the app root.
fn root(system: &mut dyn System, log: &mut Log) -> Result<()> {
    log.enter(Stage::Root);
    let code = FatalCode::Root;
    let root = plan::APP_ROOT;
    at(system.bind(root), log, code, root)?;
    for mount in plan::MOUNTS {
        let target = format!("{root}{}", mount.target);
        at(system.make_dir(&target), log, code, &target)?;
        at(system.move_mount(mount.target, &target), log, code, &target)?;
    }
    at(system.remount_bind(root, plan::APP_ROOT_FLAGS), log, code, root)?;
    at(system.change_dir(root), log, code, root)?;
    at(system.move_mount(".", "/"), log, code, "/")?;
    at(system.change_root("."), log, code, "/")?;
    at(system.change_dir("/"), log, code, "/")?;
    passed(system, log);
    Ok(())
}

/// Reads the service table and puts what it says about the whole enclave into force.
fn table(system: &mut dyn System, log: &mut Log) -> Result<Table> {
    log.enter(Stage::Services);
    let bytes = at(
        system.read_file(services::PATH, MAX_TABLE_BYTES),
        log,
        FatalCode::ServiceTable,
        services::PATH,
    )?;
    let table = Table::decode(&bytes).map_err(|error| {
        Fatal::new(log.stage(), FatalCode::ServiceTable).on(&error.to_string(), Errno::NONE)
    })?;
    let port = table.ip_unprivileged_port_start.to_string();
    at(
        system.write_setting(plan::PORT_START, &port),
        log,
        FatalCode::Mount,
        plan::PORT_START,
    )?;
    at(
        system.set_access(nsm::DEVICE, 0, table.nsm_gid, plan::NSM_MODE),
        log,
        FatalCode::Mount,
        nsm::DEVICE,
    )?;
    for (path, mount) in &table.mounts {
        mount_memory(system, log, path, mount)?;
    }
    pipes(system, log, &table)?;
    Ok(table)
}

/// Makes a pipe for each service whose output goes to the log. The agent reads it: the service with the request channel.
fn pipes(system: &mut dyn System, log: &Log, table: &Table) -> Result<()> {
    let code = FatalCode::Mount;
    let reader = table.services.iter().find(|service| service.channel);
    let heard = |service: &&(usize, &services::Service)| service.1.stdio == Stdio::Log;
    let numbered: Vec<_> = table.services.iter().enumerate().collect();
    for (index, service) in numbered.iter().filter(heard) {
        let path = output_file(&service.name);
        at(system.make_dir(OUTPUT_DIR), log, code, OUTPUT_DIR)?;
        // A checked table has a reader.
        let gid = reader.map_or(0, |reader| reader.gid);
        at(system.make_pipe(*index, &path, gid), log, code, &path)?;
    }
    Ok(())
}

fn mount_memory(system: &mut dyn System, log: &Log, path: &[u8], mount: &TmpfsMount) -> Result<()> {
    let code = FatalCode::Mount;
    let lossy = String::from_utf8_lossy(path);
    let target = core::str::from_utf8(path);
    let target = at(
        target.map_err(|_| Errno::NONE),
        log,
        FatalCode::ServiceTable,
        &lossy,
    )?;
    let TmpfsMount {
        size_bytes,
        mode,
        uid,
        gid,
        noexec,
    } = mount;
    at(system.make_dir(target), log, code, target)?;
    let mount = Mount {
        target,
        kind: "tmpfs",
        flags: plan::table_mount_flags(*noexec),
        options: &format!("size={size_bytes},mode={mode:o},uid={uid},gid={gid}"),
    };
    at(system.mount(&mount), log, code, target)
}

//! A machine that notes every call, can fail one of them, and whose clock, children and agent follow a script.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use init::system::{Errno, Mount, Pid, Result, Signal, Spawn, Status, System};
use nsm::entropy::{PIECE_BYTES, Pool};
use nsm::{Description, Nsm, NsmError, Pcr, PcrIndex, PcrState};
use rustix::mount::MountFlags;
use services::Table;
use zeroize::Zeroizing;

/// The error number of a call that is made to fail.
pub(crate) const BROKEN: Errno = Errno(5);

/// Calls so far, and which of them fail.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) calls: Vec<String>,
    pub(crate) fail: BTreeSet<usize>,
}

impl Record {
    fn call(&mut self, call: String) -> Result<()> {
        let fails = self.fail.contains(&self.calls.len());
        self.calls.push(call);
        if fails { Err(BROKEN) } else { Ok(()) }
    }
}

/// Something that happens at a moment of the script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A child ends.
    End(Pid, Status),
    /// The agent sends a byte.
    Request(u8),
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) record: Rc<RefCell<Record>>,
    /// Contents of files; a file that is not here does not exist.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Kernel settings that do not exist.
    pub(crate) missing: BTreeSet<String>,
    pub(crate) pcr0: Pcr,
    /// The parent's answers to the heartbeat, the last of which is repeated.
    pub(crate) heartbeat: VecDeque<Result<u8>>,
    pub(crate) console: Vec<String>,
    pub(crate) now_ms: u64,
    pub(crate) script: VecDeque<(u64, Step)>,
    pub(crate) next_pid: Pid,
    pub(crate) replies: Vec<u8>,
    /// Offsets of the host's clock, the last of which is repeated.
    pub(crate) offsets_ns: VecDeque<Result<Option<i64>>>,
}

/// The NSM and pool that share the machine's record.
struct Module(Rc<RefCell<Record>>, Pcr);

impl Module {
    fn call<T>(&self, name: &'static str, answer: T) -> core::result::Result<T, NsmError> {
        let done = self.0.borrow_mut().call(name.to_owned());
        done.map(|()| answer)
            .map_err(|_| NsmError::Mismatch { request: name })
    }
}

impl Nsm for Module {
    fn describe(&self) -> core::result::Result<Description, NsmError> {
        let (version, module_id) = ((1, 0, 0), "i-1-enc2".to_owned());
        self.call(
            "nsm DescribeNSM",
            Description {
                version,
                module_id,
                max_pcrs: 32,
                locked_pcrs: BTreeSet::new(),
            },
        )
    }
    fn describe_pcr(&self, index: PcrIndex) -> core::result::Result<PcrState, NsmError> {
        assert_eq!(index, PcrIndex::IMAGE);
        self.call(
            "nsm DescribePCR",
            PcrState {
                locked: true,
                value: self.1,
            },
        )
    }
    fn extend_pcr(&self, _: PcrIndex, _: &[u8]) -> core::result::Result<Pcr, NsmError> {
        unreachable!("PID 1 extends no register")
    }
    fn lock_pcr(&self, _: PcrIndex) -> core::result::Result<(), NsmError> {
        unreachable!("PID 1 locks no register")
    }
    fn lock_pcrs_through(&self, _: PcrIndex) -> core::result::Result<(), NsmError> {
        unreachable!("PID 1 locks no register")
    }
    fn attest(&self, _: Option<&[u8]>, _: Option<&[u8]>) -> core::result::Result<Vec<u8>, NsmError> {
        unreachable!("PID 1 attests nothing")
    }
    fn random(&self) -> core::result::Result<Zeroizing<Vec<u8>>, NsmError> {
        self.call("nsm GetRandom", Zeroizing::new(vec![7; PIECE_BYTES]))
    }
}

impl Pool for Module {
    fn add(&mut self, piece: &[u8; PIECE_BYTES]) -> std::io::Result<()> {
        assert_eq!(piece, &[7; PIECE_BYTES]);
        let done = self.0.borrow_mut().call("pool add 256".to_owned());
        done.map_err(|errno| std::io::Error::from_raw_os_error(errno.0.into()))
    }
}

impl Machine {
    /// A machine on which everything works, with this table.
    pub(crate) fn new(table: &Table) -> Self {
        let files = [
            (
                "/sys/class/misc/hw_random/rng_current".to_owned(),
                b"nsm-hwrng\n".to_vec(),
            ),
            ("/etc/nitro/services".to_owned(), table.encode().unwrap()),
        ];
        Self {
            record: Rc::default(),
            files: files.into(),
            missing: BTreeSet::new(),
            pcr0: Pcr([1; 48]),
            heartbeat: [Ok(0xB7)].into(),
            console: Vec::new(),
            now_ms: 0,
            script: VecDeque::new(),
            next_pid: 100,
            replies: Vec::new(),
            offsets_ns: [Ok(None)].into(),
        }
    }

    pub(crate) fn call(&self, call: String) -> Result<()> {
        self.record.borrow_mut().call(call)
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.record.borrow().calls.clone()
    }

    /// The console's lines without their first words, from the first that starts so.
    pub(crate) fn story_from(&self, first: &str) -> Vec<String> {
        let lines = self
            .console
            .iter()
            .map(|line| line.split(' ').skip(1).collect::<Vec<_>>().join(" "));
        lines
            .skip_while(|line| !line.split_once(' ').is_some_and(|(_, l)| l.starts_with(first)))
            .collect()
    }
}

/// Takes the next of a queue whose last item is repeated.
fn next<T: Copy>(queue: &mut VecDeque<T>) -> T {
    let item = *queue.front().unwrap();
    if queue.len() > 1 {
        queue.pop_front();
    }
    item
}

impl System for Machine {
    fn uptime_ms(&self) -> u64 {
        self.now_ms
    }
    fn console(&mut self, line: &str) {
        self.console.push(line.to_owned());
    }
    fn forbid_core_dumps(&mut self) -> Result<()> {
        self.call("forbid-core-dumps".to_owned())
    }
    fn ignore_ctrl_alt_del(&mut self) -> Result<()> {
        self.call("ignore-ctrl-alt-del".to_owned())
    }
    fn make_dir(&mut self, path: &str) -> Result<()> {
        self.call(format!("make-dir {path}"))
    }
    fn mount(&mut self, mount: &Mount<'_>) -> Result<()> {
        let Mount {
            target,
            kind,
            flags,
            options,
        } = mount;
        self.call(format!("mount {kind} {target} {} {options}", names(*flags)))
    }
    fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.call(format!("link {path} {target}"))
    }
    fn open_console(&mut self) -> Result<()> {
        self.call("open-console".to_owned())
    }
    fn write_setting(&mut self, path: &str, value: &str) -> Result<()> {
        self.call(format!("set {path} {value}"))?;
        if self.missing.contains(path) {
            Err(Errno::NOT_FOUND)
        } else {
            Ok(())
        }
    }
    fn read_file(&mut self, path: &str, _max: usize) -> Result<Vec<u8>> {
        self.call(format!("read {path}"))?;
        self.files.get(path).cloned().ok_or(Errno::NOT_FOUND)
    }
    fn replace_file(&mut self, path: &str, content: &str) -> Result<()> {
        self.call(format!("replace {path}"))?;
        self.files.insert(path.to_owned(), content.as_bytes().to_vec());
        Ok(())
    }
    fn append_file(&mut self, path: &str, content: &str) -> Result<()> {
        self.call(format!("append {path}"))?;
        self.files
            .get_mut(path)
            .unwrap()
            .extend_from_slice(content.as_bytes());
        Ok(())
    }
    fn load_module(&mut self, path: &str) -> Result<()> {
        self.call(format!("load-module {path}"))?;
        self.files.get(path).map(drop).ok_or(Errno::NOT_FOUND)
    }
    fn remove_file(&mut self, path: &str) -> Result<()> {
        self.call(format!("remove {path}"))
    }
    fn open_nsm(&mut self) -> Result<Box<dyn Nsm>> {
        self.call("open-nsm".to_owned())?;
        Ok(Box::new(Module(Rc::clone(&self.record), self.pcr0)))
    }
    fn open_pool(&mut self) -> Result<Box<dyn Pool>> {
        self.call("open-pool".to_owned())?;
        Ok(Box::new(Module(Rc::clone(&self.record), self.pcr0)))
    }
    fn loopback_up(&mut self) -> Result<()> {
        self.call("loopback-up".to_owned())
    }
    fn exchange_byte(&mut self, port: u32, byte: u8) -> Result<u8> {
        self.call(format!("exchange {port} {byte:#x}"))?;
        next(&mut self.heartbeat)
    }
    fn tell(&mut self, port: u32, message: &[u8]) -> Result<()> {
        self.call(format!("tell {port} {message:?}"))
    }
    fn sleep(&mut self, time: Duration) {
        self.now_ms += u64::try_from(time.as_millis()).unwrap();
    }
    fn bind(&mut self, path: &str) -> Result<()> {
        self.call(format!("bind {path}"))
    }
    fn move_mount(&mut self, from: &str, to: &str) -> Result<()> {
        self.call(format!("move-mount {from} {to}"))
    }
    fn remount_bind(&mut self, path: &str, flags: MountFlags) -> Result<()> {
        self.call(format!("remount-bind {path} {}", names(flags)))
    }
    fn change_dir(&mut self, path: &str) -> Result<()> {
        self.call(format!("change-dir {path}"))
    }
    fn change_root(&mut self, path: &str) -> Result<()> {
        self.call(format!("change-root {path}"))
    }
    fn set_access(&mut self, path: &str, uid: u32, gid: u32, mode: u32) -> Result<()> {
        self.call(format!("set-access {path} {uid}:{gid} {mode:o}"))
    }
    fn clock_offset_ns(&mut self) -> Result<Option<i64>> {
        self.call("clock-offset".to_owned())?;
        next(&mut self.offsets_ns)
    }
    fn step_clock(&mut self, offset_ns: i64) -> Result<()> {
        self.call(format!("step-clock {offset_ns}"))
    }
    fn watch_children(&mut self) -> Result<()> {
        self.call("watch-children".to_owned())
    }
    fn make_pipe(&mut self, index: usize, path: &str, gid: u32) -> Result<()> {
        self.call(format!("make-pipe {index} {path} gid={gid}"))
    }
    fn spawn(&mut self, spawn: Spawn) -> Result<Pid> {
        let Spawn {
            index,
            channel,
            stdio,
        } = spawn;
        self.call(format!("spawn {index} channel={channel} {stdio:?}"))?;
        self.next_pid += 1;
        Ok(self.next_pid - 1)
    }
    fn signal_group(&mut self, leader: Pid, signal: Signal) -> Result<()> {
        self.call(format!("signal-group {leader} {signal:?}"))
    }
    fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        self.call(format!(
            "wait {}",
            timeout.map_or(-1, |t| i64::try_from(t.as_millis()).unwrap())
        ))?;
        let over = timeout.map(|time| self.now_ms + u64::try_from(time.as_millis()).unwrap());
        // Nothing more can happen: the script is over, and PID 1 would wait for ever.
        let next = self
            .script
            .front()
            .map(|(at, _)| *at)
            .into_iter()
            .chain(over)
            .min();
        self.now_ms = self.now_ms.max(next.ok_or(Errno::NONE)?);
        if self.now_ms > 100_000_000 {
            Err(Errno::NONE)
        } else {
            Ok(())
        }
    }
    fn reap(&mut self) -> Result<Option<(Pid, Status)>> {
        self.call("reap".to_owned())?;
        match self.script.front() {
            Some(&(at, Step::End(pid, status))) if at <= self.now_ms => {
                self.script.pop_front();
                Ok(Some((pid, status)))
            }
            _ => Ok(None),
        }
    }
    fn read_request(&mut self) -> Option<u8> {
        match self.script.front() {
            Some(&(at, Step::Request(byte))) if at <= self.now_ms => {
                self.script.pop_front();
                Some(byte)
            }
            _ => None,
        }
    }
    fn answer_request(&mut self, byte: u8) {
        self.replies.push(byte);
    }
    fn power_off(&mut self) {
        self.record.borrow_mut().calls.push("power-off".to_owned());
    }
}

/// Mount flags as their options, joined by commas.
fn names(flags: MountFlags) -> String {
    let all = [
        (MountFlags::RDONLY, "ro"),
        (MountFlags::NOSUID, "nosuid"),
        (MountFlags::NODEV, "nodev"),
        (MountFlags::NOEXEC, "noexec"),
    ];
    all.iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .map(|(_, name)| *name)
        .collect::<Vec<_>>()
        .join(",")
}

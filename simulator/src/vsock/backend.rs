//! The life of a vsock backend: its sockets, its threads and its end.
//!
//! One backend serves one VM. QEMU is the client of [`Backend::device_socket`]; when it hangs up, the backend has
//! done its work, and every connection of the host ends.

use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use thiserror::Error;
use vhost::vhost_user::{Error as ProtocolError, Listener};
use vhost_user_backend::{Error as DaemonError, ShutdownHandle, VhostUserDaemon, VhostUserHandlerError};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

use super::device::{Device, HOST_EVENT, Shared};
use super::muxer::{Limits, Muxer};
use super::stats::Stats;
use super::unix::UnixHost;

/// File name of the socket through which host programs reach the guest.
pub const HOST_SOCKET: &str = "vsock.sock";

/// File name of the socket that QEMU connects to.
pub const DEVICE_SOCKET: &str = "vhost.sock";

/// Longest path of a Unix socket, in bytes (`sun_path` has 108, its final zero included).
pub const MAX_SOCKET_PATH: usize = 107;

/// Why a backend did not start, or how it failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackendError {
    /// A socket's path would not fit the kernel's address structure.
    #[error(
        "socket path {path} has {actual} bytes, at most {MAX_SOCKET_PATH} are possible: choose a shorter folder"
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        actual: usize,
    },
    /// A socket could not be made.
    #[error("cannot listen on {path}")]
    Listen {
        /// The path.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Descriptors or threads could not be made.
    #[error("cannot set up the vsock backend")]
    SetUp(#[source] io::Error),
    /// QEMU and the device did not understand each other.
    #[error("the vhost-user protocol failed")]
    Protocol(#[source] ProtocolError),
    /// The device's worker could not be made.
    #[error("cannot make the vhost-user device")]
    Device(#[source] VhostUserHandlerError),
    /// The backend's thread panicked.
    #[error("the vsock backend's thread panicked")]
    Panicked,
}

/// A running backend. Dropping it stops it.
#[derive(Debug)]
pub struct Backend {
    dir: PathBuf,
    device: Shared,
    /// Comes once QEMU has connected. The lock only makes a backend shareable.
    handle: Mutex<Receiver<Option<ShutdownHandle>>>,
    thread: Option<JoinHandle<Result<(), BackendError>>>,
}

impl Backend {
    /// Starts a backend for a guest with context id `cid`, with its sockets in `dir`, which must exist.
    /// Sockets of an earlier backend in that folder are replaced.
    ///
    /// # Errors
    /// [`BackendError`] when a socket or thread can not be made.
    pub fn start(dir: &Path, cid: u32, limits: Limits) -> Result<Self, BackendError> {
        let listener = listen(&dir.join(HOST_SOCKET))?;
        let device_path = dir.join(DEVICE_SOCKET);
        let device_listener = Listener::from(listen(&device_path)?);
        let host = UnixHost::new(dir, listener).map_err(BackendError::SetUp)?;
        let muxer = Muxer::new(host, u64::from(cid), limits);
        let device = Device::new(muxer, u64::from(cid)).map_err(BackendError::SetUp)?;
        let device = Arc::new(Mutex::new(device));
        let (send, handle) = mpsc::channel();
        let shared = Arc::clone(&device);
        let thread = thread::Builder::new()
            .name("vsock".into())
            .spawn(move || serve(&shared, device_listener, &send))
            .map_err(BackendError::SetUp)?;
        Ok(Self {
            dir: dir.to_owned(),
            device,
            handle: Mutex::new(handle),
            thread: Some(thread),
        })
    }

    /// The socket that QEMU's vhost-user device connects to.
    #[must_use]
    pub fn device_socket(&self) -> PathBuf {
        self.dir.join(DEVICE_SOCKET)
    }

    /// The socket for [`super::hello`].
    #[must_use]
    pub fn host_socket(&self) -> PathBuf {
        self.dir.join(HOST_SOCKET)
    }

    /// What has happened so far. Zeroes when the worker has panicked.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.device
            .lock()
            .map(|device| device.stats())
            .unwrap_or_default()
    }

    /// Ends the backend, also when QEMU is still connected or never was, and removes its sockets.
    ///
    /// # Errors
    /// [`BackendError`] when it had failed before.
    pub fn stop(mut self) -> Result<Stats, BackendError> {
        let stats = self.stats();
        self.end()?;
        Ok(stats)
    }

    fn end(&mut self) -> Result<(), BackendError> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        // The thread either waits for QEMU, whom this stands in for, or has sent its handle.
        drop(UnixStream::connect(self.device_socket()));
        let handle = self.handle.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Some(handle)) = handle.recv() {
            handle.shutdown();
        }
        let result = thread.join().map_err(|_| BackendError::Panicked)?;
        for path in [self.device_socket(), self.host_socket()] {
            remove(&path).map_err(|source| BackendError::Listen { path, source })?;
        }
        result
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // Whoever wants to know calls `stop`.
        self.end().ok();
    }
}

/// The backend's thread: waits for QEMU, then for its end.
fn serve(
    device: &Shared,
    mut listener: Listener,
    send: &Sender<Option<ShutdownHandle>>,
) -> Result<(), BackendError> {
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::<()>::new());
    let mut daemon =
        VhostUserDaemon::new("vsock-control".into(), Arc::clone(device), memory).map_err(failed)?;
    let fd = device
        .lock()
        .map_err(|_| BackendError::Panicked)?
        .host_fd()
        .unwrap_or(-1);
    for worker in daemon.get_epoll_handlers() {
        worker
            .register_listener(fd, EventSet::IN, u64::from(HOST_EVENT))
            .map_err(BackendError::SetUp)?;
    }
    daemon.start(&mut listener).map_err(failed)?;
    // A second QEMU is refused by the kernel from here on.
    drop(listener);
    // Nobody receives when the backend has been dropped in the meantime.
    send.send(daemon.shutdown_handle()).ok();
    let ended = daemon.wait();
    device.lock().map_err(|_| BackendError::Panicked)?.close();
    match ended {
        // How every VM ends.
        Ok(())
        | Err(DaemonError::HandleRequest(ProtocolError::Disconnected | ProtocolError::PartialMessage)) => {
            Ok(())
        }
        Err(e) => Err(failed(e)),
    }
}

/// The library's error, which can not be shared between threads, as ours.
fn failed(error: DaemonError) -> BackendError {
    match error {
        DaemonError::NewVhostUserHandler(e) => BackendError::Device(e),
        DaemonError::CreateBackendListener(e)
        | DaemonError::CreateBackendReqHandler(e)
        | DaemonError::CreateVhostUserListener(e)
        | DaemonError::HandleRequest(e) => BackendError::Protocol(e),
        DaemonError::StartDaemon(e) => BackendError::SetUp(e),
        DaemonError::WaitDaemon(_) => BackendError::Panicked,
    }
}

/// Listens for the guest's connections to `port` of the parent, in place of a socket that is left there from before.
///
/// # Errors
/// [`BackendError::PathTooLong`] and [`BackendError::Listen`].
pub fn listen_port(dir: &Path, port: u32) -> Result<UnixListener, BackendError> {
    listen(&dir.join(format!("vsock_{port}")))
}

/// Listens on a path in place of a socket that is left there from before.
fn listen(path: &Path) -> Result<UnixListener, BackendError> {
    let actual = path.as_os_str().len();
    if actual > MAX_SOCKET_PATH {
        return Err(BackendError::PathTooLong {
            path: path.to_owned(),
            actual,
        });
    }
    let listen = || {
        remove(path)?;
        UnixListener::bind(path)
    };
    listen().map_err(|source| BackendError::Listen {
        path: path.to_owned(),
        source,
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_without_a_vm() {
        let dir = tempfile::tempdir().unwrap();
        let backend = Backend::start(dir.path(), 16, Limits::default()).unwrap();
        assert!(backend.host_socket().exists());
        assert_eq!(backend.stop().unwrap(), Stats::default());
        assert!(!dir.path().join(HOST_SOCKET).exists());
        let again = Backend::start(dir.path(), 16, Limits::default()).unwrap();
        drop(again);
    }

    #[test]
    fn a_long_folder_is_named() {
        let dir = Path::new("/tmp").join("x".repeat(100));
        let error = Backend::start(&dir, 16, Limits::default()).unwrap_err();
        assert!(
            matches!(error, BackendError::PathTooLong { actual: 116, .. }),
            "{error}"
        );
    }
}

//! The host's side of the backend: Unix sockets in one folder, and the epoll set that watches them.
//!
//! Streams are watched edge-triggered, once and for both directions; a stream leaves the set when it is closed.

use std::io::{Error, ErrorKind, Result};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::stream::{Accept, Dial, Host, HostStream};
use super::token::Token;

/// Events taken from the kernel at once.
const BATCH: usize = 256;

impl HostStream for UnixStream {
    fn look_ahead(&mut self, into: &mut [u8]) -> Result<usize> {
        let (n, _) = rustix::net::recv(self.as_fd(), into, RecvFlags::PEEK)?;
        Ok(n)
    }

    fn shut(&mut self, how: Shutdown) -> Result<()> {
        self.shutdown(how)
    }
}

/// What happened on one of the watched descriptors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) token: Token,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) hung_up: bool,
}

/// The sockets and their watch.
#[derive(Debug)]
pub(super) struct UnixHost {
    dir: PathBuf,
    listener: UnixListener,
    epoll: OwnedFd,
    timer: OwnedFd,
    again: OwnedFd,
}

impl UnixHost {
    /// Watches `listener`, and will look for listening programs in `dir`.
    pub(super) fn new(dir: &Path, listener: UnixListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let host = Self {
            dir: dir.to_owned(),
            listener,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            timer: rustix::time::timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
            )?,
            again: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        };
        for (fd, token) in [
            (host.listener.as_fd(), Token::LISTENER),
            (host.timer.as_fd(), Token::TIMER),
            (host.again.as_fd(), Token::AGAIN),
        ] {
            watch(&host.epoll, fd, token)?;
        }
        Ok(host)
    }

    /// Readable when [`UnixHost::events`] has something.
    pub(super) fn as_epoll(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Makes [`UnixHost::events`] report [`Token::AGAIN`].
    pub(super) fn again(&self) -> Result<()> {
        match rustix::io::write(&self.again, &1_u64.to_ne_bytes()) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes [`UnixHost::events`] report [`Token::TIMER`] after `after`; `None` stops the timer.
    pub(super) fn alarm(&self, after: Option<Duration>) -> Result<()> {
        // Zero would stop the timer.
        let after = after.map_or(Duration::ZERO, |d| d.max(Duration::from_nanos(1)));
        let it_value = Timespec {
            tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(after.subsec_nanos()),
        };
        let it_interval = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = Itimerspec {
            it_interval,
            it_value,
        };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
        Ok(())
    }

    /// What has happened since the last call; waits for nothing. At most a batch.
    pub(super) fn events(&self, into: &mut Vec<Event>) -> Result<()> {
        let mut raw = Vec::with_capacity(BATCH);
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut raw), Some(&now)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        into.clear();
        into.extend(raw.iter().map(|event| {
            let flags = event.flags;
            let any = |wanted: epoll::EventFlags| flags.intersects(wanted);
            let broken = epoll::EventFlags::ERR | epoll::EventFlags::HUP;
            Event {
                token: Token(event.data.u64()),
                readable: any(epoll::EventFlags::IN | epoll::EventFlags::RDHUP | broken),
                writable: any(epoll::EventFlags::OUT | broken),
                hung_up: any(broken),
            }
        }));
        Ok(())
    }

    fn try_dial(&self, port: u32, token: Token) -> Result<UnixStream> {
        let address = SocketAddrUnix::new(self.dir.join(format!("vsock_{port}")))?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &address)?;
        watch(&self.epoll, socket.as_fd(), token)?;
        Ok(UnixStream::from(socket))
    }

    fn try_accept(&self, token: Token) -> Result<UnixStream> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nonblocking(true)?;
        watch(&self.epoll, stream.as_fd(), token)?;
        Ok(stream)
    }
}

fn watch(epoll: &OwnedFd, fd: BorrowedFd<'_>, token: Token) -> Result<()> {
    let flags =
        epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
    Ok(epoll::add(epoll, fd, epoll::EventData::new_u64(token.0), flags)?)
}

impl Host for UnixHost {
    type Stream = UnixStream;

    fn dial(&mut self, port: u32, token: Token) -> Dial<UnixStream> {
        match self.try_dial(port, token) {
            Ok(stream) => Dial::Open(stream),
            // A Unix socket whose backlog is full answers this at once.
            Err(e) if e.kind() == ErrorKind::WouldBlock || is_exhausted(&e) => Dial::Busy,
            Err(_) => Dial::Refused,
        }
    }

    fn accept(&mut self, token: Token) -> Accept<UnixStream> {
        match self.try_accept(token) {
            Ok(stream) => Accept::Open(stream),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Accept::Empty,
            Err(_) => Accept::Exhausted,
        }
    }
}

fn is_exhausted(error: &Error) -> bool {
    let known = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::NOSPC,
    ];
    Errno::from_io_error(error).is_some_and(|e| known.contains(&e))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn host(dir: &Path) -> UnixHost {
        let listener = UnixListener::bind(dir.join("vsock.sock")).unwrap();
        UnixHost::new(dir, listener).unwrap()
    }

    fn events(host: &UnixHost) -> Vec<Event> {
        let mut events = Vec::new();
        host.events(&mut events).unwrap();
        events.sort_by_key(|event| event.token);
        events
    }

    #[test]
    fn nobody_listens_is_a_refusal() {
        let dir = tempfile::tempdir().unwrap();
        let mut host = host(dir.path());
        assert!(matches!(host.dial(1, Token(20)), Dial::Refused));
        drop(UnixListener::bind(dir.path().join("vsock_1")).unwrap());
        assert!(
            matches!(host.dial(1, Token(20)), Dial::Refused),
            "the socket is there, but dead"
        );
    }

    #[test]
    fn a_full_backlog_is_busy() {
        let dir = tempfile::tempdir().unwrap();
        let mut host = host(dir.path());
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(dir.path().join("vsock_1")).unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let first = host.dial(1, Token(20));
        assert!(matches!(first, Dial::Open(_)));
        assert!(matches!(host.dial(1, Token(21)), Dial::Busy));
    }

    #[test]
    fn half_close_and_hang_up_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut host = host(dir.path());
        let mut caller = UnixStream::connect(dir.path().join("vsock.sock")).unwrap();
        let Accept::Open(mut ours) = host.accept(Token(20)) else {
            panic!("no caller")
        };
        assert!(matches!(host.accept(Token(21)), Accept::Empty));
        events(&host);

        caller.write_all(b"abc").unwrap();
        caller.shutdown(Shutdown::Write).unwrap();
        let seen = events(&host);
        assert!(
            seen.iter()
                .any(|e| e.token == Token(20) && e.readable && !e.hung_up),
            "{seen:?}"
        );
        let mut bytes = [0; 8];
        assert_eq!(ours.look_ahead(&mut bytes).unwrap(), 3);
        assert_eq!(ours.read(&mut bytes).unwrap(), 3);
        assert_eq!(ours.read(&mut bytes).unwrap(), 0);

        drop(caller);
        let seen = events(&host);
        assert!(seen.iter().any(|e| e.token == Token(20) && e.hung_up), "{seen:?}");
    }

    #[test]
    fn timer_and_note_are_events() {
        let dir = tempfile::tempdir().unwrap();
        let host = host(dir.path());
        events(&host);
        host.alarm(Some(Duration::ZERO)).unwrap();
        host.again().unwrap();
        std::thread::sleep(Duration::from_millis(2));
        let seen = events(&host);
        let tokens: Vec<_> = seen.iter().filter(|e| e.readable).map(|e| e.token).collect();
        // Which is first is a matter of the clock.
        assert!(
            tokens.len() == 2 && tokens.contains(&Token::TIMER) && tokens.contains(&Token::AGAIN),
            "{tokens:?}"
        );
        host.alarm(None).unwrap();
        assert!(events(&host).is_empty(), "each is reported once");
    }
}

//! Tells systemd that the service is ready, alive or ending: one datagram each.
//!
//! Source: systemd, `sd_notify(3)`, "Notes" (the protocol is stable and may be spoken without the library).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The socket of `NOTIFY_SOCKET`, or nobody.
#[derive(Debug, Default)]
pub struct Notify(Option<(UnixDatagram, SocketAddr)>);

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// The service does its work.
    Ready,
    /// It is alive.
    Alive,
    /// It is ending.
    Stopping,
    /// One line for `systemctl status`.
    Text(&'a str),
}

impl Notify {
    /// The socket with this name, the value of `NOTIFY_SOCKET`: a path, or `@` and an abstract name.
    ///
    /// # Errors
    /// When the name is neither, or there is no socket to send from.
    pub fn new(name: Option<&OsStr>) -> io::Result<Self> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(Self(None));
        };
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "NOTIFY_SOCKET is neither a path nor an abstract name",
                ));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self(Some((socket, address))))
    }

    /// Tells. A manager that does not listen costs nothing.
    pub fn tell(&self, state: State<'_>) {
        let Some((socket, address)) = &self.0 else { return };
        let text = match state {
            State::Ready => "READY=1".to_owned(),
            State::Alive => "WATCHDOG=1".to_owned(),
            State::Stopping => "STOPPING=1".to_owned(),
            State::Text(text) => format!("STATUS={}", text.replace('\n', " ")),
        };
        socket.send_to_addr(text.as_bytes(), address).ok();
    }
}

/// How often [`State::Alive`] must be told: half of `WATCHDOG_USEC`, if `WATCHDOG_PID` is absent or this process.
#[must_use]
pub fn interval(usec: Option<&str>, pid: Option<&str>, own_pid: u32) -> Option<Duration> {
    let mine = pid.is_none_or(|pid| pid.parse() == Ok(own_pid));
    let usec: u64 = usec?.parse().ok()?;
    (mine && usec > 0).then(|| Duration::from_micros(usec / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 100];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn both_kinds_of_sockets_hear() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::new(Some(path.as_os_str())).unwrap();
        notify.tell(State::Ready);
        notify.tell(State::Text("two\nlines"));
        assert_eq!(
            [received(&by_path), received(&by_path)],
            ["READY=1", "STATUS=two lines"]
        );

        let name = format!("nitro-web3signer-test-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notify = Notify::new(Some(OsStr::new(&format!("@{name}")))).unwrap();
        notify.tell(State::Alive);
        notify.tell(State::Stopping);
        assert_eq!(
            [received(&by_name), received(&by_name)],
            ["WATCHDOG=1", "STOPPING=1"]
        );
    }

    #[test]
    fn nobody_is_told_without_a_socket() {
        assert!(Notify::new(None).unwrap().0.is_none());
        assert!(Notify::new(Some(OsStr::new(""))).unwrap().0.is_none());
        Notify::new(Some(OsStr::new("relative"))).unwrap_err();
    }

    #[test]
    fn the_interval_is_for_this_process() {
        let half = Some(Duration::from_secs(5));
        assert_eq!(interval(Some("10000000"), None, 7), half);
        assert_eq!(interval(Some("10000000"), Some("7"), 7), half);
        for (usec, pid) in [
            (Some("10000000"), Some("8")),
            (None, None),
            (Some("0"), None),
            (Some("x"), None),
        ] {
            assert_eq!(interval(usec, pid, 7), None);
        }
    }
}

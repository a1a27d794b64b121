//! Sockets: vsock to the parent, bounded in time, and netlink for the loopback interface.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use abi::vsock::PARENT_CID;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType};

use crate::netlink;
use crate::system::{Errno, Result};

/// Longest wait for a single send or receive. A connect is bounded by the kernel: 2 s for vsock.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the parent to close after it was told something.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

fn connect(port: u32) -> Result<OwnedFd> {
    let family = AddressFamily::Vsock;
    let socket = nix::sys::socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, Timeout::Send, Some(STEP_TIMEOUT))?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(STEP_TIMEOUT))?;
    nix::sys::socket::connect(socket.as_raw_fd(), &VsockAddr::new(PARENT_CID, port))?;
    Ok(socket)
}

fn send(socket: &OwnedFd, message: &[u8]) -> Result<()> {
    let mut rest = message;
    while !rest.is_empty() {
        let sent = rustix::net::send(socket, rest, SendFlags::NOSIGNAL)?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}

pub(super) fn exchange_byte(port: u32, byte: u8) -> Result<u8> {
    let socket = connect(port)?;
    send(&socket, &[byte])?;
    let mut reply = [0];
    let (received, _) = rustix::net::recv(&socket, &mut reply[..], RecvFlags::empty())?;
    let [reply] = reply;
    // The end of the stream instead of a reply.
    if received == 0 {
        Err(Errno::PROTOCOL)
    } else {
        Ok(reply)
    }
}

/// A message followed by a restart is lost unless the parent has read it, and its close is the sign that it has.
pub(super) fn tell(port: u32, message: &[u8]) -> Result<()> {
    let socket = connect(port)?;
    send(&socket, message)?;
    rustix::net::shutdown(&socket, Shutdown::Write)?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(CLOSE_TIMEOUT))?;
    match rustix::net::recv(&socket, &mut [0; 1][..], RecvFlags::empty()) {
        // Closed, reset, or said something that nobody asked for: it has read what was sent. Or it keeps the connection
        // open, and has had its time.
        Ok(_) | Err(rustix::io::Errno::CONNRESET | rustix::io::Errno::AGAIN) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn loopback_up() -> Result<()> {
    let family = rustix::net::AddressFamily::NETLINK;
    // Protocol 0 of the family is NETLINK_ROUTE.
    let socket = rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(STEP_TIMEOUT))?;
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &netlink::loopback_up(), SendFlags::empty(), &kernel)?;
    let mut answer = [0; 512];
    let (received, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    netlink::check_ack(answer.get(..received).unwrap_or_default())
}

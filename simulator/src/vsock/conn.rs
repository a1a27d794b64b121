//! The state of one connection between a guest port and a host program.
//!
//! It moves bytes and says which packet the guest gets next. It knows no addresses, no other connection and
//! no clock ([`super::muxer`] does), and does no I/O but on its own [`HostStream`].
//!
//! ```text
//!  guest REQUEST -> Dialing -> Open -> Closing   (host gone both ways; waits for the guest's RST)
//!  host CONNECT  -> Calling -> Open -> Lingering (guest gone both ways; the host still takes what was sent)
//!                                 any -> Dead
//! ```
//!
//! Source: VIRTIO 1.2, section 5.10.6; `net/vmw_vsock/virtio_transport_common.c` of Linux 6.12 for what a guest does.

use std::io::ErrorKind;
use std::net::Shutdown;

use super::credit::{Inbound, Outbound};
use super::hello;
use super::packet::{Op, Shut};
use super::stream::HostStream;
use super::txbuf::TxBuf;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The guest asked; the host program has not taken the call yet.
    Dialing,
    /// A host program asked; the guest has not answered yet.
    Calling,
    /// Open, perhaps in one direction only.
    Open,
    /// The host program is gone and the guest knows; its RST ends the connection.
    Closing,
    /// The guest is gone; what it sent still goes to the host program.
    Lingering,
    /// Over.
    Dead,
}

/// A packet for the guest, without addresses and credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// What it asks for.
    pub(super) op: Op,
    /// Only for [`Op::Shutdown`].
    pub(super) shut: Shut,
    /// Bytes of payload.
    pub(super) len: u32,
}

impl Outgoing {
    const fn control(op: Op) -> Self {
        Self {
            op,
            shut: Shut::NONE,
            len: 0,
        }
    }
}

/// Control packets that the guest has yet to get.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    rst: bool,
    opening: bool,
    credit: bool,
}

/// What was last seen on the host's stream. Events only ever set these, a blocked call takes them away.
#[derive(Clone, Copy, Debug)]
struct Seen {
    readable: bool,
    writable: bool,
    hung_up: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Conn<S> {
    phase: Phase,
    stream: Option<S>,
    seen: Seen,
    waiting: TxBuf,
    inbound: Inbound,
    outbound: Outbound,
    owed: Owed,
    /// A credit request is under way.
    asked: bool,
    guest: Shut,
    /// The host program has been told that the guest sends no more.
    write_ended: bool,
    host: Shut,
    /// The part of `host` that the guest has been told.
    told: Shut,
}

impl<S: HostStream> Conn<S> {
    /// A connection that the guest asked for, before the host program has answered.
    #[must_use]
    pub(super) fn from_guest(count_packets: bool) -> Self {
        Self::new(Phase::Dialing, None, count_packets)
    }

    /// A connection that a host program asked for.
    #[must_use]
    pub(super) fn from_host(stream: S, count_packets: bool) -> Self {
        Self::new(Phase::Calling, Some(stream), count_packets)
    }

    fn new(phase: Phase, stream: Option<S>, count_packets: bool) -> Self {
        Self {
            phase,
            stream,
            seen: Seen {
                readable: true,
                writable: true,
                hung_up: false,
            },
            waiting: TxBuf::default(),
            inbound: Inbound::default(),
            outbound: Outbound::new(count_packets),
            owed: Owed {
                opening: phase == Phase::Calling,
                ..Owed::default()
            },
            asked: false,
            guest: Shut::NONE,
            write_ended: false,
            host: Shut::NONE,
            told: Shut::NONE,
        }
    }

    /// How far the connection is.
    #[must_use]
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the guest may use its port for another connection: it has been sent an RST, or sent one.
    #[must_use]
    pub(super) fn forgotten_by_guest(&self) -> bool {
        matches!(self.phase, Phase::Lingering | Phase::Dead) && !self.owed.rst
    }

    /// Whether bytes for the guest wait for credit that was already asked for.
    #[must_use]
    pub(super) fn stalled(&self) -> bool {
        self.phase == Phase::Open && self.asked && self.can_read() && self.outbound.room() == 0
    }

    /// Asks for credit once more, if it is still needed.
    pub(super) fn ask_again(&mut self) {
        self.asked = false;
    }

    /// The `fwd_cnt` for the next packet.
    pub(super) fn announce(&mut self) -> u32 {
        self.owed.credit = false;
        self.inbound.announce()
    }

    /// Takes the credit fields of any packet of the guest.
    pub(super) fn credit(&mut self, buf_alloc: u32, fwd_cnt: u32) {
        self.outbound.update(buf_alloc, fwd_cnt);
        if self.outbound.room() > 0 {
            self.asked = false;
        }
    }

    /// The guest wants to be told its credit.
    pub(super) fn credit_asked(&mut self) {
        self.owed.credit = true;
    }

    /// The host program took the guest's call.
    pub(super) fn dialed(&mut self, stream: S) {
        self.stream = Some(stream);
        self.phase = Phase::Open;
        self.owed.opening = true;
    }

    /// The guest took the host program's call, which is told its own port. Any other state is an error of the guest.
    pub(super) fn answered(&mut self, local_port: u32) {
        if self.phase != Phase::Calling {
            return self.reset();
        }
        self.phase = Phase::Open;
        let line = hello::ok(local_port);
        // A fresh socket has room for one line; a program that is gone already shows in the next event.
        let sent = self.stream.as_mut().map(|s| s.write_all(line.as_bytes()));
        if !matches!(sent, Some(Ok(()))) {
            self.reset();
        }
    }

    /// Ends it at once: the guest gets an RST, the host program an end of stream.
    pub(super) fn reset(&mut self) {
        self.kill();
        self.owed.rst = true;
    }

    /// Ends it at once without a word to the guest.
    pub(super) fn kill(&mut self) {
        self.stream = None;
        self.waiting.clear();
        self.phase = Phase::Dead;
        self.owed = Owed::default();
    }

    /// Bytes from the guest.
    pub(super) fn data(&mut self, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        match self.phase {
            Phase::Open if !self.guest.send => {}
            // Under way when the guest learnt that the host is gone.
            Phase::Closing => return,
            _ => return self.reset(),
        }
        if self.inbound.receive(len).is_err() {
            return self.reset();
        }
        if self.host.receive {
            return self.inbound.forward(len);
        }
        self.waiting.push(bytes);
        self.flush();
    }

    /// The guest gives up directions.
    pub(super) fn guest_shut(&mut self, shut: Shut) {
        if matches!(self.phase, Phase::Dialing | Phase::Calling) {
            return self.reset();
        }
        let before = self.guest;
        self.guest = before.or(shut);
        if self.guest == Shut::BOTH {
            self.owed = Owed {
                rst: true,
                ..Owed::default()
            };
            self.phase = if self.waiting.is_empty() {
                Phase::Dead
            } else {
                Phase::Lingering
            };
        } else if shut.receive && !before.receive {
            self.shut_stream(Shutdown::Read);
        }
        self.flush();
    }

    /// Something happened on the host's stream.
    pub(super) fn event(&mut self, readable: bool, writable: bool, hung_up: bool) {
        self.seen.readable |= readable;
        self.seen.writable |= writable;
        self.seen.hung_up |= hung_up;
        if writable {
            self.flush();
        }
        self.notice_hang_up();
    }

    /// Whether [`Conn::next`] has something to give.
    #[must_use]
    pub(super) fn has_output(&self) -> bool {
        let open = || {
            self.owed.credit
                || self.inbound.update_due()
                || self.host != self.told
                || (self.can_read() && (self.outbound.room() > 0 || !self.asked))
        };
        self.owed.rst || self.owed.opening || (self.phase == Phase::Open && open())
    }

    /// The next packet for the guest; its payload is at the start of `payload`.
    pub(super) fn next(&mut self, payload: &mut [u8]) -> Option<Outgoing> {
        if std::mem::take(&mut self.owed.rst) {
            return Some(Outgoing::control(Op::Rst));
        }
        if std::mem::take(&mut self.owed.opening) {
            let op = if self.phase == Phase::Calling {
                Op::Request
            } else {
                Op::Response
            };
            return Some(Outgoing::control(op));
        }
        if self.phase != Phase::Open {
            return None;
        }
        if self.owed.credit || self.inbound.update_due() {
            return Some(Outgoing::control(Op::CreditUpdate));
        }
        if self.can_read() {
            let room = usize::try_from(self.outbound.room())
                .unwrap_or(usize::MAX)
                .min(payload.len());
            match payload.get_mut(..room) {
                Some(free) if !free.is_empty() => {
                    if let Some(packet) = self.read(free) {
                        return Some(packet);
                    }
                }
                _ if !self.asked => {
                    self.asked = true;
                    return Some(Outgoing::control(Op::CreditRequest));
                }
                _ => {}
            }
        }
        if self.host == self.told {
            return None;
        }
        self.told = self.host;
        if self.host == Shut::BOTH {
            self.phase = Phase::Closing;
        }
        Some(Outgoing {
            op: Op::Shutdown,
            shut: self.told,
            len: 0,
        })
    }

    fn can_read(&self) -> bool {
        self.stream.is_some() && self.seen.readable && !self.host.send && !self.guest.receive
    }

    /// Reads from the host program; `None` when that gave no bytes.
    fn read(&mut self, free: &mut [u8]) -> Option<Outgoing> {
        match self.stream.as_mut()?.read(free) {
            Ok(0) => {
                self.host.send = true;
                self.notice_hang_up();
                None
            }
            Ok(n) => {
                let len = u32::try_from(n).unwrap_or(u32::MAX);
                self.outbound.send(len);
                Some(Outgoing {
                    op: Op::Rw,
                    shut: Shut::NONE,
                    len,
                })
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => None,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.seen.readable = false;
                None
            }
            Err(_) => {
                self.kill();
                Some(Outgoing::control(Op::Rst))
            }
        }
    }

    /// A hang-up counts once nothing is left to read: the program may have sent and gone.
    fn notice_hang_up(&mut self) {
        if self.seen.hung_up && (self.host.send || self.guest.receive) {
            self.host = Shut::BOTH;
            self.stream = None;
            self.drop_waiting();
        }
    }

    fn drop_waiting(&mut self) {
        let dropped = self.waiting.clear();
        self.inbound.forward(u32::try_from(dropped).unwrap_or(u32::MAX));
        if self.phase == Phase::Lingering {
            self.phase = Phase::Dead;
        }
    }

    fn shut_stream(&mut self, how: Shutdown) {
        // It fails only where the program is gone, which the next event shows.
        self.stream.as_mut().map(|s| s.shut(how).ok());
    }

    /// Gives the host program what waits; when all is given, also the end of it, if the guest has ended.
    fn flush(&mut self) {
        let Some(stream) = self.stream.as_mut() else {
            return;
        };
        if !self.waiting.is_empty() && self.seen.writable {
            let held = self.waiting.len();
            if let Ok((gone, blocked)) = self.waiting.drain(stream) {
                self.inbound.forward(u32::try_from(gone).unwrap_or(u32::MAX));
                self.seen.writable = !blocked;
            } else {
                self.host.receive = true;
                self.inbound
                    .forward(u32::try_from(held - self.waiting.len()).unwrap_or(u32::MAX));
                self.drop_waiting();
            }
        }
        if !self.waiting.is_empty() {
            return;
        }
        if self.guest == Shut::BOTH {
            self.phase = Phase::Dead;
            self.stream = None;
        } else if self.guest.send && !self.write_ended {
            // Once only: each time is an event on the stream, which would bring us here again.
            self.write_ended = true;
            self.shut_stream(Shutdown::Write);
        }
    }
}

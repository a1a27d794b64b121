//! The two sides of a [`Muxer`] in memory: host programs as byte queues, and a guest that keeps the standard's
//! credit rules and panics when the muxer breaks them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::Shutdown;
use std::rc::Rc;

use crate::vsock::packet::{Header, MAX_PAYLOAD, Op, TYPE_STREAM};
use crate::vsock::stream::{Accept, Dial, Host, HostStream};
use crate::vsock::token::Token;

use super::super::{Limits, Muxer};

pub(super) const GUEST: u64 = 16;

/// A host program, seen from outside of the muxer.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// What it has sent and the muxer not read.
    pub(super) out: VecDeque<u8>,
    /// What it was given.
    pub(super) got: Vec<u8>,
    /// Bytes that it takes before it blocks.
    pub(super) room: usize,
    /// It sends no more.
    pub(super) ended: bool,
    /// It is gone: nothing can be written to it.
    pub(super) gone: bool,
    /// The muxer gave up a direction.
    pub(super) shut: Vec<Shutdown>,
    /// The muxer dropped the stream.
    pub(super) dropped: bool,
}

#[derive(Debug)]
pub(super) struct FakeStream(Rc<RefCell<Program>>);

impl Read for FakeStream {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut program = self.0.borrow_mut();
        if program.out.is_empty() && !program.ended {
            return Err(ErrorKind::WouldBlock.into());
        }
        program.out.read(into)
    }
}

impl Write for FakeStream {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut program = self.0.borrow_mut();
        if program.gone {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let n = bytes.len().min(program.room);
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        program.room -= n;
        program.got.extend(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl HostStream for FakeStream {
    fn look_ahead(&mut self, into: &mut [u8]) -> Result<usize> {
        let program = self.0.borrow();
        if program.out.is_empty() && !program.ended {
            return Err(Error::from(ErrorKind::WouldBlock));
        }
        let n = program.out.len().min(into.len());
        into.iter_mut()
            .zip(&program.out)
            .for_each(|(to, from)| *to = *from);
        Ok(n)
    }

    fn shut(&mut self, how: Shutdown) -> Result<()> {
        self.0.borrow_mut().shut.push(how);
        Ok(())
    }
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        self.0.borrow_mut().dropped = true;
    }
}

pub(super) type Shared = Rc<RefCell<Program>>;

#[derive(Debug, Default)]
pub(super) struct FakeHost {
    /// Ports on which somebody listens.
    pub(super) listening: BTreeSet<u32>,
    /// Ports whose backlog is full.
    pub(super) busy: BTreeSet<u32>,
    /// Programs that were called, with the token of their events.
    pub(super) called: Vec<(u32, Token, Shared)>,
    /// Programs that call.
    pub(super) calling: VecDeque<Shared>,
    /// The tokens that those were taken with.
    pub(super) taken: Vec<Token>,
}

impl Host for FakeHost {
    type Stream = FakeStream;

    fn dial(&mut self, port: u32, token: Token) -> Dial<FakeStream> {
        if self.busy.contains(&port) {
            return Dial::Busy;
        }
        if !self.listening.contains(&port) {
            return Dial::Refused;
        }
        let program = Rc::new(RefCell::new(Program {
            room: usize::MAX,
            ..Program::default()
        }));
        self.called.push((port, token, Rc::clone(&program)));
        Dial::Open(FakeStream(program))
    }

    fn accept(&mut self, token: Token) -> Accept<FakeStream> {
        self.calling.pop_front().map_or(Accept::Empty, |program| {
            self.taken.push(token);
            Accept::Open(FakeStream(program))
        })
    }
}

pub(super) fn muxer(listening: &[u32]) -> Muxer<FakeHost> {
    let host = FakeHost {
        listening: listening.iter().copied().collect(),
        ..FakeHost::default()
    };
    Muxer::new(host, GUEST, Limits::default())
}

/// A packet from guest port `from` to parent port `to`, with the whole of a 256 KiB buffer free.
pub(super) fn packet(op: Op, from: u32, to: u32) -> Header {
    Header {
        src_cid: GUEST,
        dst_cid: 3,
        src_port: from,
        dst_port: to,
        kind: TYPE_STREAM,
        op: op as u16,
        buf_alloc: 256 * 1024,
        ..Header::default()
    }
}

/// Everything that the muxer has for the guest, as op codes with the guest's port.
pub(super) fn drain(muxer: &mut Muxer<FakeHost>) -> Vec<(Op, u32)> {
    let mut payload = vec![0; MAX_PAYLOAD];
    std::iter::from_fn(|| muxer.to_guest(&mut payload))
        .map(|h| (Op::from_code(h.op).unwrap(), h.dst_port))
        .collect()
}

/// The guest's side of one connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) port: u32,
    pub(super) sent: Vec<u8>,
    pub(super) got: Vec<u8>,
    /// Bytes of `got` that the guest's program has read.
    pub(super) read: usize,
    pub(super) buf_alloc: u32,
    credit: u32,
    pub(super) open: bool,
    pub(super) ended: bool,
    pub(super) reset: bool,
}

impl Peer {
    pub(super) fn header(&self, op: Op, to: u32) -> Header {
        let fwd_cnt = u32::try_from(self.read).unwrap();
        Header {
            buf_alloc: self.buf_alloc,
            fwd_cnt,
            ..packet(op, self.port, to)
        }
    }

    /// Bytes that the muxer lets this peer send.
    pub(super) fn credit(&self) -> usize {
        usize::try_from(self.credit).unwrap() - self.sent.len()
    }
}

/// A guest with several connections to one port of the parent.
#[derive(Debug, Default)]
pub(super) struct Guest {
    pub(super) peers: BTreeMap<u32, Peer>,
    payload: Vec<u8>,
}

impl Guest {
    pub(super) fn connect(&mut self, muxer: &mut Muxer<FakeHost>, port: u32, to: u32, buf_alloc: u32) {
        let peer = Peer {
            port,
            sent: Vec::new(),
            got: Vec::new(),
            read: 0,
            buf_alloc,
            credit: 0,
            open: false,
            ended: false,
            reset: false,
        };
        muxer.from_guest(&peer.header(Op::Request, to), &[]);
        self.peers.insert(port, peer);
    }

    /// Takes one packet with a buffer for `room` bytes of payload; `false` when there is none.
    pub(super) fn take(&mut self, muxer: &mut Muxer<FakeHost>, room: usize) -> bool {
        self.payload.resize(room, 0);
        let Some(header) = muxer.to_guest(&mut self.payload) else {
            return false;
        };
        assert_eq!((header.dst_cid, header.src_cid), (GUEST, 3));
        let peer = self.peers.get_mut(&header.dst_port).unwrap();
        peer.credit = header.fwd_cnt + header.buf_alloc;
        let len = usize::try_from(header.len).unwrap();
        match Op::from_code(header.op).unwrap() {
            Op::Response => peer.open = true,
            Op::Rw => {
                assert!(peer.open && !peer.ended && len > 0);
                peer.got.extend(&self.payload[..len]);
                let held = u32::try_from(peer.got.len() - peer.read).unwrap();
                assert!(
                    held <= peer.buf_alloc,
                    "{held} bytes in a buffer of {}",
                    peer.buf_alloc
                );
            }
            Op::Shutdown => peer.ended |= header.flags & 2 != 0,
            Op::Rst => peer.reset = true,
            Op::CreditRequest => {
                let answer = peer.header(Op::CreditUpdate, header.src_port);
                muxer.from_guest(&answer, &[]);
            }
            Op::CreditUpdate => {}
            Op::Request => panic!("nobody asked"),
        }
        true
    }
}

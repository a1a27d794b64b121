//! All connections of one guest: which packet belongs to which, who is served next, what is refused.
//!
//! A pure state machine: packets, host events and times go in, packets come out. Sockets are behind
//! [`Host`], the guest's queues are the device's.
//!
//! Packets that fit no connection are answered with an RST. At most [`MAX_REPLIES`] of those wait; a guest
//! that provokes more without taking any loses the rest. The guest's packets are always taken, whatever
//! it leaves untaken itself: two sides that each wait for the other to take first would wait for ever.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read};
use std::time::Duration;

use super::conn::{Conn, Outgoing, Phase};
use super::credit::GRANT;
use super::hello::{self, Hello};
use super::packet::{Header, MAX_PAYLOAD, Op, Shut, TYPE_STREAM};
use super::ports::Ports;
use super::ready::Ready;
use super::stats::Stats;
use super::stream::{Accept, Dial, Host, HostStream};
use super::timers::Timers;
use super::token::Token;

/// CIDs that mean the parent. Guests see the parent as the first.
pub const PARENT_CIDS: [u64; 2] = [abi::vsock::PARENT_CID as u64, 2];

/// Most RST replies to packets without a connection that wait for the guest.
pub const MAX_REPLIES: usize = 4096;

/// How long a program that has not said whom it wants may take for it.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// How long after a busy program is called again.
const DIAL_AGAIN: Duration = Duration::from_millis(10);
/// How long a host that can not take callers rests.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long a guest may take to forget a connection whose host is gone. Linux uses the same for its own side.
const CLOSE_TIME: Duration = Duration::from_secs(8);
/// How long until a guest without credit is asked for it again.
const CREDIT_AGAIN: Duration = Duration::from_millis(250);

/// What may be set. [`Limits::default`] is for use, other values are for experiments on guests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections open at once, callers that have not said whom they want included.
    pub connections: usize,
    /// How long a listening side may take to answer a call, in either direction.
    pub connect_time: Duration,
    /// Longest payload given to the guest in one packet, in bytes; 1 to [`MAX_PAYLOAD`].
    pub payload: usize,
    /// Also limit the number of packets under way to the guest; see [`super::credit::Outbound`].
    pub count_packets: bool,
    /// Take no packet of the guest while this many of ours wait for it, as a Linux driver on the other side would.
    pub push_back: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16 * 1024,
            connect_time: Duration::from_secs(10),
            payload: MAX_PAYLOAD,
            count_packets: true,
            push_back: None,
        }
    }
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    parent_cid: u64,
    parent_port: u32,
    guest_port: u32,
}

#[derive(Debug)]
struct Entry<S> {
    pair: Pair,
    conn: Conn<S>,
    /// `pair.parent_port` is one of [`Ports`].
    borrowed: bool,
    /// The call is given up then.
    give_up: Duration,
}

/// The connections of one guest.
#[derive(Debug)]
pub struct Muxer<H: Host> {
    host: H,
    guest_cid: u64,
    limits: Limits,
    now: Duration,
    next: Token,
    entries: BTreeMap<Token, Entry<H::Stream>>,
    pairs: BTreeMap<Pair, Token>,
    callers: BTreeMap<Token, H::Stream>,
    replies: VecDeque<Header>,
    ready: Ready,
    timers: Timers,
    ports: Ports,
    stats: Stats,
}

impl<H: Host> Muxer<H> {
    /// No connections yet.
    #[must_use]
    pub fn new(host: H, guest_cid: u64, limits: Limits) -> Self {
        Self {
            host,
            guest_cid,
            limits,
            now: Duration::ZERO,
            next: Token::FIRST,
            entries: BTreeMap::new(),
            pairs: BTreeMap::new(),
            callers: BTreeMap::new(),
            replies: VecDeque::new(),
            ready: Ready::default(),
            timers: Timers::default(),
            ports: Ports::default(),
            stats: Stats::default(),
        }
    }

    /// The host's side.
    pub fn host_mut(&mut self) -> &mut H {
        &mut self.host
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            open: self.entries.len() + self.callers.len(),
            ..self.stats
        }
    }

    /// Whether [`Muxer::to_guest`] is worth a call.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.replies.is_empty() || !self.ready.is_empty()
    }

    /// Whether the guest's packets are to be left where they are; see [`Limits::push_back`].
    #[must_use]
    pub fn pushes_back(&self) -> bool {
        self.limits
            .push_back
            .is_some_and(|limit| self.replies.len() + self.ready.len() >= limit)
    }

    /// When [`Muxer::tick`] is needed next.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// A packet from the guest, with as many bytes of payload as its header says.
    pub fn from_guest(&mut self, header: &Header, payload: &[u8]) {
        self.stats.from_guest += 1;
        if header.src_cid != self.guest_cid || !PARENT_CIDS.contains(&header.dst_cid) {
            self.stats.wrong_cid += 1;
            return;
        }
        let pair = Pair {
            parent_cid: header.dst_cid,
            parent_port: header.dst_port,
            guest_port: header.src_port,
        };
        if header.kind != TYPE_STREAM {
            return self.refuse(pair, header.kind);
        }
        let token = self.pairs.get(&pair).copied();
        match (Op::from_code(header.op), token) {
            (Some(Op::Request), None) => self.open(pair, header),
            (Some(Op::Rst), None) => {}
            (Some(op), Some(token)) => self.packet(token, op, header, payload),
            (None, Some(token)) => {
                // A broken packet breaks its connection.
                self.with(token, Conn::reset);
            }
            (_, None) => self.refuse(pair, TYPE_STREAM),
        }
    }

    /// The next packet for the guest; its payload is written to the start of `payload`.
    pub fn to_guest(&mut self, payload: &mut [u8]) -> Option<Header> {
        let header = self.replies.pop_front().or_else(|| self.turn(payload));
        self.stats.to_guest += u64::from(header.is_some());
        header
    }

    /// Something happened on a host stream.
    pub fn event(&mut self, token: Token, readable: bool, writable: bool, hung_up: bool) {
        if self.callers.contains_key(&token) {
            self.hear(token);
        } else {
            self.with(token, |conn| conn.event(readable, writable, hung_up));
        }
    }

    /// Takes every host program that waits.
    pub fn accept(&mut self) {
        loop {
            let token = self.fresh();
            match self.host.accept(token) {
                Accept::Open(stream) if self.is_full() => drop(stream),
                Accept::Open(stream) => {
                    self.callers.insert(token, stream);
                    self.timers.set(token, Some(self.now + HELLO_TIME));
                    self.hear(token);
                }
                Accept::Empty => return,
                Accept::Exhausted => {
                    self.timers.set(Token::LISTENER, Some(self.now + ACCEPT_AGAIN));
                    return;
                }
            }
        }
    }

    /// Time has passed; `now` is since the backend started.
    pub fn tick(&mut self, now: Duration) {
        self.now = now;
        while let Some(token) = self.timers.pop(now) {
            if token == Token::LISTENER {
                self.accept();
            } else if self.callers.remove(&token).is_none() {
                self.due(token);
            }
        }
    }

    fn fresh(&mut self) -> Token {
        let token = self.next;
        self.next = token.next();
        token
    }

    fn is_full(&self) -> bool {
        self.entries.len() + self.callers.len() >= self.limits.connections
    }

    /// The guest calls a host program.
    fn open(&mut self, pair: Pair, header: &Header) {
        if self.is_full() {
            return self.refuse(pair, TYPE_STREAM);
        }
        let token = self.fresh();
        let mut conn = Conn::from_guest(self.limits.count_packets);
        match self.host.dial(pair.parent_port, token) {
            Dial::Open(stream) => conn.dialed(stream),
            Dial::Refused => return self.refuse(pair, TYPE_STREAM),
            Dial::Busy => {}
        }
        conn.credit(header.buf_alloc, header.fwd_cnt);
        self.insert(token, pair, conn);
    }

    fn insert(&mut self, token: Token, pair: Pair, conn: Conn<H::Stream>) {
        self.stats.opened += 1;
        let give_up = self.now + self.limits.connect_time;
        self.pairs.insert(pair, token);
        self.entries.insert(
            token,
            Entry {
                pair,
                borrowed: conn.phase() == Phase::Calling,
                conn,
                give_up,
            },
        );
        self.settle(token);
    }

    fn packet(&mut self, token: Token, op: Op, header: &Header, payload: &[u8]) {
        self.stats.bytes_from_guest += payload.len() as u64;
        let open = self
            .entries
            .get(&token)
            .is_some_and(|entry| entry.conn.phase() == Phase::Open);
        self.stats.guest_resets += u64::from(op == Op::Rst && open);
        self.with(token, |conn| {
            conn.credit(header.buf_alloc, header.fwd_cnt);
            match op {
                Op::Rw => conn.data(payload),
                Op::CreditUpdate => {}
                Op::CreditRequest => conn.credit_asked(),
                Op::Shutdown => conn.guest_shut(Shut::from_flags(header.flags)),
                Op::Rst => conn.kill(),
                Op::Response => conn.answered(header.dst_port),
                Op::Request => conn.reset(),
            }
        });
    }

    fn refuse(&mut self, pair: Pair, kind: u16) {
        self.stats.refused += 1;
        if self.replies.len() < MAX_REPLIES {
            let header = Header {
                kind,
                op: Op::Rst as u16,
                ..self.address(pair)
            };
            self.replies.push_back(header);
        }
    }

    fn address(&self, pair: Pair) -> Header {
        Header {
            src_cid: pair.parent_cid,
            dst_cid: self.guest_cid,
            src_port: pair.parent_port,
            dst_port: pair.guest_port,
            kind: TYPE_STREAM,
            ..Header::default()
        }
    }

    /// Serves the connection whose turn it is.
    fn turn(&mut self, payload: &mut [u8]) -> Option<Header> {
        let room = payload.len().min(self.limits.payload);
        let payload = payload.get_mut(..room)?;
        while let Some(token) = self.ready.pop() {
            let Some(entry) = self.entries.get_mut(&token) else {
                continue;
            };
            let outgoing = entry.conn.next(payload);
            let fwd_cnt = if outgoing.is_some() {
                entry.conn.announce()
            } else {
                0
            };
            let pair = entry.pair;
            self.settle(token);
            let Some(Outgoing { op, shut, len }) = outgoing else {
                continue;
            };
            self.stats.bytes_to_guest += u64::from(len);
            return Some(Header {
                op: op as u16,
                flags: shut.flags(),
                len,
                buf_alloc: GRANT,
                fwd_cnt,
                ..self.address(pair)
            });
        }
        None
    }

    fn with(&mut self, token: Token, change: impl FnOnce(&mut Conn<H::Stream>)) {
        if let Some(entry) = self.entries.get_mut(&token) {
            change(&mut entry.conn);
            self.settle(token);
        }
    }

    /// Draws the conclusions from a changed connection.
    fn settle(&mut self, token: Token) {
        let Some(Entry {
            pair,
            borrowed,
            conn,
            give_up,
        }) = self.entries.get(&token)
        else {
            return;
        };
        if conn.has_output() {
            self.ready.push(token);
        }
        let deadline = match conn.phase() {
            Phase::Dialing => Some(self.now + DIAL_AGAIN),
            Phase::Calling => Some(*give_up),
            Phase::Closing => Some(self.now + CLOSE_TIME),
            Phase::Open if conn.stalled() => Some(self.now + CREDIT_AGAIN),
            Phase::Open | Phase::Lingering | Phase::Dead => None,
        };
        self.timers.set(token, deadline);
        if conn.forgotten_by_guest() {
            if self.pairs.get(pair) == Some(&token) {
                self.pairs.remove(pair);
                if *borrowed {
                    self.ports.free(pair.parent_port);
                }
            }
            if conn.phase() == Phase::Dead {
                self.entries.remove(&token);
            }
        }
    }

    /// The deadline of a connection is there.
    fn due(&mut self, token: Token) {
        let Some(entry) = self.entries.get_mut(&token) else {
            return;
        };
        let late = entry.give_up <= self.now;
        match entry.conn.phase() {
            Phase::Dialing => match self.host.dial(entry.pair.parent_port, token) {
                Dial::Open(stream) => entry.conn.dialed(stream),
                Dial::Busy if !late => {}
                Dial::Busy | Dial::Refused => entry.conn.reset(),
            },
            // A late answer of the guest then finds no connection and gets an RST.
            Phase::Calling => entry.conn.kill(),
            Phase::Closing => entry.conn.reset(),
            Phase::Open => entry.conn.ask_again(),
            Phase::Lingering | Phase::Dead => {}
        }
        self.settle(token);
    }

    /// A host program says whom it wants.
    fn hear(&mut self, token: Token) {
        let Some(stream) = self.callers.get_mut(&token) else {
            return;
        };
        let mut line = [0; hello::MAX_LINE];
        let said = match stream.look_ahead(&mut line) {
            Ok(n) if n > 0 => hello::parse(line.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Hello::Partial,
            Ok(_) | Err(_) => Hello::Bad,
        };
        if said == Hello::Partial {
            return;
        }
        self.timers.set(token, None);
        let Some(mut stream) = self.callers.remove(&token) else {
            return;
        };
        // Anything else, or no port left: the program sees its connection end.
        let Hello::Connect(guest_port, len) = said else {
            return;
        };
        let consumed = line
            .get_mut(..len)
            .is_some_and(|line| stream.read_exact(line).is_ok());
        if let (true, Some(parent_port)) = (consumed, self.ports.take()) {
            let pair = Pair {
                parent_cid: PARENT_CIDS[0],
                parent_port,
                guest_port,
            };
            self.insert(token, pair, Conn::from_host(stream, self.limits.count_packets));
        }
    }
}

#[cfg(test)]
mod tests;

//! The virtio device: moves packets between the guest's two queues and the [`Muxer`].
//!
//! The worker thread of `vhost-user-backend` calls [`Device::handle_event`] for a kick of a queue and for the
//! host's epoll set. Work is done in rounds so that neither direction nor the sockets starve.
//!
//! A packet may lie in any number of descriptors: Linux 6.12 gives payloads above 28 KiB in several.

use std::io::{Error, Read, Result, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackendMut, VringMutex, VringState, VringT};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::{DescriptorChain, QueueOwnedT, QueueT};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryLoadGuard, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

use super::muxer::Muxer;
use super::packet::{HEADER_LEN, Header, MAX_PAYLOAD};
use super::stats::Stats;
use super::token::Token;
use super::unix::{Event, UnixHost};

type Memory = GuestMemoryAtomic<GuestMemoryMmap>;
type Snapshot = GuestMemoryLoadGuard<GuestMemoryMmap>;

/// Packets for the guest, and packets of the guest. QEMU keeps the third queue, of device events, to itself.
const QUEUES: usize = 2;
const RX: usize = 0;
const TX: usize = 1;

/// Device event of the host's epoll set. `vhost-user-backend` keeps the numbers up to `QUEUES`.
pub(super) const HOST_EVENT: u16 = 3;

/// Longest queue that the guest may choose.
const QUEUE_SIZE: usize = 1024;

/// Packets moved in one direction before the other has its turn.
const BATCH: usize = 64;

/// Rounds before the worker looks at its events again.
const ROUNDS: usize = 16;

/// The device of one VM.
#[derive(Debug)]
pub(super) struct Device {
    /// `None` once the VM has ended.
    muxer: Option<Muxer<UnixHost>>,
    last: Stats,
    guest_cid: u64,
    started: Instant,
    memory: Option<Memory>,
    payload: Vec<u8>,
    events: Vec<Event>,
    malformed: u64,
    exit: (EventConsumer, EventNotifier),
}

impl Device {
    pub(super) fn new(muxer: Muxer<UnixHost>, guest_cid: u64) -> Result<Self> {
        Ok(Self {
            muxer: Some(muxer),
            last: Stats::default(),
            guest_cid,
            started: Instant::now(),
            memory: None,
            payload: vec![0; MAX_PAYLOAD],
            events: Vec::new(),
            malformed: 0,
            exit: new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC)?,
        })
    }

    pub(super) fn stats(&self) -> Stats {
        let stats = self.muxer.as_ref().map_or(self.last, Muxer::stats);
        Stats {
            malformed: self.malformed,
            ..stats
        }
    }

    /// The VM has ended: closes every socket, so that the host's programs see it.
    pub(super) fn close(&mut self) {
        self.last = Stats {
            open: 0,
            ..self.stats()
        };
        self.muxer = None;
    }

    /// The descriptor to register for [`HOST_EVENT`].
    pub(super) fn host_fd(&mut self) -> Option<RawFd> {
        Some(self.muxer.as_mut()?.host_mut().as_epoll().as_raw_fd())
    }

    /// One batch; the epoll set stays readable while there are more.
    fn host_events(&mut self) -> Result<()> {
        let Some(muxer) = self.muxer.as_mut() else {
            return Ok(());
        };
        muxer.host_mut().events(&mut self.events)?;
        for event in &self.events {
            match event.token {
                Token::LISTENER => muxer.accept(),
                Token::TIMER | Token::AGAIN => {}
                token => muxer.event(token, event.readable, event.writable, event.hung_up),
            }
        }
        Ok(())
    }

    /// Moves packets both ways until nothing is left or the rounds are up.
    fn pump(&mut self, vrings: &[VringMutex]) -> Result<()> {
        let (Some(memory), Some(rx), Some(tx)) = (self.memory.clone(), vrings.get(RX), vrings.get(TX)) else {
            return Ok(());
        };
        let memory = memory.memory();
        let Some(muxer) = self.muxer.as_mut() else {
            return Ok(());
        };
        muxer.tick(self.started.elapsed());
        let mut busy = true;
        for _ in 0..ROUNDS {
            let took = self.serve(&mut tx.get_mut(), &memory, Self::take)?;
            let gave = self.serve(&mut rx.get_mut(), &memory, Self::give)?;
            busy = took || gave;
            if !busy {
                break;
            }
        }
        let Some(muxer) = self.muxer.as_mut() else {
            return Ok(());
        };
        if busy {
            muxer.host_mut().again()?;
        }
        let now = self.started.elapsed();
        let wait = muxer.deadline().map(|at| at.saturating_sub(now));
        muxer.host_mut().alarm(wait)
    }

    /// Lets `each` have descriptor chains of one queue until it declines or a batch is done. Returns whether
    /// any was used. When none is left, the guest is asked to kick for the next.
    fn serve(
        &mut self,
        vring: &mut VringState,
        memory: &Snapshot,
        each: fn(&mut Self, DescriptorChain<Snapshot>, &Snapshot) -> Option<u32>,
    ) -> Result<bool> {
        if !vring.is_enabled() || !vring.get_queue().ready() {
            return Ok(false);
        }
        let mut used = 0;
        while used < BATCH {
            let Some(chain) = vring.get_queue_mut().pop_descriptor_chain(memory.clone()) else {
                // Something may have come between the look and the request for a kick.
                if vring.enable_notification().map_err(Error::other)? {
                    continue;
                }
                break;
            };
            let head = chain.head_index();
            let Some(len) = each(self, chain, memory) else {
                vring.get_queue_mut().go_to_previous_position();
                break;
            };
            vring.add_used(head, len).map_err(Error::other)?;
            used += 1;
        }
        if used > 0 && vring.needs_notification().map_err(Error::other)? {
            vring.signal_used_queue()?;
        }
        Ok(used > 0)
    }

    /// A packet of the guest.
    fn take(&mut self, chain: DescriptorChain<Snapshot>, memory: &Snapshot) -> Option<u32> {
        let muxer = self.muxer.as_mut().filter(|muxer| !muxer.pushes_back())?;
        match read_packet(chain, memory, &mut self.payload) {
            Some((header, payload)) => muxer.from_guest(&header, payload),
            None => self.malformed += 1,
        }
        Some(0)
    }

    /// A buffer for a packet to the guest.
    fn give(&mut self, chain: DescriptorChain<Snapshot>, memory: &Snapshot) -> Option<u32> {
        let muxer = self.muxer.as_mut().filter(|muxer| muxer.has_output())?;
        let Ok(mut writer) = chain.writer(memory) else {
            self.malformed += 1;
            return Some(0);
        };
        let Some(room) = writer.available_bytes().checked_sub(HEADER_LEN) else {
            self.malformed += 1;
            return Some(0);
        };
        let room = room.min(MAX_PAYLOAD);
        let header = muxer.to_guest(self.payload.get_mut(..room)?)?;
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        // The writer has the room, so only memory that the guest has taken away can fail; it loses the packet.
        let written = writer
            .write_all(&header.encode())
            .and_then(|()| writer.write_all(self.payload.get(..len).unwrap_or_default()));
        self.malformed += u64::from(written.is_err());
        u32::try_from(writer.bytes_written()).ok()
    }
}

/// Reads a header and as many bytes as it promises; `None` where the chain is shorter or the promise too large.
fn read_packet<'a>(
    chain: DescriptorChain<Snapshot>,
    memory: &Snapshot,
    into: &'a mut [u8],
) -> Option<(Header, &'a [u8])> {
    let mut reader = chain.reader(memory).ok()?;
    let mut bytes = [0; HEADER_LEN];
    reader.read_exact(&mut bytes).ok()?;
    let header = Header::decode(&bytes);
    let payload = into.get_mut(..usize::try_from(header.len).ok()?)?;
    reader.read_exact(payload).ok()?;
    Some((header, payload))
}

impl VhostUserBackendMut for Device {
    type Bitmap = ();
    type Vring = VringMutex;

    fn num_queues(&self) -> usize {
        QUEUES
    }

    fn max_queue_size(&self) -> usize {
        QUEUE_SIZE
    }

    fn features(&self) -> u64 {
        (1 << VIRTIO_F_VERSION_1)
            | (1 << VIRTIO_RING_F_EVENT_IDX)
            | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG
    }

    fn set_event_idx(&mut self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = self.guest_cid.to_le_bytes();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(size).unwrap_or(usize::MAX));
        config.get(start..end).unwrap_or_default().to_vec()
    }

    fn update_memory(&mut self, memory: Memory) -> Result<()> {
        self.memory = Some(memory);
        Ok(())
    }

    fn exit_event(&self, _thread: usize) -> Option<(EventConsumer, EventNotifier)> {
        Some((self.exit.0.try_clone().ok()?, self.exit.1.try_clone().ok()?))
    }

    fn handle_event(
        &mut self,
        event: u16,
        _set: EventSet,
        vrings: &[VringMutex],
        _thread: usize,
    ) -> Result<()> {
        if event == HOST_EVENT {
            self.host_events()?;
        }
        self.pump(vrings)
    }
}

/// The form that `vhost-user-backend` wants: shared by its two threads.
pub(super) type Shared = Arc<Mutex<Device>>;

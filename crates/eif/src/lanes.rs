//! Hashing on threads of its own beside the one that reads and writes, over a fixed set of reused buffers.
//!
//! Where the CPU hashes two messages at once ([`Pairs`]) a single thread does it all. Elsewhere there are two: one
//! computes the image's value (and the boot part's, a prefix of it), the other the application's and each section's.
//! For the usual image of two ramdisks both hash every byte once, so neither waits for the other.
//! At most [`BUFFERS`] buffers of [`BUFFER_BYTES`] exist, whatever the size of the image.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::{self, ScopedJoinHandle};

use crate::hashes::{Hashes, Targets};
use crate::measure::{Digest, Measurements, Pcr};
use crate::pair::Pairs;

/// Small enough that a buffer is still in the cache when the other threads come to it.
const BUFFER_BYTES: usize = 256 * 1024;
const BUFFERS: usize = 16;

/// Why a section could not be passed through.
#[derive(Debug)]
pub(crate) enum PumpError {
    /// The source failed.
    Read(io::Error),
    /// The sink failed, or a hashing thread is gone.
    Sink(io::Error),
    /// The source ended before `size` bytes.
    Short { actual: u64 },
}

/// What was computed. The signing certificate is not looked at.
#[derive(Debug)]
pub(crate) struct Hashed {
    pub(crate) measurements: Measurements,
    pub(crate) sections: Vec<Digest>,
}

/// The hashing threads, seen from the thread that reads.
#[derive(Debug)]
pub(crate) struct Lanes {
    workers: Vec<SyncSender<Work>>,
    spare: Receiver<Vec<u8>>,
    give_back: Sender<Vec<u8>>,
    made: usize,
}

enum Work {
    Begin(Targets),
    Data(Arc<Chunk>),
    End,
}

/// A buffer on loan: whoever drops it last gives it back.
struct Chunk {
    buffer: Vec<u8>,
    filled: usize,
    give_back: Sender<Vec<u8>>,
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Nobody waits for it any more when this fails.
        drop(self.give_back.send(std::mem::take(&mut self.buffer)));
    }
}

/// Runs `work` with hashing threads at its side and gives what they computed from what it passed through.
///
/// # Errors
/// What `work` fails with, or an I/O error if a hashing thread ended early.
pub(crate) fn hashing<T, E: From<io::Error>>(
    work: impl FnOnce(&mut Lanes) -> Result<T, E>,
) -> Result<(T, Hashed), E> {
    hashing_by(Pairs::detect(), work)
}

fn hashing_by<T, E: From<io::Error>>(
    pairs: Option<Pairs>,
    work: impl FnOnce(&mut Lanes) -> Result<T, E>,
) -> Result<(T, Hashed), E> {
    let shares = match pairs {
        Some(_) => vec![Targets::ALL],
        None => vec![
            Targets::IMAGE.and(Targets::BOOT),
            Targets::APP.and(Targets::SECTION),
        ],
    };
    thread::scope(|scope| {
        let (give_back, spare) = mpsc::channel();
        let start = |watched| {
            let (sender, receiver) = mpsc::sync_channel(BUFFERS);
            let hashes = Hashes::new(watched, pairs);
            (sender, scope.spawn(move || hash_all(hashes, &receiver)))
        };
        let (workers, threads): (_, Vec<_>) = shares.into_iter().map(start).unzip();
        let mut lanes = Lanes {
            workers,
            spare,
            give_back,
            made: 0,
        };
        let outcome = work(&mut lanes);
        drop(lanes);
        let hashed = collect(threads).ok_or_else(gone);
        Ok((outcome?, hashed?))
    })
}

fn hash_all(mut hashes: Hashes, work: &Receiver<Work>) -> Hashes {
    while let Ok(item) = work.recv() {
        match item {
            Work::Begin(targets) => hashes.begin(targets),
            Work::Data(chunk) => hashes.update(chunk.bytes()),
            Work::End => hashes.end(),
        }
    }
    hashes
}

fn collect(threads: Vec<ScopedJoinHandle<'_, Hashes>>) -> Option<Hashed> {
    let joined = threads.into_iter().map(|thread| thread.join().ok());
    let hashes: Vec<Hashes> = joined.collect::<Option<_>>()?;
    let pcr = |target| {
        let digest = hashes.iter().find_map(|hashes| hashes.value(target))?;
        Some(Pcr::extended_with(&digest))
    };
    Some(Hashed {
        measurements: Measurements {
            pcr0: pcr(Targets::IMAGE)?,
            pcr1: pcr(Targets::BOOT)?,
            pcr2: pcr(Targets::APP)?,
            pcr8: None,
        },
        // Those of the one thread that watches sections; the other has none.
        sections: hashes.into_iter().flat_map(|hashes| hashes.sections).collect(),
    })
}

fn gone() -> io::Error {
    io::Error::other("a hashing thread ended early")
}

impl Lanes {
    /// Passes one section of exactly `size` bytes from `source` to `sink` and to the hashing threads.
    ///
    /// # Errors
    /// [`PumpError`]; the section is then unfinished.
    pub(crate) fn section(
        &mut self,
        targets: Targets,
        source: &mut dyn Read,
        size: u64,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), PumpError> {
        self.tell(|| Work::Begin(targets))?;
        let mut left = size;
        while left > 0 {
            let mut chunk = Chunk {
                buffer: self.buffer().map_err(PumpError::Sink)?,
                filled: 0,
                give_back: self.give_back.clone(),
            };
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER_BYTES);
            chunk.filled = fill(source, chunk.buffer.get_mut(..room).unwrap_or_default())?;
            left = left.saturating_sub(chunk.filled as u64);
            if chunk.filled < room {
                return Err(PumpError::Short {
                    actual: size.saturating_sub(left),
                });
            }
            let chunk = Arc::new(chunk);
            self.tell(|| Work::Data(Arc::clone(&chunk)))?;
            sink(chunk.bytes()).map_err(PumpError::Sink)?;
        }
        self.tell(|| Work::End)
    }

    fn tell(&self, work: impl Fn() -> Work) -> Result<(), PumpError> {
        for worker in &self.workers {
            worker.send(work()).map_err(|_| PumpError::Sink(gone()))?;
        }
        Ok(())
    }

    fn buffer(&mut self) -> io::Result<Vec<u8>> {
        if let Ok(buffer) = self.spare.try_recv() {
            return Ok(buffer);
        }
        if self.made < BUFFERS {
            self.made += 1;
            return Ok(vec![0; BUFFER_BYTES]);
        }
        self.spare.recv().map_err(|_| gone())
    }
}

/// Reads until `room` is full or the source ends; gives the number of bytes read.
fn fill(source: &mut dyn Read, room: &mut [u8]) -> Result<usize, PumpError> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(PumpError::Read(error)),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::SectionKind;

    #[derive(Debug)]
    struct Failed;
    impl From<io::Error> for Failed {
        fn from(_: io::Error) -> Self {
            Self
        }
    }

    #[test]
    fn equals_plain_hashing_beyond_all_buffers() {
        for pairs in [None, Pairs::detect()] {
            check_beyond_all_buffers(pairs);
        }
    }

    fn check_beyond_all_buffers(pairs: Option<Pairs>) {
        let block: Vec<u8> = (0..=250).collect();
        let data = block.repeat(BUFFER_BYTES * (BUFFERS + 3) / block.len());
        let mut copy = Vec::new();
        let ((), hashed) = hashing_by::<_, Failed>(pairs, |lanes| {
            let sizes = [
                (SectionKind::Kernel, 0, 5),
                (SectionKind::Ramdisk, 0, 0),
                (SectionKind::Ramdisk, 1, data.len()),
                // Here three values go on: two side by side and one by itself.
                (SectionKind::Ramdisk, 2, BUFFER_BYTES + 1),
            ];
            for (kind, ramdisks, size) in sizes {
                let targets = Targets::of(kind, ramdisks);
                let mut sink = |bytes: &[u8]| {
                    copy.extend_from_slice(bytes);
                    Ok(())
                };
                lanes
                    .section(targets, &mut &data[..], size as u64, &mut sink)
                    .map_err(|_| Failed)?;
            }
            assert!(lanes.made <= BUFFERS);
            Ok(())
        })
        .unwrap();
        let end = &data[..=BUFFER_BYTES];
        let all = [&data[..5], &data, end].concat();
        assert_eq!(copy, all);
        let pcr = |bytes: &[u8]| Pcr::extended_with(&Digest::of(bytes));
        assert_eq!(hashed.measurements.pcr0, pcr(&all));
        assert_eq!(hashed.measurements.pcr1, pcr(&data[..5]));
        assert_eq!(hashed.measurements.pcr2, pcr(&[&data, end].concat()));
        let sections = [&data[..5], &[], &data, end].map(Digest::of);
        assert_eq!(hashed.sections, sections);
    }

    #[test]
    fn a_short_source_and_a_full_sink_are_errors_and_nothing_hangs() {
        let outcome = hashing::<(), Failed>(|lanes| {
            let targets = Targets::of(SectionKind::Kernel, 0);
            let short = lanes.section(targets, &mut &[0; 3][..], 4, &mut |_| Ok(()));
            assert!(matches!(short, Err(PumpError::Short { actual: 3 })));
            let mut full = |_: &[u8]| Err(io::ErrorKind::StorageFull.into());
            let full = lanes.section(targets, &mut &[0; 3][..], 3, &mut full);
            assert!(matches!(full, Err(PumpError::Sink(_))));
            Err(Failed)
        });
        outcome.unwrap_err();
    }
}

//! Work on several threads: a fixed number of them, and a bound on the memory that key derivations hold together.

use std::num::NonZeroUsize;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// Calls `each` for every item, on at most `threads` threads, the caller's among them. Results in the items' order.
///
/// Items are taken one by one, so a slow one holds up nobody else.
pub(super) fn map<T: Sync, R: Send>(
    items: &[T],
    threads: NonZeroUsize,
    each: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(index)
        {
            done.push((index, each(item)));
        }
        done
    };
    let helpers = threads.get().min(items.len()).saturating_sub(1);
    let mut results = thread::scope(|scope| {
        // A thread that cannot be started is one helper fewer; this thread does the rest.
        let handles: Vec<_> = (0..helpers)
            .map_while(|_| {
                thread::Builder::new()
                    .name("keys".to_owned())
                    .spawn_scoped(scope, work)
                    .ok()
            })
            .collect();
        let mut results = work();
        for handle in handles {
            results.extend(handle.join().unwrap_or_else(|cause| panic::resume_unwind(cause)));
        }
        results
    });
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Memory that several threads share out among themselves.
#[derive(Debug)]
pub(super) struct MemoryGate {
    total: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

/// A share of the memory, given back when dropped.
pub(super) struct Share<'a> {
    gate: &'a MemoryGate,
    bytes: u64,
}

impl MemoryGate {
    pub(super) fn new(total: u64) -> Self {
        Self {
            total,
            free: Mutex::new(total),
            freed: Condvar::new(),
        }
    }

    /// Waits until `bytes` are free. Whoever wants more than there is gets all of it, alone.
    pub(super) fn take(&self, bytes: u64) -> Share<'_> {
        let bytes = bytes.min(self.total);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .freed
            .wait_while(free, |free| *free < bytes)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= bytes;
        Share { gate: self, bytes }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.gate.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.gate.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn results_keep_their_order() {
        let items: Vec<usize> = (0..1000).collect();
        for threads in [1, 2, 7] {
            let doubled = map(&items, NonZeroUsize::new(threads).unwrap(), |item| item * 2);
            assert_eq!(doubled, (0..1000).map(|item| item * 2).collect::<Vec<_>>());
        }
        assert!(map(&[], NonZeroUsize::MIN, |item: &usize| *item).is_empty());
    }

    #[test]
    fn no_more_memory_is_held_than_there_is() {
        let gate = MemoryGate::new(100);
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        let items = [40_u64, 60, 100, 1000, 1, 99, 50, 50, 0, 30].repeat(20);
        map(&items, NonZeroUsize::new(8).unwrap(), |bytes| {
            let share = gate.take(*bytes);
            let now = held.fetch_add(share.bytes, Ordering::SeqCst) + share.bytes;
            most.fetch_max(now, Ordering::SeqCst);
            thread::yield_now();
            held.fetch_sub(share.bytes, Ordering::SeqCst);
        });
        assert!(most.load(Ordering::SeqCst) <= 100);
        assert_eq!(*gate.free.lock().unwrap(), 100);
    }
}

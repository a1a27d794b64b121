//! Two things at the same time, where each alone leaves a processor idle.

use std::panic;
use std::thread;

/// Runs `a` on a thread of its own and `b` here. A panic of either is the caller's.
pub(crate) fn both<A: Send, B>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let first = scope.spawn(a);
        let second = b();
        match first.join() {
            Ok(first) => (first, second),
            Err(cause) => panic::resume_unwind(cause),
        }
    })
}

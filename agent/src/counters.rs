//! What the agent counts, for `metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use relay::Traffic;

/// Numbers since the agent's start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections by the port, that were accepted from the parent.
    pub accepted: [AtomicU64; 2],
    /// Connections of others than the parent.
    pub foreign: AtomicU64,
    /// Connections on the service port that started neither TLS nor a message.
    pub garbage: AtomicU64,
    /// Answers that were good.
    pub answers_ok: AtomicU64,
    /// Answers that were refusals.
    pub answers_refused: AtomicU64,
    /// TLS connections that were carried to the signer.
    pub tls: AtomicU64,
    /// TLS connections before `init`, or while there were too many, or the signer did not listen.
    pub tls_refused: AtomicU64,
    /// TLS connections that are open.
    pub tls_open: AtomicU64,
    /// Bytes of TLS; the first stream is the parent's.
    pub traffic: Traffic,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

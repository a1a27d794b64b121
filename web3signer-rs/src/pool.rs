//! Threads for signatures. A BLS signature is half a millisecond of processor time; on the threads that serve
//! connections, a burst of them would make every other request wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::metrics::{Metrics, count};

/// At most one job for each processor at a time; the rest waits in order.
#[derive(Debug)]
pub struct Pool {
    places: Semaphore,
    metrics: Arc<Metrics>,
}

/// A job that ended in a panic, or that the end of the program cut off.
#[derive(Debug, thiserror::Error)]
#[error("the signing thread failed")]
pub struct PoolError;

impl Pool {
    /// A pool of `threads`.
    #[must_use]
    pub fn new(threads: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            places: Semaphore::new(threads.max(1)),
            metrics,
        }
    }

    /// Runs a job on a thread of its own and waits for it.
    ///
    /// # Errors
    /// [`PoolError`].
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let pool = &self.metrics.pool;
        count(&pool.submitted);
        let asked = Instant::now();
        let _place = self.places.acquire().await.map_err(|_| PoolError)?;
        pool.queue_delay.note(asked.elapsed());
        pool.busy.fetch_add(1, Ordering::Relaxed);
        let outcome = tokio::task::spawn_blocking(job).await;
        pool.busy.fetch_sub(1, Ordering::Relaxed);
        count(&pool.completed);
        outcome.map_err(|_| PoolError)
    }
}

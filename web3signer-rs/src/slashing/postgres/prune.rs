//! Cutting off old history: first the floor rises, then what is below it goes, in one transaction.
//!
//! The floor of sources rises only to the highest source that goes (Web3Signer: to the floor of targets). No vote that is
//! gone can be surrounded by one at or above that, and while the chain does not finalise, sources stand still: a floor of
//! sources that follows the targets would then stop every vote.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::permit::{LOCK_ATTESTATIONS, LOCK_BLOCKS, begin, lock};
use super::row::number;
use super::{Postgres, PostgresError, Pruning, query};
use crate::slashing::observe::{Observer, chain_of};

const HIGHEST_BLOCK: &str = "SELECT MAX(b.slot)::text AS highest, MAX(l.slot)::text AS floor \
    FROM signed_blocks b JOIN low_watermarks l ON l.validator_id = b.validator_id WHERE b.validator_id = $1";

const HIGHEST_VOTE: &str = "SELECT MAX(a.target_epoch)::text AS highest, MAX(l.target_epoch)::text AS floor \
    FROM signed_attestations a JOIN low_watermarks l ON l.validator_id = a.validator_id WHERE a.validator_id = $1";

const RAISE_SLOT: &str =
    "UPDATE low_watermarks SET slot = GREATEST(slot, $2::text::numeric) WHERE validator_id = $1";

const RAISE_EPOCHS: &str = "UPDATE low_watermarks SET \
        target_epoch = GREATEST(target_epoch, $2::text::numeric), \
        source_epoch = GREATEST(source_epoch, (SELECT MAX(source_epoch) FROM signed_attestations \
            WHERE validator_id = $1 AND target_epoch < $2::text::numeric)) \
    WHERE validator_id = $1";

const DELETE_BLOCKS: &str = "DELETE FROM signed_blocks b USING low_watermarks l \
    WHERE b.validator_id = $1 AND l.validator_id = $1 AND b.slot < l.slot";

const DELETE_VOTES: &str = "DELETE FROM signed_attestations a USING low_watermarks l \
    WHERE a.validator_id = $1 AND l.validator_id = $1 AND a.target_epoch < l.target_epoch";

impl Postgres {
    pub(super) async fn prune_for_ever(&self, observer: &dyn Observer) {
        let Some(pruning) = self.pruning else {
            return std::future::pending().await;
        };
        if !pruning.at_boot {
            tokio::time::sleep(pruning.interval).await;
        }
        loop {
            match self.prune(pruning).await {
                Ok(entries) => {
                    observer.noted(&format!("pruned {entries} entries of slashing protection"));
                }
                Err(error) => {
                    observer.noted(&format!("pruning stopped, to go on later: {}", chain_of(&error)));
                }
            }
            tokio::time::sleep(pruning.interval).await;
        }
    }

    /// Prunes every registered validator once, and answers with the number of entries that went.
    ///
    /// # Errors
    /// [`PostgresError`]; what went before stays gone.
    pub async fn prune(&self, pruning: Pruning) -> Result<u64, PostgresError> {
        let ids: Vec<i32> = self
            .ids
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .values()
            .copied()
            .collect();
        let epochs = pruning.epochs_to_keep.get();
        let slots = epochs.saturating_mul(pruning.slots_per_epoch.get());
        let mut gone = 0;
        for id in ids {
            gone += self.prune_kind(id, &BLOCKS, slots).await?;
            gone += self.prune_kind(id, &VOTES, epochs).await?;
        }
        Ok(gone)
    }

    async fn prune_kind(&self, id: i32, kind: &Kind, keep: u64) -> Result<u64, PostgresError> {
        let lease = self.pool.lend().await?;
        let client = lease.client()?;
        begin(client).await?;
        lock(client, kind.lock, id).await?;
        query(
            client.batch_execute("SET LOCAL statement_timeout = '10min'"),
            "SET",
        )
        .await?;
        let gone = match floor(client, id, kind, keep).await? {
            None => 0,
            Some(floor) => {
                let floor = floor.to_string();
                let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT4), (&floor, Type::TEXT)];
                query(
                    client.execute_typed(kind.raise, &parameters),
                    "UPDATE of the low watermark",
                )
                .await?;
                query(
                    client.execute_typed(kind.delete, &[(&id, Type::INT4)]),
                    "DELETE of old entries",
                )
                .await?
            }
        };
        query(client.batch_execute("COMMIT"), "COMMIT").await?;
        lease.done();
        Ok(gone)
    }
}

/// What differs between blocks and votes.
struct Kind {
    lock: i32,
    highest: &'static str,
    raise: &'static str,
    delete: &'static str,
}

const BLOCKS: Kind = Kind {
    lock: LOCK_BLOCKS,
    highest: HIGHEST_BLOCK,
    raise: RAISE_SLOT,
    delete: DELETE_BLOCKS,
};

const VOTES: Kind = Kind {
    lock: LOCK_ATTESTATIONS,
    highest: HIGHEST_VOTE,
    raise: RAISE_EPOCHS,
    delete: DELETE_VOTES,
};

/// The new floor, so that `keep` remain below and with the highest; `None` where there is nothing, or no floor, to move.
async fn floor(client: &Client, id: i32, kind: &Kind, keep: u64) -> Result<Option<u64>, PostgresError> {
    let rows = query(
        client.query_typed(kind.highest, &[(&id, Type::INT4)]),
        "SELECT of the newest entry",
    )
    .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (highest, floor) = (number(row, "highest")?, number(row, "floor")?);
    Ok(highest
        .zip(floor)
        .map(|(highest, floor)| floor.max(highest.saturating_add(1).saturating_sub(keep))))
}

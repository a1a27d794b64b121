//! Which validators there are, whether they may sign, and the watermarks.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::permit::{LOCK_ATTESTATIONS, LOCK_BLOCKS, begin, lock};
use super::row::{number, root};
use super::{Postgres, PostgresError, query, row};
use crate::duty::Root;
use crate::slashing::key::ValidatorKey;
use crate::slashing::report::Registration;
use crate::slashing::watermark::HighWatermark;

/// Validators of one statement.
const BATCH: usize = 1_000;

/// Raises the floors of validator $1 to slot $2 and epoch $3; lowers none.
const RAISE: &str = "INSERT INTO low_watermarks (validator_id, slot, source_epoch, target_epoch) \
    VALUES ($1, $2::text::numeric, $3::text::numeric, $3::text::numeric) \
    ON CONFLICT (validator_id) DO UPDATE SET \
        slot = GREATEST(low_watermarks.slot, EXCLUDED.slot), \
        source_epoch = GREATEST(low_watermarks.source_epoch, EXCLUDED.source_epoch), \
        target_epoch = GREATEST(low_watermarks.target_epoch, EXCLUDED.target_epoch)";

impl Postgres {
    /// Makes the rows that are missing.
    pub(in crate::slashing) async fn register(
        &self,
        keys: &[ValidatorKey],
    ) -> Result<Registration, PostgresError> {
        let lease = self.pool.lend().await?;
        let client = lease.client()?;
        let mut registration = Registration::default();
        for batch in keys.chunks(BATCH) {
            let bytes: Vec<&[u8]> = batch.iter().map(|key| key.as_bytes().as_slice()).collect();
            query(
                client.execute_typed(
                    "INSERT INTO validators (public_key) SELECT unnest($1) ON CONFLICT (public_key) DO NOTHING",
                    &[(&bytes, Type::BYTEA_ARRAY)],
                ),
                "INSERT of validators",
            )
            .await?;
            let rows = query(
                client.query_typed(
                    "SELECT id, public_key, enabled FROM validators WHERE public_key = ANY($1)",
                    &[(&bytes, Type::BYTEA_ARRAY)],
                ),
                "SELECT of validators",
            )
            .await?;
            for row in &rows {
                let key = key_of(row)?;
                self.remember(key, row.try_get("id").map_err(|_| row::malformed("id"))?);
                if !row.try_get("enabled").map_err(|_| row::malformed("enabled"))? {
                    registration.disabled.push(key);
                }
            }
        }
        lease.done();
        Ok(registration)
    }

    pub(in crate::slashing) async fn disable(&self, keys: &[ValidatorKey]) -> Result<(), PostgresError> {
        self.set_enabled(keys, false).await
    }

    pub(in crate::slashing) async fn enable(&self, keys: &[ValidatorKey]) -> Result<(), PostgresError> {
        self.set_enabled(keys, true).await
    }

    /// Under both locks: no decision that began before is still to come when this returns.
    async fn set_enabled(&self, keys: &[ValidatorKey], enabled: bool) -> Result<(), PostgresError> {
        let lease = self.pool.lend().await?;
        let client = lease.client()?;
        for key in keys {
            let Some(id) = self.id_of(client, key).await? else {
                continue;
            };
            begin_alone(client, id).await?;
            let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT4), (&enabled, Type::BOOL)];
            query(
                client.execute_typed("UPDATE validators SET enabled = $2 WHERE id = $1", &parameters),
                "UPDATE of a validator",
            )
            .await?;
            query(client.batch_execute("COMMIT"), "COMMIT").await?;
        }
        lease.done();
        Ok(())
    }

    pub(in crate::slashing) async fn high_watermark(&self) -> Result<Option<HighWatermark>, PostgresError> {
        let lease = self.pool.lend().await?;
        let rows = query(
            lease.client()?.query_typed(
                "SELECT high_watermark_epoch::text AS epoch, high_watermark_slot::text AS slot \
                 FROM metadata WHERE id = 1",
                &[],
            ),
            "SELECT of the high watermark",
        )
        .await?;
        lease.done();
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        match (number(row, "epoch")?, number(row, "slot")?) {
            (Some(epoch), Some(slot)) => Ok(Some(HighWatermark { epoch, slot })),
            (None, None) => Ok(None),
            _ => Err(row::malformed("high_watermark_epoch")),
        }
    }

    /// The schema's trigger refuses a watermark that is not above every low one.
    pub(in crate::slashing) async fn set_high_watermark(
        &self,
        mark: Option<HighWatermark>,
    ) -> Result<(), PostgresError> {
        let lease = self.pool.lend().await?;
        let client = lease.client()?;
        let epoch = mark.map(|mark| mark.epoch.to_string());
        let slot = mark.map(|mark| mark.slot.to_string());
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&epoch, Type::TEXT), (&slot, Type::TEXT)];
        let changed = query(
            client.execute_typed(
                "UPDATE metadata SET high_watermark_epoch = $1::text::numeric, \
                 high_watermark_slot = $2::text::numeric WHERE id = 1",
                &parameters,
            ),
            "UPDATE of the high watermark (it must be above every low one)",
        )
        .await?;
        lease.done();
        if changed == 0 && mark.is_some() {
            // Web3Signer keeps the watermark beside the genesis root, which the first use sets.
            return Err(PostgresError::Malformed {
                column: "metadata.genesis_validators_root",
            });
        }
        Ok(())
    }

    pub(in crate::slashing) async fn raise_low_watermarks(
        &self,
        floor: HighWatermark,
    ) -> Result<usize, PostgresError> {
        let lease = self.pool.lend().await?;
        let client = lease.client()?;
        let rows = query(
            client.query_typed("SELECT id FROM validators ORDER BY id", &[]),
            "SELECT of validators",
        )
        .await?;
        let (slot, epoch) = (floor.slot.to_string(), floor.epoch.to_string());
        for row in &rows {
            let id: i32 = row.try_get("id").map_err(|_| row::malformed("id"))?;
            begin_alone(client, id).await?;
            let parameters: [(&(dyn ToSql + Sync), Type); 3] =
                [(&id, Type::INT4), (&slot, Type::TEXT), (&epoch, Type::TEXT)];
            query(
                client.execute_typed(RAISE, &parameters),
                "UPDATE of a low watermark (it must not be above the high one)",
            )
            .await?;
            query(client.batch_execute("COMMIT"), "COMMIT").await?;
        }
        lease.done();
        Ok(rows.len())
    }

    /// The chain that the database is bound to.
    pub(super) async fn stored_genesis_validators_root(&self) -> Result<Option<Root>, PostgresError> {
        let lease = self.pool.lend().await?;
        let rows = query(
            lease
                .client()?
                .query_typed("SELECT genesis_validators_root FROM metadata WHERE id = 1", &[]),
            "SELECT of the genesis root",
        )
        .await?;
        lease.done();
        rows.first()
            .map_or(Ok(None), |row| root(row, "genesis_validators_root"))
    }
}

/// Begins a transaction that excludes every decision about the validator.
pub(super) async fn begin_alone(client: &Client, id: i32) -> Result<(), PostgresError> {
    begin(client).await?;
    lock(client, LOCK_BLOCKS, id).await?;
    lock(client, LOCK_ATTESTATIONS, id).await
}

/// The key of a row of `validators`.
pub(super) fn key_of(row: &tokio_postgres::Row) -> Result<ValidatorKey, PostgresError> {
    let bytes: &[u8] = row
        .try_get("public_key")
        .map_err(|_| row::malformed("public_key"))?;
    Ok(ValidatorKey::from_bytes(
        bytes.try_into().map_err(|_| row::malformed("public_key"))?,
    ))
}

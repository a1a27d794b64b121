//! The complete history as an interchange file: every entry at or above the low watermark, of one moment.

use tokio_postgres::types::Type;

use super::admin::key_of;
use super::row::{root, some_number};
use super::{Postgres, PostgresError, query};
use crate::slashing::interchange::{Interchange, SignedAttestation, SignedBlock};
use crate::slashing::key::ValidatorKey;

/// $1 is a list of keys, or null for all.
const VALIDATORS: &str =
    "SELECT public_key FROM validators WHERE $1::bytea[] IS NULL OR public_key = ANY($1)";

const BLOCKS: &str = "SELECT v.public_key, b.slot::text AS slot, b.signing_root \
    FROM signed_blocks b JOIN validators v ON v.id = b.validator_id \
    LEFT JOIN low_watermarks l ON l.validator_id = v.id \
    WHERE ($1::bytea[] IS NULL OR v.public_key = ANY($1)) AND (l.slot IS NULL OR b.slot >= l.slot) \
    ORDER BY v.id, b.slot";

const VOTES: &str = "SELECT v.public_key, a.source_epoch::text AS source_epoch, \
        a.target_epoch::text AS target_epoch, a.signing_root \
    FROM signed_attestations a JOIN validators v ON v.id = a.validator_id \
    LEFT JOIN low_watermarks l ON l.validator_id = v.id \
    WHERE ($1::bytea[] IS NULL OR v.public_key = ANY($1)) \
        AND (l.target_epoch IS NULL OR (a.target_epoch >= l.target_epoch AND a.source_epoch >= l.source_epoch)) \
    ORDER BY v.id, a.target_epoch";

impl Postgres {
    pub(in crate::slashing) async fn export(
        &self,
        keys: Option<&[ValidatorKey]>,
    ) -> Result<Interchange, PostgresError> {
        let genesis = self.stored_genesis_validators_root().await?;
        let genesis = genesis.or(self.genesis_validators_root).unwrap_or_default();
        let mut interchange = Interchange::empty(genesis);
        let keys: Option<Vec<&[u8]>> =
            keys.map(|keys| keys.iter().map(|key| key.as_bytes().as_slice()).collect());
        let lease = self.pool.lend().await?;
        let client = lease.client()?;
        query(
            client.batch_execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = '10min'",
            ),
            "BEGIN",
        )
        .await?;
        let select =
            async |sql, what| query(client.query_typed(sql, &[(&keys, Type::BYTEA_ARRAY)]), what).await;
        for row in &select(VALIDATORS, "SELECT of validators").await? {
            interchange.validators.entry(key_of(row)?).or_default();
        }
        for row in &select(BLOCKS, "SELECT of blocks").await? {
            let history = interchange.validators.entry(key_of(row)?).or_default();
            history.blocks.push(SignedBlock {
                slot: some_number(row, "slot")?,
                signing_root: root(row, "signing_root")?,
            });
        }
        for row in &select(VOTES, "SELECT of votes").await? {
            let history = interchange.validators.entry(key_of(row)?).or_default();
            history.attestations.push(SignedAttestation {
                source: some_number(row, "source_epoch")?,
                target: some_number(row, "target_epoch")?,
                signing_root: root(row, "signing_root")?,
            });
        }
        query(client.batch_execute("COMMIT"), "COMMIT").await?;
        lease.done();
        Ok(interchange)
    }
}

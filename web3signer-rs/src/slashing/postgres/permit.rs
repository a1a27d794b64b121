//! One decision: one transaction under the validator's lock.
//!
//! ```text
//! BEGIN (read committed) -> advisory lock (kind, validator) -> facts -> judge -> INSERT -> COMMIT -> the signature leaves
//! ```
//!
//! The lock is Web3Signer's own, `pg_advisory_xact_lock(0 for blocks | 1 for attestations, validators.id)`, so that both
//! programs may work on one database at once: each statement after the lock sees all that was committed under it.
//! Should another program write without the lock, the unique constraints still refuse two entries for one slot or target.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};

use super::row::{number, root, some_number};
use super::{DECISION, Postgres, PostgresError, query};
use crate::duty::{Duty, Root, SlashableDuty};
use crate::slashing::key::ValidatorKey;
use crate::slashing::refusal::Refusal;
use crate::slashing::rules::complete::{AttestationFacts, BlockFacts, KnownRoot, Vote};
use crate::slashing::rules::{Rule, Standing, Step};
use crate::slashing::watermark::HighWatermark;

/// First key of the advisory lock of a validator's blocks.
pub(super) const LOCK_BLOCKS: i32 = 0;
/// First key of the advisory lock of a validator's attestations.
pub(super) const LOCK_ATTESTATIONS: i32 = 1;

/// The standing of validator $1 and its floors; one row, or none if it is gone.
const STANDING: &str = "SELECT v.enabled, m.genesis_validators_root, \
        m.high_watermark_epoch::text AS high_epoch, m.high_watermark_slot::text AS high_slot, \
        l.slot::text AS low_slot, l.source_epoch::text AS low_source, l.target_epoch::text AS low_target \
    FROM validators v \
    LEFT JOIN metadata m ON m.id = 1 \
    LEFT JOIN low_watermarks l ON l.validator_id = v.id \
    WHERE v.id = $1";

/// Entries of validator $1 for slot $2.
const SAME_SLOT: &str =
    "SELECT signing_root FROM signed_blocks WHERE validator_id = $1 AND slot = $2::text::numeric";

/// Entries of validator $1 for target $3, around ($2, $3), or inside it; at most one of each of the last two.
const RELATED_VOTES: &str = "SELECT 'same' AS kind, source_epoch::text, target_epoch::text, signing_root \
        FROM signed_attestations WHERE validator_id = $1 AND target_epoch = $3::text::numeric \
    UNION ALL (SELECT 'around', source_epoch::text, target_epoch::text, NULL FROM signed_attestations \
        WHERE validator_id = $1 AND source_epoch < $2::text::numeric AND target_epoch > $3::text::numeric LIMIT 1) \
    UNION ALL (SELECT 'inside', source_epoch::text, target_epoch::text, NULL FROM signed_attestations \
        WHERE validator_id = $1 AND source_epoch > $2::text::numeric AND target_epoch < $3::text::numeric LIMIT 1)";

/// Notes a block, and the floor if there is none.
const INSERT_BLOCK: &str = "WITH floor AS ( \
        INSERT INTO low_watermarks (validator_id, slot) VALUES ($1, $2::text::numeric) \
        ON CONFLICT (validator_id) DO UPDATE SET slot = EXCLUDED.slot WHERE low_watermarks.slot IS NULL) \
    INSERT INTO signed_blocks (validator_id, slot, signing_root) VALUES ($1, $2::text::numeric, $3)";

/// Notes a vote, and the floor if there is none.
const INSERT_VOTE: &str = "WITH floor AS ( \
        INSERT INTO low_watermarks (validator_id, source_epoch, target_epoch) \
        VALUES ($1, $2::text::numeric, $3::text::numeric) \
        ON CONFLICT (validator_id) DO UPDATE \
        SET source_epoch = EXCLUDED.source_epoch, target_epoch = EXCLUDED.target_epoch \
        WHERE low_watermarks.target_epoch IS NULL) \
    INSERT INTO signed_attestations (validator_id, source_epoch, target_epoch, signing_root) \
    VALUES ($1, $2::text::numeric, $3::text::numeric, $4)";

/// Floors and the rest of a row of [`STANDING`].
pub(super) struct Known {
    pub(super) standing: Standing,
    pub(super) low_slot: Option<u64>,
    pub(super) low_vote: Option<Vote>,
}

impl Postgres {
    pub(in crate::slashing) async fn permit(
        &self,
        key: &ValidatorKey,
        asked: &SlashableDuty,
    ) -> Result<(), Refusal> {
        match tokio::time::timeout(DECISION, self.decide(key, asked)).await {
            Ok(decision) => decision,
            Err(_) => Err(PostgresError::Time { what: "a decision" }.into()),
        }
    }

    async fn decide(&self, key: &ValidatorKey, asked: &SlashableDuty) -> Result<(), Refusal> {
        let network = Standing {
            genesis_validators_root: self.genesis_validators_root,
            enabled: true,
            high_watermark: None,
        };
        network.judge(asked).map_err(Refusal::Prevented)?;
        let lease = self.pool.lend().await?;
        let client = lease.client()?;
        let Some(id) = self.id_of(client, key).await? else {
            lease.done();
            return Err(Refusal::UnknownValidator(*key));
        };
        let judged = transact(client, id, key, asked).await;
        match judged {
            Ok(Step::Advance | Step::Repeat) => {
                query(client.batch_execute("COMMIT"), "COMMIT").await?;
                lease.done();
                Ok(())
            }
            Err(Refusal::Prevented(rule)) => {
                // Nothing was written. If the rollback fails, the connection is closed, which comes to the same.
                if client.batch_execute("ROLLBACK").await.is_ok() {
                    lease.done();
                }
                Err(Refusal::Prevented(rule))
            }
            Err(other) => Err(other),
        }
    }
}

/// Everything from BEGIN to before COMMIT.
async fn transact(
    client: &Client,
    id: i32,
    key: &ValidatorKey,
    asked: &SlashableDuty,
) -> Result<Step, Refusal> {
    begin(client).await?;
    let kind = match asked.duty {
        Duty::Block { .. } => LOCK_BLOCKS,
        Duty::Attestation { .. } => LOCK_ATTESTATIONS,
    };
    lock(client, kind, id).await?;
    let known = known(client, id).await?.ok_or(Refusal::UnknownValidator(*key))?;
    known.standing.judge(asked).map_err(Refusal::Prevented)?;
    let step = match asked.duty {
        Duty::Block { slot } => block(client, id, &known, slot, &asked.signing_root).await?,
        Duty::Attestation { source, target } => {
            vote(client, id, &known, Vote { source, target }, &asked.signing_root).await?
        }
    };
    if step == Step::Advance && known.standing.genesis_validators_root.is_none() {
        bind(client, &asked.genesis_validators_root).await?;
    }
    Ok(step)
}

pub(super) async fn begin(client: &Client) -> Result<(), PostgresError> {
    query(
        client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
        "BEGIN",
    )
    .await
}

/// Takes one of the validator's locks until the transaction ends.
pub(super) async fn lock(client: &Client, kind: i32, id: i32) -> Result<(), PostgresError> {
    let keys: [(&(dyn ToSql + Sync), Type); 2] = [(&kind, Type::INT4), (&id, Type::INT4)];
    query(
        client.query_typed("SELECT pg_advisory_xact_lock($1, $2)", &keys),
        "the validator's lock",
    )
    .await
    .map(|_| ())
}

/// The standing of a validator.
pub(super) async fn known(client: &Client, id: i32) -> Result<Option<Known>, PostgresError> {
    let rows = query(
        client.query_typed(STANDING, &[(&id, Type::INT4)]),
        "SELECT of the standing",
    )
    .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let pair = |one, other| match (number(row, one)?, number(row, other)?) {
        (Some(one), Some(other)) => Ok(Some((one, other))),
        (None, None) => Ok(None),
        // The schema sets both or none; half a floor is no floor to rely on.
        _ => Err(super::row::malformed(one)),
    };
    Ok(Some(Known {
        standing: Standing {
            genesis_validators_root: root(row, "genesis_validators_root")?,
            enabled: row
                .try_get("enabled")
                .map_err(|_| super::row::malformed("enabled"))?,
            high_watermark: pair("high_epoch", "high_slot")?
                .map(|(epoch, slot)| HighWatermark { epoch, slot }),
        },
        low_slot: number(row, "low_slot")?,
        low_vote: pair("low_source", "low_target")?.map(|(source, target)| Vote { source, target }),
    }))
}

async fn block(
    client: &Client,
    id: i32,
    known: &Known,
    slot: u64,
    signing_root: &Root,
) -> Result<Step, Refusal> {
    let facts = BlockFacts {
        low_watermark: known.low_slot,
        same_slot: same_slot(client, id, slot).await?,
    };
    let step = facts.judge(slot, signing_root).map_err(Refusal::Prevented)?;
    if step == Step::Advance {
        insert_block(client, id, slot, Some(signing_root))
            .await
            .map_err(|error| conflict(error, Rule::DoubleProposal { slot }))?;
    }
    Ok(step)
}

async fn vote(
    client: &Client,
    id: i32,
    known: &Known,
    asked: Vote,
    signing_root: &Root,
) -> Result<Step, Refusal> {
    let mut facts = related(client, id, asked).await?;
    facts.low_watermark = known.low_vote;
    let step = facts
        .judge(asked.source, asked.target, signing_root)
        .map_err(Refusal::Prevented)?;
    if step == Step::Advance {
        let rule = Rule::DoubleVote {
            target_epoch: asked.target,
        };
        insert_vote(client, id, asked, Some(signing_root))
            .await
            .map_err(|error| conflict(error, rule))?;
    }
    Ok(step)
}

/// What is on record for a slot. Several entries cannot be; if they are, none of them may be repeated.
pub(super) async fn same_slot(
    client: &Client,
    id: i32,
    slot: u64,
) -> Result<Option<KnownRoot>, PostgresError> {
    let slot = slot.to_string();
    let rows = query(
        client.query_typed(SAME_SLOT, &[(&id, Type::INT4), (&slot, Type::TEXT)]),
        "SELECT of blocks",
    )
    .await?;
    let mut same = None;
    for row in &rows {
        same = Some(merged(same, root(row, "signing_root")?));
    }
    Ok(same)
}

/// The entries that matter for a vote; the floor is not among them.
pub(super) async fn related(
    client: &Client,
    id: i32,
    asked: Vote,
) -> Result<AttestationFacts, PostgresError> {
    let (source, target) = (asked.source.to_string(), asked.target.to_string());
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&id, Type::INT4), (&source, Type::TEXT), (&target, Type::TEXT)];
    let rows = query(client.query_typed(RELATED_VOTES, &parameters), "SELECT of votes").await?;
    let mut facts = AttestationFacts::default();
    for row in &rows {
        let entry = Vote {
            source: some_number(row, "source_epoch")?,
            target: some_number(row, "target_epoch")?,
        };
        match row.try_get("kind").map_err(|_| super::row::malformed("kind"))? {
            "same" => facts.same_target = Some(merged(facts.same_target, root(row, "signing_root")?)),
            "around" => facts.surrounding = Some(entry),
            _ => facts.surrounded = Some(entry),
        }
    }
    Ok(facts)
}

fn merged(before: Option<KnownRoot>, root: KnownRoot) -> KnownRoot {
    match before {
        None => root,
        Some(before) => before.filter(|before| root == Some(*before)),
    }
}

pub(super) async fn insert_block(
    client: &Client,
    id: i32,
    slot: u64,
    root: Option<&Root>,
) -> Result<(), tokio_postgres::Error> {
    let (slot, root) = (slot.to_string(), root.map(<[u8; 32]>::as_slice));
    let parameters: [(&(dyn ToSql + Sync), Type); 3] =
        [(&id, Type::INT4), (&slot, Type::TEXT), (&root, Type::BYTEA)];
    client.execute_typed(INSERT_BLOCK, &parameters).await.map(|_| ())
}

pub(super) async fn insert_vote(
    client: &Client,
    id: i32,
    vote: Vote,
    root: Option<&Root>,
) -> Result<(), tokio_postgres::Error> {
    let (source, target) = (vote.source.to_string(), vote.target.to_string());
    let root = root.map(<[u8; 32]>::as_slice);
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&id, Type::INT4),
        (&source, Type::TEXT),
        (&target, Type::TEXT),
        (&root, Type::BYTEA),
    ];
    client.execute_typed(INSERT_VOTE, &parameters).await.map(|_| ())
}

/// A unique constraint that another program's entry broke is a refusal by rule; anything else is the store's failure.
fn conflict(error: tokio_postgres::Error, rule: Rule) -> Refusal {
    if error.code() == Some(&SqlState::UNIQUE_VIOLATION) {
        return Refusal::Prevented(rule);
    }
    PostgresError::Query {
        what: "INSERT",
        source: error,
    }
    .into()
}

/// Binds the database to a chain at its first use. Another signer may do so at the same moment: then its root counts.
pub(super) async fn bind(client: &Client, genesis: &Root) -> Result<(), Refusal> {
    let bytes = genesis.as_slice();
    query(
        client.execute_typed(
            "INSERT INTO metadata (id, genesis_validators_root) VALUES (1, $1) ON CONFLICT (id) DO NOTHING",
            &[(&bytes, Type::BYTEA)],
        ),
        "INSERT of the genesis root",
    )
    .await?;
    let rows = query(
        client.query_typed("SELECT genesis_validators_root FROM metadata WHERE id = 1", &[]),
        "SELECT of the genesis root",
    )
    .await?;
    let stored = match rows.first() {
        Some(row) => root(row, "genesis_validators_root")?,
        None => None,
    };
    match stored {
        Some(stored) if stored == *genesis => Ok(()),
        Some(expected) => Err(Refusal::Prevented(Rule::GenesisValidatorsRoot {
            expected,
            actual: *genesis,
        })),
        None => Err(super::row::malformed("genesis_validators_root").into()),
    }
}

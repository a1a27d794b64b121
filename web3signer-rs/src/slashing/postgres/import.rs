//! Taking over an interchange file: each validator in a transaction of its own, under both of its locks.
//!
//! What cannot be stored beside an entry that is there (another vote for the same target) must not be forgotten: the floor
//! rises to it, so that whatever conflicts with it stays refused. Web3Signer leaves such a validator, or such an entry, out.

use std::collections::BTreeMap;

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::admin::begin_alone;
use super::permit::bind;
use super::row::{root, some_number};
use super::{Postgres, PostgresError, query};
use crate::slashing::interchange::{History, Interchange, SignedAttestation};
use crate::slashing::key::ValidatorKey;
use crate::slashing::observe::chain_of;
use crate::slashing::refusal::{Refusal, StoreError};
use crate::slashing::report::{ImportError, ImportReport};
use crate::slashing::rules::Rule;
use crate::slashing::rules::complete::{KnownRoot, Vote};

const KNOWN_BLOCKS: &str = "SELECT slot::text AS slot, signing_root FROM signed_blocks \
    WHERE validator_id = $1 AND slot = ANY($2::text[]::numeric[])";

const KNOWN_VOTES: &str = "SELECT source_epoch::text AS source_epoch, target_epoch::text AS target_epoch, signing_root \
    FROM signed_attestations WHERE validator_id = $1 AND target_epoch = ANY($2::text[]::numeric[])";

const INSERT_BLOCKS: &str = "INSERT INTO signed_blocks (validator_id, slot, signing_root) \
    SELECT $1, e.slot::numeric, e.root FROM unnest($2::text[], $3::bytea[]) AS e (slot, root)";

const INSERT_VOTES: &str = "INSERT INTO signed_attestations (validator_id, source_epoch, target_epoch, signing_root) \
    SELECT $1, e.source::numeric, e.target::numeric, e.root \
    FROM unnest($2::text[], $3::text[], $4::bytea[]) AS e (source, target, root)";

/// Raises the slot floor of $1 to $2.
const RAISE_SLOT: &str = "INSERT INTO low_watermarks (validator_id, slot) VALUES ($1, $2::text::numeric) \
    ON CONFLICT (validator_id) DO UPDATE SET slot = GREATEST(low_watermarks.slot, EXCLUDED.slot)";

/// Raises the epoch floors of $1 to $2 and $3.
const RAISE_EPOCHS: &str = "INSERT INTO low_watermarks (validator_id, source_epoch, target_epoch) \
    VALUES ($1, $2::text::numeric, $3::text::numeric) \
    ON CONFLICT (validator_id) DO UPDATE SET \
        source_epoch = GREATEST(low_watermarks.source_epoch, EXCLUDED.source_epoch), \
        target_epoch = GREATEST(low_watermarks.target_epoch, EXCLUDED.target_epoch)";

impl Postgres {
    pub(in crate::slashing) async fn import(
        &self,
        interchange: &Interchange,
    ) -> Result<ImportReport, ImportError> {
        let actual = interchange.genesis_validators_root;
        if let Some(expected) = self.genesis_validators_root
            && expected != actual
        {
            return Err(ImportError::GenesisValidatorsRoot { expected, actual });
        }
        self.bind_to(interchange).await?;
        let keys: Vec<_> = interchange.validators.keys().copied().collect();
        self.register(&keys).await.map_err(StoreError::from)?;
        let mut report = ImportReport::default();
        for (key, history) in &interchange.validators {
            let mut warnings = Vec::new();
            match self.import_validator(key, history, &mut warnings).await {
                Ok(()) => {
                    report.imported.insert(*key);
                    report.warnings.append(&mut warnings);
                }
                // One that the database refuses (its high watermark, say) is left out; a lost connection ends the import.
                Err(error @ PostgresError::Query { .. }) => report.skipped.push((*key, chain_of(&error))),
                Err(error) => return Err(StoreError::from(error).into()),
            }
        }
        Ok(report)
    }

    async fn bind_to(&self, interchange: &Interchange) -> Result<(), ImportError> {
        let lease = self.pool.lend().await.map_err(StoreError::from)?;
        let client = lease.client().map_err(StoreError::from)?;
        let bound = bind(client, &interchange.genesis_validators_root).await;
        lease.done();
        match bound {
            Ok(()) => Ok(()),
            Err(Refusal::Prevented(Rule::GenesisValidatorsRoot { expected, actual })) => {
                Err(ImportError::GenesisValidatorsRoot { expected, actual })
            }
            Err(Refusal::Store(error)) => Err(error.into()),
            Err(_) => Err(StoreError::from(super::row::malformed("genesis_validators_root")).into()),
        }
    }

    async fn import_validator(
        &self,
        key: &ValidatorKey,
        history: &History,
        warnings: &mut Vec<String>,
    ) -> Result<(), PostgresError> {
        let lease = self.pool.lend().await?;
        let client = lease.client()?;
        let id = self
            .id_of(client, key)
            .await?
            .ok_or_else(|| super::row::malformed("public_key"))?;
        begin_alone(client, id).await?;
        query(
            client.batch_execute("SET LOCAL statement_timeout = '10min'"),
            "SET",
        )
        .await?;
        import_blocks(client, id, history).await?;
        import_votes(client, id, key, history, warnings).await?;
        query(client.batch_execute("COMMIT"), "COMMIT").await?;
        lease.done();
        Ok(())
    }
}

async fn import_blocks(client: &Client, id: i32, history: &History) -> Result<(), PostgresError> {
    // Of two blocks of one slot in the file, neither root may be signed again.
    let mut entries: BTreeMap<u64, KnownRoot> = BTreeMap::new();
    for block in &history.blocks {
        entries
            .entry(block.slot)
            .and_modify(|root| *root = root.filter(|root| block.signing_root == Some(*root)))
            .or_insert(block.signing_root);
    }
    let slots: Vec<String> = entries.keys().map(ToString::to_string).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT4), (&slots, Type::TEXT_ARRAY)];
    let known = query(client.query_typed(KNOWN_BLOCKS, &parameters), "SELECT of blocks").await?;
    for row in &known {
        // On record: refused for every root but its own, which is all that the entry could add.
        entries.remove(&some_number(row, "slot")?);
    }
    let Some((lowest, _)) = entries.first_key_value() else {
        return Ok(());
    };
    let lowest = lowest.to_string();
    let slots: Vec<String> = entries.keys().map(ToString::to_string).collect();
    let roots: Vec<Option<&[u8]>> = entries
        .values()
        .map(|root| root.as_ref().map(<[u8; 32]>::as_slice))
        .collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
        (&id, Type::INT4),
        (&slots, Type::TEXT_ARRAY),
        (&roots, Type::BYTEA_ARRAY),
    ];
    query(
        client.execute_typed(INSERT_BLOCKS, &parameters),
        "INSERT of blocks",
    )
    .await?;
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT4), (&lowest, Type::TEXT)];
    query(
        client.execute_typed(RAISE_SLOT, &parameters),
        "UPDATE of the low watermark",
    )
    .await?;
    Ok(())
}

async fn import_votes(
    client: &Client,
    id: i32,
    key: &ValidatorKey,
    history: &History,
    warnings: &mut Vec<String>,
) -> Result<(), PostgresError> {
    let mut votes = Votes::default();
    for vote in &history.attestations {
        if vote.source > vote.target {
            warnings.push(format!(
                "{key}: the file has a vote with source {} after target {}",
                vote.source, vote.target
            ));
        }
        votes.add(vote);
    }
    let targets = votes.targets();
    let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&id, Type::INT4), (&targets, Type::TEXT_ARRAY)];
    let known = query(client.query_typed(KNOWN_VOTES, &parameters), "SELECT of votes").await?;
    for row in &known {
        votes.is_known(&SignedAttestation {
            source: some_number(row, "source_epoch")?,
            target: some_number(row, "target_epoch")?,
            signing_root: root(row, "signing_root")?,
        });
    }
    if let Some(vote) = votes.surround() {
        warnings.push(format!(
            "{key}: the file has a vote around the one from {} to {}: the validator signed a slashable vote",
            vote.source, vote.target
        ));
    }
    let sources: Vec<String> = votes
        .entries
        .values()
        .map(|(source, _)| source.to_string())
        .collect();
    let roots: Vec<Option<&[u8]>> = votes
        .entries
        .values()
        .map(|(_, root)| root.as_ref().map(<[u8; 32]>::as_slice))
        .collect();
    let targets = votes.targets();
    let parameters: [(&(dyn ToSql + Sync), Type); 4] = [
        (&id, Type::INT4),
        (&sources, Type::TEXT_ARRAY),
        (&targets, Type::TEXT_ARRAY),
        (&roots, Type::BYTEA_ARRAY),
    ];
    query(client.execute_typed(INSERT_VOTES, &parameters), "INSERT of votes").await?;
    if let Some(floor) = votes.floor() {
        let (source, target) = (floor.source.to_string(), floor.target.to_string());
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&id, Type::INT4), (&source, Type::TEXT), (&target, Type::TEXT)];
        query(
            client.execute_typed(RAISE_EPOCHS, &parameters),
            "UPDATE of the low watermark",
        )
        .await?;
    }
    Ok(())
}

/// The votes of a file that are to be stored, and the floor that stands for those that cannot be.
#[derive(Default)]
struct Votes {
    /// By target: source and root.
    entries: BTreeMap<u64, (u64, KnownRoot)>,
    /// Source and target of what has no place.
    without_place: Option<Vote>,
}

impl Votes {
    fn add(&mut self, vote: &SignedAttestation) {
        match self.entries.get_mut(&vote.target) {
            None => {
                self.entries.insert(vote.target, (vote.source, vote.signing_root));
            }
            Some((source, root)) => {
                let (source, same) = (*source, *root == vote.signing_root);
                if !same {
                    *root = None;
                }
                if source != vote.source {
                    self.cover(vote);
                }
            }
        }
    }

    /// An entry for the target of `stored` is on record.
    fn is_known(&mut self, stored: &SignedAttestation) {
        if let Some((source, signing_root)) = self.entries.remove(&stored.target)
            && source != stored.source
        {
            self.cover(&SignedAttestation {
                source,
                target: stored.target,
                signing_root,
            });
        }
    }

    /// No vote below this floor is signed: none that surrounds `vote`, none inside it.
    fn cover(&mut self, vote: &SignedAttestation) {
        let floor = self.without_place.get_or_insert(Vote {
            source: vote.source,
            target: vote.target,
        });
        floor.source = floor.source.max(vote.source);
        floor.target = floor.target.max(vote.target);
    }

    fn targets(&self) -> Vec<String> {
        self.entries.keys().map(ToString::to_string).collect()
    }

    /// The lowest of what is stored, and what has no place.
    fn floor(&self) -> Option<Vote> {
        let lowest = self
            .entries
            .iter()
            .fold(None, |floor: Option<Vote>, (target, (source, _))| {
                Some(Vote {
                    source: floor.map_or(*source, |floor| floor.source.min(*source)),
                    target: floor.map_or(*target, |floor| floor.target.min(*target)),
                })
            });
        match (lowest, self.without_place) {
            (Some(one), Some(other)) => Some(Vote {
                source: one.source.max(other.source),
                target: one.target.max(other.target),
            }),
            (one, other) => one.or(other),
        }
    }

    /// Some vote of the file that another of it surrounds.
    fn surround(&self) -> Option<Vote> {
        // In order of the target, downwards: a source above the lowest of those with a higher target lies inside.
        let mut lowest = u64::MAX;
        for (target, (source, _)) in self.entries.iter().rev() {
            if *source > lowest {
                return Some(Vote {
                    source: *source,
                    target: *target,
                });
            }
            lowest = lowest.min(*source);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn vote(source: u64, target: u64, root: Option<u8>) -> SignedAttestation {
        SignedAttestation {
            source,
            target,
            signing_root: match root {
                Some(byte) => Some([byte; 32]),
                None => None,
            },
        }
    }

    #[test]
    fn what_has_no_place_raises_the_floor() {
        let mut votes = Votes::default();
        votes.add(&vote(5, 10, Some(1)));
        assert_eq!(
            votes.floor(),
            Some(Vote {
                source: 5,
                target: 10
            })
        );
        votes.add(&vote(5, 10, Some(2)));
        assert_eq!(votes.entries[&10], (5, None), "neither root is signed again");
        assert_eq!(
            votes.floor(),
            Some(Vote {
                source: 5,
                target: 10
            })
        );
        votes.add(&vote(3, 20, Some(1)));
        votes.add(&vote(7, 20, Some(2)));
        assert_eq!(
            votes.floor(),
            Some(Vote {
                source: 7,
                target: 20
            })
        );

        let mut votes = Votes::default();
        votes.add(&vote(5, 10, Some(1)));
        votes.is_known(&vote(5, 10, Some(2)));
        assert_eq!(votes.floor(), None);
        votes.add(&vote(2, 11, Some(1)));
        votes.is_known(&vote(4, 11, Some(2)));
        assert_eq!(
            votes.floor(),
            Some(Vote {
                source: 2,
                target: 11
            })
        );
    }

    #[test]
    fn a_surround_in_the_file_is_seen() {
        let table: [(&[(u64, u64)], bool); 5] = [
            (&[(1, 2), (2, 3), (3, 4)], false),
            (&[(1, 2), (1, 3), (1, 4)], false),
            (&[(2, 3), (1, 4)], true),
            (&[(1, 9), (8, 10), (5, 6)], true),
            (&[(0, 1), (5, 5), (4, 6)], true),
        ];
        for (list, expected) in table {
            let mut votes = Votes::default();
            for (source, target) in list {
                votes.add(&vote(*source, *target, None));
            }
            assert_eq!(votes.surround().is_some(), expected, "{list:?}");
        }
    }
}

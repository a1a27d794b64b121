//! Slashing protection in PostgreSQL.

/// Why PostgreSQL failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {}

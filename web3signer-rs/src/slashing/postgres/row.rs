//! Values of the schema: numbers that do not fit the database's integers, and roots.

use tokio_postgres::Row;

use super::PostgresError;
use crate::duty::Root;

/// A column that holds a number of at most 64 bits, selected as text: exact, unlike any float.
pub(super) fn number(row: &Row, column: &'static str) -> Result<Option<u64>, PostgresError> {
    let text: Option<&str> = row.try_get(column).map_err(|_| malformed(column))?;
    text.map(|digits| digits.parse().map_err(|_| malformed(column)))
        .transpose()
}

/// As [`number`], and never null.
pub(super) fn some_number(row: &Row, column: &'static str) -> Result<u64, PostgresError> {
    number(row, column)?.ok_or_else(|| malformed(column))
}

/// A column that holds 32 bytes.
pub(super) fn root(row: &Row, column: &'static str) -> Result<Option<Root>, PostgresError> {
    let bytes: Option<&[u8]> = row.try_get(column).map_err(|_| malformed(column))?;
    bytes
        .map(|bytes| bytes.try_into().map_err(|_| malformed(column)))
        .transpose()
}

pub(super) fn malformed(column: &'static str) -> PostgresError {
    PostgresError::Malformed { column }
}

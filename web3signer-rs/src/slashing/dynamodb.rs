//! Slashing protection in Amazon DynamoDB.

/// Why DynamoDB failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DynamoDbError {}

//! The full name of a table, and the one host that is asked about it.
//!
//! The SDK would send a table that is named by ARN to a host name with the account's number in it, unless that mode is
//! off. Which host is reached must not depend on such rules (the allow-list of the parent's proxy names it), so it is
//! computed here.

use std::fmt;
use std::str::FromStr;

/// The ARN of a DynamoDB table: `arn:aws:dynamodb:eu-central-1:123456789012:table/slashing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableArn {
    text: String,
    region: String,
    domain: &'static str,
}

/// The text names no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not the full ARN of a DynamoDB table (arn:aws:dynamodb:REGION:ACCOUNT:table/NAME)")]
pub struct TableArnError {
    /// The text.
    pub found: String,
}

impl TableArn {
    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The regional endpoint, the same for every account.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://dynamodb.{}.{}", self.region, self.domain)
    }
}

impl fmt::Display for TableArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for TableArn {
    type Err = TableArnError;

    fn from_str(text: &str) -> Result<Self, TableArnError> {
        parse(text).ok_or_else(|| TableArnError {
            found: text.to_owned(),
        })
    }
}

fn parse(text: &str) -> Option<TableArn> {
    let mut parts = text.split(':');
    let mut next = || parts.next();
    let (arn, partition, service) = (next()?, next()?, next()?);
    let (region, account, resource) = (next()?, next()?, next()?);
    if arn != "arn" || service != "dynamodb" || next().is_some() {
        return None;
    }
    let domain = match partition {
        "aws" | "aws-us-gov" => "amazonaws.com",
        "aws-cn" => "amazonaws.com.cn",
        _ => return None,
    };
    let is_region = (1..=32).contains(&region.len())
        && region
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let name = resource.strip_prefix("table/")?;
    let is_name = (3..=255).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    (is_region && is_account && is_name).then(|| TableArn {
        text: text.to_owned(),
        region: region.to_owned(),
        domain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_regions_and_has_no_account() {
        let table = [
            (
                "arn:aws:dynamodb:eu-central-1:123456789012:table/slashing",
                "https://dynamodb.eu-central-1.amazonaws.com",
            ),
            (
                "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/a.b-C_9",
                "https://dynamodb.cn-north-1.amazonaws.com.cn",
            ),
            (
                "arn:aws-us-gov:dynamodb:us-gov-west-1:123456789012:table/abc",
                "https://dynamodb.us-gov-west-1.amazonaws.com",
            ),
        ];
        for (arn, endpoint) in table {
            let arn: TableArn = arn.parse().unwrap();
            assert_eq!(arn.endpoint(), endpoint);
        }
    }

    #[test]
    fn only_full_names_of_tables_are_read() {
        let bad = [
            "",
            "slashing",
            "arn:aws:dynamodb:eu-central-1:123456789012:table/",
            "arn:aws:dynamodb:eu-central-1:123456789012:table/ab",
            "arn:aws:dynamodb:eu-central-1:123456789012:table/slashing/index/x",
            "arn:aws:dynamodb:eu-central-1:123456789012:table/slashing:x",
            "arn:aws:dynamodb:eu-central-1:12345678901:table/slashing",
            "arn:aws:dynamodb:eu-central-1::table/slashing",
            "arn:aws:dynamodb::123456789012:table/slashing",
            "arn:aws:dynamodb:evil.example/:123456789012:table/slashing",
            "arn:aws:s3:eu-central-1:123456789012:table/slashing",
            "arn:aws-iso:dynamodb:us-iso-east-1:123456789012:table/slashing",
            " arn:aws:dynamodb:eu-central-1:123456789012:table/slashing",
        ];
        for bad in bad {
            assert!(bad.parse::<TableArn>().is_err(), "{bad}");
        }
    }
}

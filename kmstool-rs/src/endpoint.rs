//! Where KMS of a region is: the one host name that TLS verifies, SNI says and the signature covers.
//!
//! No name is looked up here: the connection goes to the parent's proxy, whatever the name. There is no way to make an
//! endpoint of an arbitrary host: a name that is not AWS's own could be served by anyone with a certificate for it.

use std::fmt;

/// Why there is no such endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Not the form of a region name.
    #[error("{0:?} is not a region name (lower-case letters, digits and hyphens, at most 32)")]
    Region(String),
    /// Not the name of a KMS interface endpoint in the region.
    #[error("{name:?} is not a VPC endpoint of KMS: expected vpce-….{expected}")]
    Vpc {
        /// The name given.
        name: String,
        /// How it must end, after the endpoint's own label.
        expected: String,
    },
}

/// A region's name, such as `eu-central-1`. Any name of the right form: AWS adds regions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(String);

impl Region {
    /// Checks the form.
    ///
    /// # Errors
    /// [`EndpointError::Region`].
    pub fn new(name: &str) -> Result<Self, EndpointError> {
        let form = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let good = (1..=32).contains(&name.len())
            && name.bytes().all(form)
            && !name.starts_with('-')
            && !name.ends_with('-');
        if good {
            Ok(Self(name.to_owned()))
        } else {
            Err(EndpointError::Region(name.to_owned()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Domain of the partition. Source: aws-nitro-enclaves-sdk-c, `source/kms.c`.
    fn domain(&self) -> &'static str {
        const DOMAINS: [(&str, &str); 6] = [
            ("cn-", "amazonaws.com.cn"),
            ("eusc-", "amazonaws.eu"),
            ("us-iso-", "c2s.ic.gov"),
            ("us-isob-", "sc2s.sgov.gov"),
            ("eu-isoe-", "cloud.adc-e.uk"),
            ("us-isof-", "csp.hci.ic.gov"),
        ];
        DOMAINS
            .iter()
            .find(|(prefix, _)| self.0.starts_with(prefix))
            .map_or("amazonaws.com", |(_, domain)| domain)
    }
}

/// A KMS endpoint: a host name (port 443 is implied) and the region that signatures are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    region: Region,
    host: String,
}

impl Endpoint {
    /// The region's public endpoint.
    #[must_use]
    pub fn standard(region: Region) -> Self {
        let host = format!("kms.{}.{}", region.0, region.domain());
        Self { region, host }
    }

    /// The region's endpoint with FIPS 140 validated cryptography on the AWS side.
    #[must_use]
    pub fn fips(region: Region) -> Self {
        let host = format!("kms-fips.{}.{}", region.0, region.domain());
        Self { region, host }
    }

    /// An interface endpoint in a VPC, by its DNS name: `vpce-ID[-ZONE].kms.REGION.vpce.DOMAIN`, or with `kms-fips`.
    ///
    /// # Errors
    /// [`EndpointError::Vpc`].
    pub fn vpc(region: Region, name: &str) -> Result<Self, EndpointError> {
        let expected = format!("kms.{}.vpce.{}", region.0, region.domain());
        let label = name.split_once('.').and_then(|(label, rest)| {
            let known = rest == expected
                || rest
                    .strip_prefix("kms-fips")
                    .is_some_and(|tail| expected.strip_prefix("kms") == Some(tail));
            known.then_some(label)
        });
        let form = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match label {
            Some(label) if label.starts_with("vpce-") && label.len() <= 63 && label.bytes().all(form) => {
                Ok(Self {
                    region,
                    host: name.to_owned(),
                })
            }
            _ => Err(EndpointError::Vpc {
                name: name.to_owned(),
                expected,
            }),
        }
    }

    /// The host name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The region that signatures are made for.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        Region::new(name).unwrap()
    }

    #[test]
    fn partitions() {
        for (name, host) in [
            ("us-east-1", "kms.us-east-1.amazonaws.com"),
            ("us-gov-west-1", "kms.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "kms.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "kms.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", "kms.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "kms.us-isob-east-1.sc2s.sgov.gov"),
            ("eu-isoe-west-1", "kms.eu-isoe-west-1.cloud.adc-e.uk"),
            ("us-isof-south-1", "kms.us-isof-south-1.csp.hci.ic.gov"),
        ] {
            assert_eq!(Endpoint::standard(region(name)).host(), host);
        }
        let fips = Endpoint::fips(region("us-gov-east-1"));
        assert_eq!(
            (fips.host(), fips.region().as_str()),
            ("kms-fips.us-gov-east-1.amazonaws.com", "us-gov-east-1")
        );
    }

    #[test]
    fn region_names() {
        for name in [
            "",
            "-",
            "us-east-1-",
            "US-EAST-1",
            "us_east_1",
            "us-east-1.evil.example",
            "a/b",
            &"a".repeat(33),
        ] {
            assert_eq!(Region::new(name), Err(EndpointError::Region(name.to_owned())));
        }
    }

    #[test]
    fn vpc_names() {
        for name in [
            "vpce-0123456789abcdef0-abcdefgh.kms.us-east-1.vpce.amazonaws.com",
            "vpce-0123456789abcdef0-abcdefgh-us-east-1a.kms.us-east-1.vpce.amazonaws.com",
            "vpce-0123456789abcdef0-abcdefgh.kms-fips.us-east-1.vpce.amazonaws.com",
        ] {
            assert_eq!(Endpoint::vpc(region("us-east-1"), name).unwrap().host(), name);
        }
        for name in [
            "",
            "evil.example",
            "vpce-1.evil.example",
            "vpce-1.kms.us-west-2.vpce.amazonaws.com",
            "vpce-1.kms.us-east-1.vpce.amazonaws.com.evil.example",
            "vpce-1.kms.us-east-1.vpce.amazonaws.com.cn",
            "vpce-1.s3.us-east-1.vpce.amazonaws.com",
            "x.vpce-1.kms.us-east-1.vpce.amazonaws.com",
            "vpce-a/b.kms.us-east-1.vpce.amazonaws.com",
        ] {
            assert!(
                matches!(
                    Endpoint::vpc(region("us-east-1"), name),
                    Err(EndpointError::Vpc { .. })
                ),
                "{name}"
            );
        }
    }
}

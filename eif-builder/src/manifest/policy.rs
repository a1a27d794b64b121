//! From `[trust]`, `[deployment]` and `[signer]` of the manifest to the image policy that the agent and `provision` read.
//!
//! Absent keys are safe. What weakens trust is named by [`control::policy::Trust::weakened`]; `eif-builder build` says it loudly.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use control::config::DeploymentConfig;
use control::policy::{self, Distribution, ImagePolicy, Signer, Trust, Users};
use control::text::DerText;
use services::Table;

use super::raw::{RawDistribution, RawManifest, RawSigner, RawTrust};
use super::{Fault, read_bounded, source_path, value};

/// Service whose user is the signer's. `provision` must have the same.
const SIGNER: &str = "signer";
/// The one-shot that decrypts.
const PROVISION: &str = "provision";

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The policy of an image that has an agent: the service with the request channel. Another image must not say anything about
/// trust, because nobody would read it.
pub(super) fn build(raw: &RawManifest, table: &Table, folder: &Path) -> Result<Option<ImagePolicy>, Fault> {
    let user = |name: &str| {
        let mut named = table.services.iter().filter(|service| service.name == name);
        named.next().map(|service| service.uid)
    };
    let Some(agent) = table.services.iter().find(|service| service.channel) else {
        return if raw.trust.is_none() && raw.deployment.is_none() && raw.signer.is_none() {
            Ok(None)
        } else {
            let expected = "no [trust], [deployment] or [signer] where no service has `channel = true`";
            Err(value("service.channel", "false", expected))
        };
    };
    let (signer, provision) = (user(SIGNER), user(PROVISION));
    if let (Some(signer), Some(provision)) = (signer, provision)
        && signer != provision
    {
        return Err(value(
            "service provision: user",
            &provision.to_string(),
            "the user of the service `signer`",
        ));
    }
    let policy = ImagePolicy {
        schema: policy::SCHEMA,
        trust: trust(raw.trust.as_ref(), folder)?,
        deployment: deployment(raw)?,
        signer: raw.signer.as_ref().map(settings).unwrap_or_default(),
        users: Users {
            agent: agent.uid,
            signer: signer.or(provision),
        },
    };
    policy.check()?;
    Ok(Some(policy))
}

fn trust(raw: Option<&RawTrust>, folder: &Path) -> Result<Trust, Fault> {
    let Some(raw) = raw else {
        return Ok(Trust::default());
    };
    let kms_ca = match &raw.kms_ca {
        None => Vec::new(),
        Some(source) => {
            let path = folder.join(source_path("trust.kms_ca", source)?);
            certificates(&read_bounded(&path)?).ok_or_else(|| {
                value(
                    "trust.kms_ca",
                    source,
                    "a PEM file with 1 to 4 certificates and nothing else",
                )
            })?
        }
    };
    Ok(Trust {
        allow_any_client: raw.allow_any_client,
        memory_slashing: raw.memory_slashing,
        legacy_no_context: raw.legacy_no_context,
        kms_ca,
    })
}

fn deployment(raw: &RawManifest) -> Result<Option<Box<DeploymentConfig>>, Fault> {
    let config = raw.deployment.clone().map(DeploymentConfig::try_from);
    Ok(config.transpose()?.map(Box::new))
}

fn settings(raw: &RawSigner) -> Signer {
    let default = Signer::default();
    Signer {
        distribution: match raw.distribution {
            RawDistribution::Native => Distribution::Native,
            RawDistribution::Consensys => Distribution::Consensys,
        },
        start_within_s: raw.start_within_s.unwrap_or(default.start_within_s),
        upcheck_every_s: raw.upcheck_every_s.unwrap_or(default.upcheck_every_s),
        upcheck_within_s: raw.upcheck_within_s.unwrap_or(default.upcheck_within_s),
    }
}

/// The certificates of a PEM text; `None` when there is anything else in it, or none, or too many.
fn certificates(text: &str) -> Option<Vec<DerText>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (body, after) = rest.strip_prefix(BEGIN)?.split_once(END)?;
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        // The exact form: one certificate has one text in the policy.
        let der = STANDARD.decode(&body).ok()?;
        found.push(DerText::try_from(STANDARD.encode(der)).ok()?);
        rest = after.trim_start();
    }
    (1..=policy::MAX_KMS_CAS).contains(&found.len()).then_some(found)
}

//! What an auditor reads: each check with its outcome, what was not asked, and what the document says.
//!
//! Text of the document is foreign: control characters in it are escaped before they reach a terminal.

use core::error::Error;
use core::fmt;

use ::attest::chain::unverified_certs;
use ::attest::{
    AWS_ROOT_SHA256, Claims, Moment, PcrSet, Policy, Step, TrustRoot, UnverifiedDoc, VerifiedDoc, VerifyError,
};
use serde::{Serialize, Serializer};

use super::{EXIT_REFUSED, VerifyParameters};
use crate::verdict::Outcome;

/// The steps of a verification, in their order, with what holds when one is passed.
const STEPS: [(Step, &str); 5] = [
    (
        Step::Envelope,
        "one COSE_Sign1 with ES384 and nothing unprotected; at most 16 KiB, no bytes left over",
    ),
    (
        Step::Payload,
        "every mandatory field is there, each within AWS's limits; no unknown or repeated key",
    ),
    (
        Step::Chain,
        "each certificate is signed by the one before, may do so, and is valid",
    ),
    (
        Step::Signature,
        "the payload is signed by the key of the last certificate",
    ),
    (Step::Policy, "the document says what was demanded"),
];

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `envelope`, `payload`, `chain`, `signature` or `policy`.
    pub step: String,
    /// How it went.
    pub outcome: Outcome,
    /// What holds, or why it does not.
    pub detail: String,
}

/// The verdict on a document. `Display` is the text for people, `Serialize` the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether every check holds.
    pub verified: bool,
    /// SHA-256 of the trust root, hex.
    pub root_sha256: String,
    /// The instant of the verification, or `document`.
    pub at: String,
    /// All checks in their order.
    pub checks: Vec<Check>,
    /// What a verified document still does not prove, given what was demanded.
    pub caveats: Vec<String>,
    /// What the document says, when it is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimsView>,
    /// What a refused document says, if it can be read at all: true or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified_claims: Option<ClaimsView>,
}

impl Report {
    pub(super) fn new(
        document: &[u8],
        root: &TrustRoot,
        moment: Moment,
        parameters: &VerifyParameters,
        policy: &Policy,
        result: Result<&VerifiedDoc<'_>, &VerifyError>,
    ) -> Self {
        let unverified = UnverifiedDoc::parse(document).ok();
        let view = unverified
            .as_ref()
            .map(|doc| ClaimsView::new(doc.unverified_claims()));
        let (claims, unverified_claims) = match result {
            Ok(verified) => (Some(ClaimsView::new(verified.claims())), None),
            Err(_) => (None, view),
        };
        let debug = result.is_ok_and(|verified| verified.claims().is_debug());
        Self {
            verified: result.is_ok(),
            root_sha256: hex::encode(root.sha256()),
            at: match moment {
                Moment::Now(at) => at.to_string(),
                Moment::OfDocument => "document".into(),
            },
            checks: checks(result.err(), parameters, policy),
            caveats: caveats(root, moment, parameters, debug),
            claims,
            unverified_claims,
        }
    }

    /// 0 when verified, else [`EXIT_REFUSED`].
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if self.verified { 0 } else { EXIT_REFUSED }
    }
}

fn checks(error: Option<&VerifyError>, parameters: &VerifyParameters, policy: &Policy) -> Vec<Check> {
    let failed = error.map(VerifyError::step);
    let check = |(step, holds): (Step, &str)| {
        let (outcome, detail) = match (failed, error) {
            (Some(failed), Some(error)) if step == failed => (Outcome::Failed, causes(error)),
            (Some(failed), _) if step > failed => (Outcome::NotReached, String::new()),
            _ if step == Step::Policy => (Outcome::Ok, demands(parameters, policy)),
            _ => (Outcome::Ok, holds.to_owned()),
        };
        Check {
            step: step.to_string(),
            outcome,
            detail,
        }
    };
    STEPS.into_iter().map(check).collect()
}

/// What was demanded, all of which holds.
fn demands(parameters: &VerifyParameters, policy: &Policy) -> String {
    let mut parts = Vec::new();
    if !parameters.danger_admit_debug {
        parts.push("not in debug mode".to_owned());
    }
    for (index, _) in policy.expected_pcrs().iter() {
        parts.push(format!("PCR{index} as expected"));
    }
    if parameters.nonce.is_some() {
        parts.push("nonce as expected".to_owned());
    }
    if let Some(max_age) = &parameters.max_age {
        parts.push(format!("at most {max_age} old"));
    }
    if parts.is_empty() {
        "nothing was demanded".to_owned()
    } else {
        parts.join("; ")
    }
}

fn caveats(root: &TrustRoot, moment: Moment, parameters: &VerifyParameters, debug: bool) -> Vec<String> {
    let no_freshness = parameters.nonce.is_none() && parameters.max_age.is_none();
    [
        (
            debug,
            "DEBUG MODE: the instance can read this enclave's memory and console",
        ),
        (
            root.sha256() != AWS_ROOT_SHA256,
            "the trust root is not the AWS Nitro root: AWS did not sign this",
        ),
        (
            parameters.pcrs.is_none(),
            "no measurements were demanded (--pcrs): any image passes",
        ),
        (
            moment == Moment::OfDocument,
            "judged at its own timestamp: genuine then, nothing said about now",
        ),
        (
            no_freshness,
            "no nonce and no age were demanded (--nonce, --max-age): it may be a replay",
        ),
    ]
    .into_iter()
    .filter(|(applies, _)| *applies)
    .map(|(_, text)| text.to_owned())
    .collect()
}

/// An error and its causes in one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let chain = core::iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.verified { "VERIFIED" } else { "REFUSED" })?;
        writeln!(f, "  at    {}", self.at)?;
        writeln!(f, "  root  SHA-256 {}", self.root_sha256)?;
        writeln!(f, "checks")?;
        for check in &self.checks {
            let outcome = match check.outcome {
                Outcome::Ok => "ok",
                Outcome::Failed => "FAILED",
                Outcome::NotReached => "not reached",
            };
            let line = format!("  {:<10} {outcome:<12} {}", check.step, check.detail);
            writeln!(f, "{}", line.trim_end())?;
        }
        if self.verified && !self.caveats.is_empty() {
            writeln!(f, "not proven")?;
            for caveat in &self.caveats {
                writeln!(f, "  {caveat}")?;
            }
        }
        if let Some(claims) = &self.claims {
            writeln!(f, "claims (proven by the signature)")?;
            write!(f, "{claims}")?;
        }
        if let Some(claims) = &self.unverified_claims {
            writeln!(f, "claims (NOT VERIFIED, anyone can write these)")?;
            write!(f, "{claims}")?;
        }
        Ok(())
    }
}

/// What a document says. Whether it is true stands elsewhere: in [`Report::verified`].
#[derive(Clone, Debug, Serialize)]
pub struct ClaimsView {
    module_id: String,
    timestamp: String,
    timestamp_ms: u64,
    debug: bool,
    #[serde(serialize_with = "named_pcrs")]
    pcrs: PcrSet,
    public_key: Option<String>,
    user_data: Option<String>,
    nonce: Option<String>,
    certificates: Vec<CertView>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum CertView {
    Readable {
        position: String,
        subject: String,
        not_before: String,
        not_after: String,
    },
    Unreadable {
        error: String,
    },
}

fn named_pcrs<S: Serializer>(pcrs: &PcrSet, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        pcrs.iter()
            .map(|(index, pcr)| (format!("PCR{index}"), pcr.to_string())),
    )
}

impl ClaimsView {
    pub(super) fn new(claims: &Claims<'_>) -> Self {
        let certificates = unverified_certs(claims).map(|cert| match cert {
            Ok(cert) => CertView::Readable {
                position: cert.position.to_string(),
                subject: cert.subject,
                not_before: cert.not_before.to_string(),
                not_after: cert.not_after.to_string(),
            },
            Err(error) => CertView::Unreadable {
                error: causes(&error),
            },
        });
        Self {
            module_id: claims.module_id.to_owned(),
            timestamp: claims.timestamp.to_string(),
            timestamp_ms: claims.timestamp.as_millis(),
            debug: claims.is_debug(),
            pcrs: claims.pcrs.clone(),
            public_key: claims.public_key.map(hex::encode),
            user_data: claims.user_data.map(hex::encode),
            nonce: claims.nonce.map(hex::encode),
            certificates: certificates.collect(),
        }
    }
}

impl fmt::Display for ClaimsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.debug {
            "DEBUG (PCR0, PCR1 or PCR2 is zero)"
        } else {
            "production"
        };
        writeln!(f, "  module id    {}", self.module_id.escape_debug())?;
        writeln!(f, "  made at      {}", self.timestamp)?;
        writeln!(f, "  mode         {mode}")?;
        for (name, value) in [
            ("public key", &self.public_key),
            ("user data", &self.user_data),
            ("nonce", &self.nonce),
        ] {
            writeln!(f, "  {name:<12} {}", value.as_deref().unwrap_or("absent"))?;
        }
        for (index, pcr) in self.pcrs.iter() {
            // Most reserved PCRs are zero; that line says it shorter.
            let text = if pcr.is_zero() {
                "zero".to_owned()
            } else {
                pcr.to_string()
            };
            writeln!(f, "  {:<12} {text}", format!("PCR{index}"))?;
        }
        for certificate in &self.certificates {
            match certificate {
                CertView::Readable {
                    position,
                    subject,
                    not_before,
                    not_after,
                } => {
                    let subject = subject.escape_debug();
                    writeln!(f, "  {position:<12} {subject}, {not_before} to {not_after}")?;
                }
                CertView::Unreadable { error } => writeln!(f, "  unreadable   {}", error.escape_debug())?,
            }
        }
        Ok(())
    }
}

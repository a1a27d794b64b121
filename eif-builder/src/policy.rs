//! The `policy` command: from measurements and names to the text of a KMS key policy.
//!
//! It turns text into the types of [`kms_policy`], where every rule about the policy itself is. It
//! parses no command line and touches no file.
//!
//! Without any name it gives a [`PolicyText::Template`]: `make eif` does not know whose key the image will use, and a
//! policy with a made-up account would be valid on AWS. Half a set of names is an error.

use kms_policy::arn::{InstanceId, NameError, RoleArn};
use kms_policy::generate;
use kms_policy::pcr::{Pcr, PcrError};
use kms_policy::request::{Bindings, ImagePcrs, PolicyRequest, RequestError, Roles};

/// What the policy is made of, as text from the command line. Everything may be left out but the images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyParameters {
    /// `--account`: the 12-digit id of the account that owns the key.
    pub account: Option<String>,
    /// `--partition`; `aws` when absent.
    pub partition: Option<String>,
    /// `--admin`: ARNs of roles or users that administer the key.
    pub admins: Vec<String>,
    /// `--instance-role`: ARN of the parent instance's role.
    pub instance_role: Option<String>,
    /// `--loader-role`: ARNs of the roles of the key ceremony.
    pub loader_roles: Vec<String>,
    /// `--pcr3-role`: demand that the enclave's parent has this role.
    pub pcr3_role: Option<String>,
    /// `--pcr4-instance`: demand that the parent is one of these instances.
    pub pcr4_instances: Vec<String>,
    /// `--pcr8`: demand the PCR8 of each image.
    pub pcr8: bool,
    /// `--pcr16`: demand one of these deployment configs, each as 96 hex characters.
    pub pcr16: Vec<String>,
    /// `--danger-admit-debug`: admit all-zero measurements.
    pub danger_admit_debug: bool,
}

/// A generated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyText {
    /// A key policy that KMS takes.
    Complete(String),
    /// A text with real measurements and stand-ins for every name ([`generate::STAND_INS`]); KMS refuses it.
    Template(String),
}

impl PolicyText {
    /// The text, ending in a newline.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Complete(text) | Self::Template(text) => text,
        }
    }
}

/// Why there is no key policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// `--pcr16` is no register.
    #[error("--pcr16 is wrong")]
    Config(#[source] PcrError),
    /// PCR8 is asked for and the image has none.
    #[error("PCR8 is asked for, but {label} is not signed")]
    NoPcr8 {
        /// Label of the image.
        label: String,
    },
    /// Some names are given, this one is not.
    #[error(
        "{option} is missing; give --account, --admin and --instance-role together, or no name for a template"
    )]
    Missing {
        /// The option.
        option: &'static str,
    },
    /// Debug images are admitted, but in a template nobody would see by whom.
    #[error("--danger-admit-debug needs --account, --admin and --instance-role")]
    DebugTemplate,
    /// A name that is malformed.
    #[error("{option} is wrong")]
    Name {
        /// The option.
        option: &'static str,
        /// Why.
        source: NameError,
    },
    /// The parts do not make a sound policy.
    #[error("no key policy can be made of this")]
    Request(#[from] RequestError),
}

/// Makes the text of a key policy, or of a template when no name is given.
///
/// # Errors
/// [`PolicyError`], by its variants, for the first thing that is wrong.
pub fn policy_text(
    mut images: Vec<ImagePcrs>,
    parameters: &PolicyParameters,
) -> Result<PolicyText, PolicyError> {
    for image in &mut images {
        if !parameters.pcr8 {
            image.pcr8 = None;
        } else if image.pcr8.is_none() {
            return Err(PolicyError::NoPcr8 {
                label: image.label.clone(),
            });
        }
    }
    let bindings = parameters.bindings()?;
    let Some(roles) = parameters.roles()? else {
        if parameters.danger_admit_debug {
            return Err(PolicyError::DebugTemplate);
        }
        return Ok(PolicyText::Template(generate::template(images, bindings)?));
    };
    let danger_admit_debug = parameters.danger_admit_debug;
    let request = PolicyRequest {
        roles,
        images,
        bindings,
        danger_admit_debug,
    };
    Ok(PolicyText::Complete(request.generate()?.to_json()))
}

fn name<T: std::str::FromStr<Err = NameError>>(option: &'static str, text: &str) -> Result<T, PolicyError> {
    text.parse()
        .map_err(|source| PolicyError::Name { option, source })
}

fn names<T: std::str::FromStr<Err = NameError>>(
    option: &'static str,
    texts: &[String],
) -> Result<Vec<T>, PolicyError> {
    texts.iter().map(|text| name(option, text)).collect()
}

impl PolicyParameters {
    fn names_nobody(&self) -> bool {
        let lists = [&self.admins, &self.loader_roles];
        let single = [&self.account, &self.partition, &self.instance_role];
        lists.iter().all(|list| list.is_empty()) && single.iter().all(|name| name.is_none())
    }

    fn roles(&self) -> Result<Option<Roles>, PolicyError> {
        if self.names_nobody() {
            return Ok(None);
        }
        let missing = |option| PolicyError::Missing { option };
        let account = self.account.as_ref().ok_or_else(|| missing("--account"))?;
        let instance = self
            .instance_role
            .as_ref()
            .ok_or_else(|| missing("--instance-role"))?;
        if self.admins.is_empty() {
            return Err(missing("--admin"));
        }
        Ok(Some(Roles {
            account: name("--account", account)?,
            partition: name("--partition", self.partition.as_deref().unwrap_or("aws"))?,
            admins: names("--admin", &self.admins)?,
            instance: name("--instance-role", instance)?,
            loaders: names("--loader-role", &self.loader_roles)?,
        }))
    }

    fn bindings(&self) -> Result<Bindings, PolicyError> {
        let role = self
            .pcr3_role
            .as_deref()
            .map(|text| name::<RoleArn>("--pcr3-role", text));
        let instances: Vec<InstanceId> = names("--pcr4-instance", &self.pcr4_instances)?;
        let configs = self.pcr16.iter().map(|text| text.parse());
        Ok(Bindings {
            pcr3: role.transpose()?.map(|role| Pcr::of_role(&role)),
            pcr4: instances.iter().map(Pcr::of_instance).collect(),
            pcr16: configs.collect::<Result<_, _>>().map_err(PolicyError::Config)?,
        })
    }
}

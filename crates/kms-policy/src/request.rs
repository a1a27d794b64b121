//! What a key policy is generated from. It holds names and measurements and checks nothing but that they belong together.
//!
//! Spec: the rules are in [`crate::generate`].

use crate::arn::{AccountId, NameError, Partition, PrincipalArn, RoleArn};
use crate::pcr::Pcr;

/// The measurements of one admitted image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePcrs {
    /// A name for the statement's `Sid`; characters other than letters and digits become spaces.
    pub label: String,
    /// PCR0: the whole image.
    pub pcr0: Pcr,
    /// PCR1: kernel, command line and boot ramdisk.
    pub pcr1: Pcr,
    /// PCR2: everything else.
    pub pcr2: Pcr,
    /// PCR8: the signing certificate, when the policy shall demand one.
    pub pcr8: Option<Pcr>,
}

/// Who may do what with the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// The account that owns the key.
    pub account: AccountId,
    /// Its partition.
    pub partition: Partition,
    /// Who administers the key. They do not use it, but can change the policy, so the promise rests on them.
    pub admins: Vec<PrincipalArn>,
    /// The role of the parent instance, whose credentials the enclave uses.
    pub instance: RoleArn,
    /// The roles of the key ceremony: they encrypt, and never decrypt. May be empty.
    pub loaders: Vec<RoleArn>,
}

/// What is asked for beyond the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    /// PCR3, see [`Pcr::of_role`]: the enclave's parent must have this role.
    pub pcr3: Option<Pcr>,
    /// PCR4, see [`Pcr::of_instance`]: the parent must be one of these instances. Empty: any.
    pub pcr4: Vec<Pcr>,
    /// PCR16: the deployment config must be one of these, with any of the images. Empty: any.
    pub pcr16: Vec<Pcr>,
}

/// What a key policy is generated from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRequest {
    /// Who may do what.
    pub roles: Roles,
    /// The admitted images, at least one; several while a new one is rolled out.
    pub images: Vec<ImagePcrs>,
    /// What is asked for beyond the image.
    pub bindings: Bindings,
    /// Admits images whose PCR0, PCR1 and PCR2 are all zero: **every** image in debug mode, whose console the parent can
    /// read. For a key that protects nothing.
    pub danger_admit_debug: bool,
}

/// Why no key policy is generated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No image, and nothing else either.
    #[error("no image is named; a key policy admits at least one")]
    NoImage,
    /// PCR3, PCR4 or PCR16 without an image: debug enclaves keep their real PCR3 and PCR4, so these prove nothing alone.
    #[error("PCR{index} is named without an image; a debug enclave of any image has the same PCR{index}")]
    NoImageFor {
        /// Index of the register.
        index: u8,
    },
    /// No administrator: nobody could ever change the policy.
    #[error("no administrator is named; the key could never be managed again")]
    NoAdmin,
    /// PCR0, PCR1 and PCR2 are zero.
    #[error("image {label:?} has all-zero PCR0, PCR1 and PCR2, as every image in debug mode")]
    DebugImage {
        /// Label of the image.
        label: String,
    },
    /// A register that holds zero.
    #[error("PCR{index} {of} is zero, which is its value {meaning}")]
    ZeroPcr {
        /// Index of the register.
        index: u8,
        /// Of what.
        of: String,
        /// When it is zero.
        meaning: &'static str,
    },
    /// The same measurements, or the same register value, twice.
    #[error("{what} {label:?} stands twice")]
    Duplicate {
        /// What stands twice.
        what: &'static str,
        /// The label or value of the second.
        label: String,
    },
    /// PCR8 for some images only.
    #[error(
        "image {with:?} has a PCR8 and image {without:?} has none; PCR8 is demanded of all images or of none"
    )]
    SomePcr8 {
        /// Label of the first image with PCR8.
        with: String,
        /// Label of the first image without.
        without: String,
    },
    /// A principal in another account or partition than the key.
    #[error("{arn} is not in the key's account, {home}")]
    Foreign {
        /// ARN of the principal.
        arn: String,
        /// ARN of the key's account.
        home: String,
    },
    /// One principal in two parts that must be apart.
    #[error("{arn} is the instance role and also {also}")]
    InstanceRole {
        /// ARN of the role.
        arn: String,
        /// The other part.
        also: &'static str,
    },
    /// An administrator that is a role session.
    #[error("administrator {arn} is a session that will end; name its role")]
    AdminSession {
        /// ARN of the session.
        arn: String,
    },
    /// More than KMS stores.
    #[error("the key policy has {actual} bytes, KMS stores at most {limit}; admit fewer images")]
    TooLarge {
        /// Length of the policy in bytes.
        actual: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A name that is malformed.
    #[error(transparent)]
    Name(#[from] NameError),
}

//! A deployment that is worked on: its config, its stack, and the clients of AWS for it.

use anyhow::Context as _;
use control::artefact::Kind;
use control::config::DeploymentConfig;
use control::text::StackId;

use crate::aws::{Access, Aws};
use crate::cli::{AwsArgs, TableArgs, TlsTableArgs};
use crate::deployment;
use crate::seal::Sealer;
use crate::slashing::table::used_version;
use crate::tables::tls::TlsItem;
use crate::tables::validators::Validators;

/// Clients for a deployment.
#[derive(Debug)]
pub struct Deployment {
    /// The config.
    pub config: DeploymentConfig,
    /// The stack that artefacts are for.
    pub stack: StackId,
    /// Clients of AWS.
    pub aws: Aws,
    /// KMS under the config's key.
    pub sealer: Sealer,
}

impl Deployment {
    /// Reads the config and finds credentials.
    ///
    /// # Errors
    /// What is wrong with either.
    pub async fn open(args: &AwsArgs) -> anyhow::Result<Self> {
        let config = read_config(args)?;
        let stack = deployment::stack(&config, args.stack.as_ref())?;
        let aws = open_aws(args, &config).await?;
        let sealer = Sealer::new(aws.kms(), config.fields().kms_key_arn.clone());
        Ok(Self {
            config,
            stack,
            aws,
            sealer,
        })
    }

    fn tables(&self) -> aws_sdk_dynamodb::Client {
        self.aws.dynamodb(self.config.fields().region.as_str())
    }

    /// The validator table.
    ///
    /// # Errors
    /// As [`Validators::open`].
    pub async fn validators(&self, args: &TableArgs) -> anyhow::Result<Validators> {
        Validators::open(self.tables(), &args.table, self.stack.clone()).await
    }

    /// The item of the TLS table.
    ///
    /// # Errors
    /// As [`TlsItem::read`].
    pub async fn tls_item(&self, args: &TlsTableArgs) -> anyhow::Result<TlsItem> {
        TlsItem::read(self.tables(), &args.table, &args.key_id).await
    }

    /// The lowest version that the enclave takes: the config's, or what the slashing store has seen.
    ///
    /// # Errors
    /// As [`used_version`].
    pub async fn least(&self, kind: Kind) -> anyhow::Result<u64> {
        let versions = self.config.fields().artefact_versions;
        let configured = match kind {
            Kind::TlsKey => versions.tls_key,
            Kind::Clients => versions.clients,
            Kind::SlashingCredential => versions.slashing_credential,
            Kind::ValidatorKey => 0,
        };
        let seen = used_version(&self.aws, &self.config, kind).await?;
        Ok(configured.max(seen))
    }
}

/// The config that the command line names.
///
/// # Errors
/// When none is named, or it is wrong.
pub fn read_config(args: &AwsArgs) -> anyhow::Result<DeploymentConfig> {
    let path = args
        .config
        .as_deref()
        .context("--config is missing: which deployment is it for?")?;
    deployment::read(path)
}

/// Clients of AWS in the config's region.
///
/// # Errors
/// As [`Aws::new`].
pub async fn open_aws(args: &AwsArgs, config: &DeploymentConfig) -> anyhow::Result<Aws> {
    let access = Access {
        profile: args.profile.clone(),
        kms_endpoint: args.kms_endpoint.clone(),
        dynamodb_endpoint: args.dynamodb_endpoint.clone(),
    };
    Ok(Aws::new(config.fields().region.as_str(), access).await?)
}

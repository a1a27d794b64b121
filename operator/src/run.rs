//! Puts the parts of each command together.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use clap::CommandFactory as _;
use control::artefact::Kind;
use serde::Serialize;

use crate::cli::{
    AwsArgs, ChainArgs, CheckArgs, Cli, ClientsCommand, Command, ConfigCommand, CreateArgs,
    CredentialCommand, ExportArgs, ImportArgs, InitArgs, KeysCommand, LoadArgs, PolicyCommand, RequestArgs,
    SetClientsArgs, SetCredentialArgs, SlashingCommand, TableArgs, TlsCommand, TlsTableArgs,
};
use crate::deployment::Hashes;
use crate::exit::Exit;
use crate::keys::load::{Plan, load};
use crate::keys::passwords::Passwords;
use crate::progress::{Bar, Lines, Progress};
use crate::session::{self, Deployment};
use crate::slashing::table::SlashingTable;
use crate::tables::validators::Validators;
use crate::tls::Identity;
use crate::tls::certificate::Leaf;
use crate::{clients, keys, policy, slashing, tls};

/// What comes from outside.
#[expect(missing_debug_implementations, reason = "writers have nothing to show")]
pub struct Outside {
    /// The time, in seconds since 1970-01-01 UTC.
    pub now_unix_s: u64,
    /// Where results go.
    pub out: Box<dyn Write + Send>,
    /// Where a person is told how it goes.
    pub notes: Box<dyn Write + Send>,
    /// Whether `notes` is a terminal.
    pub terminal: bool,
}

/// Runs a command to its end.
///
/// # Errors
/// What went wrong, in words for the operator.
pub fn run(cli: Cli, outside: Outside) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let progress: Arc<dyn Progress> = if outside.terminal {
        Arc::new(Bar::new())
    } else {
        Arc::new(Lines::new(outside.notes))
    };
    let mut ceremony = Ceremony {
        aws: cli.aws,
        json: cli.json,
        now: outside.now_unix_s,
        out: outside.out,
        progress,
    };
    runtime.block_on(ceremony.run(cli.command))
}

struct Ceremony {
    aws: AwsArgs,
    json: bool,
    now: u64,
    out: Box<dyn Write + Send>,
    progress: Arc<dyn Progress>,
}

impl Ceremony {
    async fn run(&mut self, command: Command) -> anyhow::Result<Exit> {
        match command {
            Command::Keys(KeysCommand::Load(args)) => return Box::pin(self.load(args)).await,
            Command::Keys(KeysCommand::List(args)) => {
                let listing = keys::list(&self.validators(&args).await?).await?;
                self.show(&listing, |out| listing.write_text(out))?;
            }
            Command::Keys(KeysCommand::Activate(args)) => self.switch(&args.table, &args.keys, true).await?,
            Command::Keys(KeysCommand::Deactivate(args)) => {
                self.switch(&args.table, &args.keys, false).await?;
            }
            Command::Tls(TlsCommand::Create(args)) => Box::pin(self.create(args)).await?,
            Command::Tls(TlsCommand::Request(args)) => self.request(&args)?,
            Command::Tls(TlsCommand::Import(args)) => Box::pin(self.import(args)).await?,
            Command::Clients(ClientsCommand::Set(args)) => Box::pin(self.set_clients(args)).await?,
            Command::Slashing(SlashingCommand::Init(args)) => Box::pin(self.init(args)).await?,
            Command::Slashing(SlashingCommand::Export(args)) => Box::pin(self.export(args)).await?,
            Command::Slashing(SlashingCommand::Credential(CredentialCommand::Set(args))) => {
                Box::pin(self.set_credential(args)).await?;
            }
            Command::Config(command) => self.config(&command)?,
            Command::Completions(flags) => flags.write(Cli::command(), &mut self.out)?,
            Command::Man(flags) => {
                for name in flags
                    .write(Cli::command())
                    .with_context(|| flags.dir.display().to_string())?
                {
                    writeln!(self.out, "{name}")?;
                }
            }
            Command::Policy(PolicyCommand::Check(args)) => return Box::pin(self.check_policy(args)).await,
        }
        Ok(Exit::Ok)
    }

    fn show(
        &mut self,
        result: &impl Serialize,
        text: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        if self.json {
            serde_json::to_writer_pretty(&mut self.out, result)?;
            writeln!(self.out)?;
        } else {
            text(&mut self.out)?;
        }
        self.out.flush().context("writing the result")
    }

    async fn deployment(&self) -> anyhow::Result<Deployment> {
        Deployment::open(&self.aws).await
    }

    async fn validators(&self, args: &TableArgs) -> anyhow::Result<Validators> {
        let deployment = self.deployment().await?;
        deployment.validators(args).await
    }

    async fn load(&mut self, args: LoadArgs) -> anyhow::Result<Exit> {
        let deployment = self.deployment().await?;
        let fields = deployment.config.fields();
        let sources = keys::sources::scan(&args.paths, fields.network.as_str());
        let table = deployment.validators(&args.table).await?;
        let paths: Vec<&Path> = sources
            .keystores
            .iter()
            .map(|source| source.path.as_path())
            .collect();
        let passwords = Passwords::find(
            args.password_file.as_deref(),
            args.password_dir.as_deref(),
            args.password_fd,
            &paths,
        )?;
        let plan = Plan {
            stack: deployment.stack.clone(),
            passwords,
            compact: args.compact,
            skip_bad: args.skip_bad,
            dry_run: args.dry_run,
            jobs: args.jobs,
            chain: args.chain.unwrap_or_else(|| fields.network.to_string()),
            datetime: self.datetime()?,
        };
        let report = load(plan, sources, &table, &deployment.sealer, &self.progress).await?;
        self.show(&report, |out| report.write_text(out))?;
        Ok(if report.bad.is_empty() {
            Exit::Ok
        } else {
            Exit::Partly
        })
    }

    fn datetime(&self) -> anyhow::Result<String> {
        let now = DateTime::from_secs(i64::try_from(self.now)?);
        Ok(now.fmt(Format::DateTime)?)
    }

    async fn switch(
        &mut self,
        table: &TableArgs,
        keys: &[control::text::PublicKey],
        active: bool,
    ) -> anyhow::Result<()> {
        let switched = keys::switch(&self.validators(table).await?, keys, active).await?;
        let state = if active { "active" } else { "inactive" };
        self.show(&switched, |out| {
            switched
                .keys
                .iter()
                .try_for_each(|key| writeln!(out, "{key}  {state}"))
        })
    }

    async fn create(&mut self, args: CreateArgs) -> anyhow::Result<()> {
        let identity = tls::create::self_signed(&args.host, &args.sans, args.days, self.now)?;
        let leaf = tls::import::check(&identity, &args.host, self.now)?;
        if let Some(path) = args.cert_out.as_ref().filter(|_| !args.table.dry_run) {
            // Before the table: a certificate that is not known to clients is of no use.
            new_file(path, identity.chain_pem().as_bytes(), 0o644)?;
        }
        self.store_tls(&identity, leaf, &args.table).await
    }

    fn request(&mut self, args: &RequestArgs) -> anyhow::Result<()> {
        let (key, request) = tls::create::request(&args.host, &args.sans)?;
        new_file(&args.key_out, key.as_bytes(), 0o600)?;
        new_file(&args.csr_out, request.as_bytes(), 0o644)?;
        self.show(
            &serde_json::json!({"key": args.key_out, "request": args.csr_out}),
            |out| {
                writeln!(
                    out,
                    "have {} signed, then: tls import --key {} --cert CHAIN, and remove the key file",
                    args.csr_out.display(),
                    args.key_out.display()
                )
            },
        )
    }

    async fn import(&mut self, args: ImportArgs) -> anyhow::Result<()> {
        let identity = match (&args.pkcs12, &args.key, &args.cert) {
            (Some(file), _, _) => tls::import::from_pkcs12(file, args.password_file.as_deref())?,
            (None, Some(key), Some(chain)) => tls::import::from_pem(key, chain)?,
            _ => anyhow::bail!("give --pkcs12, or --key and --cert"),
        };
        let leaf = tls::import::check(&identity, &args.host, self.now)?;
        if leaf.common_name.as_deref() != Some(args.host.as_str()) {
            self.progress.note("note: the certificate's common name is not the host name; older clients of the published guidance compare it");
        }
        self.store_tls(&identity, leaf, &args.table).await
    }

    async fn store_tls(
        &mut self,
        identity: &Identity,
        leaf: Leaf,
        args: &TlsTableArgs,
    ) -> anyhow::Result<()> {
        let deployment = self.deployment().await?;
        let item = deployment.tls_item(args).await?;
        let least = deployment.least(Kind::TlsKey).await?;
        let versions = (least, args.artefact_version);
        let (sealer, stack) = (&deployment.sealer, &deployment.stack);
        let written = tls::store(identity, leaf, &item, sealer, stack, versions, args.dry_run).await?;
        self.show(&written, |out| {
            writeln!(
                out,
                "{}: version {}, certificate {}",
                done(args.dry_run, "TLS key"),
                written.version,
                written.sha256
            )
        })
    }

    async fn set_clients(&mut self, args: SetClientsArgs) -> anyhow::Result<()> {
        let deployment = self.deployment().await?;
        let mode = deployment.config.fields().client_authentication;
        let list = clients::read(&args.clients, args.ca.as_ref(), mode, self.now)?;
        let item = deployment.tls_item(&args.table).await?;
        let versions = (
            deployment.least(Kind::Clients).await?,
            args.table.artefact_version,
        );
        let (sealer, stack) = (&deployment.sealer, &deployment.stack);
        let written = clients::store(list, &item, sealer, stack, versions, args.table.dry_run).await?;
        self.show(&written, |out| {
            for client in &written.clients.known_clients {
                writeln!(out, "{}  {}", client.sha256, client.name)?;
            }
            let list = done(written.dry_run, "clients");
            writeln!(out, "{list}: version {}", written.clients.version)
        })
    }

    async fn set_credential(&mut self, args: SetCredentialArgs) -> anyhow::Result<()> {
        let path = match (&args.file, args.fd) {
            (Some(file), _) => file.clone(),
            (None, Some(fd)) => crate::secret::descriptor(fd),
            (None, None) => anyhow::bail!("give --file or --fd"),
        };
        let deployment = self.deployment().await?;
        let credential = slashing::credential::read(&path, &deployment.config.fields().slashing_store)?;
        let item = deployment.tls_item(&args.table).await?;
        let versions = (
            deployment.least(Kind::SlashingCredential).await?,
            args.table.artefact_version,
        );
        let (sealer, stack) = (&deployment.sealer, &deployment.stack);
        let written =
            slashing::credential::store(credential, &item, sealer, stack, versions, args.table.dry_run)
                .await?;
        self.show(&written, |out| {
            let what = done(written.dry_run, "slashing credential");
            writeln!(out, "{what}: version {}, {}", written.version, written.name)
        })
    }

    async fn slashing_table(
        &self,
        chain: &ChainArgs,
    ) -> anyhow::Result<(SlashingTable, slashing_table::duty::Root)> {
        let config = session::read_config(&self.aws)?;
        let genesis =
            slashing::genesis::root(&config.fields().network, chain.genesis_validators_root.as_deref())?;
        let aws = session::open_aws(&self.aws, &config).await?;
        Ok((SlashingTable::open(&aws, &config, genesis).await?, genesis))
    }

    async fn init(&mut self, args: InitArgs) -> anyhow::Result<()> {
        let (table, genesis) = self.slashing_table(&args.chain).await?;
        let all = slashing::read(&args.files, &args.never_signed, genesis)?;
        let report = if args.dry_run {
            slashing::Report {
                dry_run: true,
                made: all.validators.keys().map(ToString::to_string).collect(),
                ..slashing::Report::default()
            }
        } else {
            slashing::init(&table, &all, self.progress.as_ref()).await?
        };
        self.show(&report, |out| report.write_text(out))
    }

    async fn export(&mut self, args: ExportArgs) -> anyhow::Result<()> {
        let (table, _) = self.slashing_table(&args.chain).await?;
        let all = table.export().await?;
        let Some(path) = &args.out else {
            all.write(&mut self.out).context("writing the result")?;
            return self.out.flush().context("writing the result");
        };
        let mut text = Vec::new();
        all.write(&mut text)?;
        new_file(path, &text, 0o644)?;
        let count = all.validators.len();
        self.show(&serde_json::json!({"validators": count, "file": path}), |out| {
            writeln!(out, "{count} validators in {}", path.display())
        })
    }

    fn config(&mut self, command: &ConfigCommand) -> anyhow::Result<()> {
        let config = session::read_config(&self.aws)?;
        match command {
            ConfigCommand::Show => {
                writeln!(self.out, "{}", config.canonical()?)?;
                self.out.flush().context("writing the result")
            }
            ConfigCommand::Hash => {
                let hashes = Hashes::of(&config)?;
                self.show(&hashes, |out| {
                    writeln!(
                        out,
                        "config_sha384  {}\npcr16          {}",
                        hashes.config_sha384, hashes.pcr16
                    )
                })
            }
        }
    }

    async fn check_policy(&mut self, args: CheckArgs) -> anyhow::Result<Exit> {
        let config = self
            .aws
            .config
            .is_some()
            .then(|| session::read_config(&self.aws))
            .transpose()?;
        let (from, text) = match (&args.policy, &config) {
            (Some(path), _) => (path.display().to_string(), policy::of_file(path)?),
            (None, Some(config)) => {
                let key = &config.fields().kms_key_arn;
                (
                    key.to_string(),
                    policy::of_key(&session::open_aws(&self.aws, config).await?, key).await?,
                )
            }
            (None, None) => anyhow::bail!("which policy? Give --policy FILE, or --config to ask KMS"),
        };
        let pcr16 = config
            .as_ref()
            .map(Hashes::of)
            .transpose()?
            .map(|hashes| hashes.pcr16);
        let report = policy::check(from, &text, &args.pcrs, pcr16.as_deref())?;
        self.show(&report, |out| report.write_text(out))?;
        Ok(if report.dangerous { Exit::Weak } else { Exit::Ok })
    }
}

fn done(dry_run: bool, what: &str) -> String {
    if dry_run {
        format!("{what} would be written")
    } else {
        format!("{what} written")
    }
}

/// Makes a file that must not exist yet.
fn new_file(path: &Path, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let mut file = opened.with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

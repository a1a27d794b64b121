//! From a job to its outcome. Either everything of a job is in the signer's files, or nothing.

use std::sync::Arc;

use control::MAX_ITEMS;
use control::MAX_KEYS;
use control::answer::{Item, ItemCode, Refusal, codes};
use control::artefact::Kind;
use control::config::{ArtefactVersions, ClientAuthentication, DeploymentConfig, SlashingStore};
use control::policy::ImagePolicy;
use control::provision::{Job, Outcome, Sealed, State, Work};
use control::request::Credential;
use control::text::PublicKey;
use kmstool_rs::client::{ClientError, World};
use kmstool_rs::clock::{Clock, Jitter};
use kmstool_rs::transport::Connect;
use nsm::{Nsm, RecipientNsm};

use crate::decrypt::{self, DecryptError};
use crate::generation::{First, Generation, GenerationError};
use crate::health::{self, HealthError};
use crate::keys_file::Keys;
use crate::measured::{self, MeasuredError};
use crate::signer_config;
use crate::take::{Rules, Taken};
use crate::vault::{Swap, Vault, VaultError};

/// The world, as `main` sees it.
#[expect(missing_debug_implementations, reason = "trait objects have nothing to show")]
pub struct Outside {
    /// The image policy.
    pub policy: ImagePolicy,
    /// The signer's files.
    pub vault: Vault,
    /// The security module.
    pub nsm: Box<dyn RecipientNsm + Send>,
    /// The way to KMS.
    pub connect: Arc<dyn Connect>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub jitter: Arc<dyn Jitter>,
    /// Whether the job takes too long.
    pub late: Box<dyn Fn() -> bool>,
    /// Takes a line for the log. It never has a secret.
    pub say: Box<dyn Fn(&str)>,
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A job without the config that it needs, or with one that it does not.
    #[error("the job \"{0}\" has no config, or has one without need")]
    Config(&'static str),
    /// The image has another config, or allows less.
    #[error("{0}")]
    NotAllowed(String),
    /// Not this enclave's config.
    #[error("the config is not the one that was measured")]
    Measured(#[from] MeasuredError),
    /// The state of another config is there, or none.
    #[error("the signer's files are not of this config, or there are none")]
    NoState,
    /// An artefact is not there, or one too many.
    #[error("expected {0}")]
    Artefacts(&'static str),
    /// Items failed.
    #[error("{} of {of}", .refusal.failed)]
    Items {
        /// What is answered.
        refusal: Refusal,
        /// How many there are.
        of: usize,
    },
    /// Nothing could be decrypted at all.
    #[error("nothing could be decrypted")]
    Decrypt(#[from] DecryptError),
    /// The agent's client.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// The files.
    #[error("the signer's files cannot be changed")]
    Vault(#[from] VaultError),
    /// What is in them.
    #[error("the signer's files cannot be used")]
    Generation(#[from] GenerationError),
    /// It took too long.
    #[error("the job took longer than it may")]
    Late,
}

impl Failure {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => codes::NOT_CONFIGURED,
            Self::NotAllowed(_) => codes::NOT_ALLOWED,
            Self::Measured(MeasuredError::Nsm(_)) | Self::Decrypt(DecryptError::Nsm(_)) => codes::NSM_FAILED,
            Self::Measured(_) => codes::CONFIG_CONFLICT,
            Self::NoState => codes::NOT_INITIALISED,
            Self::Artefacts(_) => codes::ARTEFACT_MISSING,
            Self::Items { .. } => codes::ITEMS_FAILED,
            Self::Decrypt(DecryptError::Credentials(_)) => codes::NO_CREDENTIALS,
            Self::Decrypt(_) | Self::Health(_) => codes::KMS_FAILED,
            Self::Vault(_) | Self::Generation(_) => codes::FILES_FAILED,
            Self::Late => codes::UNAVAILABLE,
        }
    }

    /// With its causes, in one line.
    #[must_use]
    pub fn text(&self) -> String {
        chain(self)
    }

    fn refusal(self) -> Refusal {
        let error = format!("{}: {}", self.code(), self.text());
        match self {
            Self::Items { refusal, .. } => Refusal { error, ..refusal },
            _ => Refusal {
                error,
                items: Vec::new(),
                failed: 0,
            },
        }
    }
}

/// What was done, and what of it can still be undone.
#[derive(Debug)]
#[must_use = "a swap is kept or undone"]
pub struct Ended {
    /// What the agent is told.
    pub outcome: Outcome,
    /// A swap of files. Keep it when the agent knows the outcome; else undo it.
    pub swap: Option<Swap>,
}

/// Runs a job. Leftovers of a job that was cut off are wiped first.
pub async fn run(job: Job, outside: Outside) -> (Ended, Vault) {
    let Outside {
        policy,
        vault,
        nsm,
        connect,
        clock,
        jitter,
        late,
        say,
    } = outside;
    let world = World {
        connect,
        nsm,
        clock: Arc::clone(&clock),
        jitter,
    };
    let running = Running {
        policy: &policy,
        vault: &vault,
        clock: &*clock,
        late: &*late,
        say: &*say,
    };
    let mode = job.work.name();
    let ended = match running.job(job, world).await {
        Ok(ended) => ended,
        Err(failure) => {
            say(&format!(
                "event=refused mode={mode} code={} error={:?}",
                failure.code(),
                failure.text()
            ));
            let outcome = Outcome::Refused {
                refusal: failure.refusal(),
            };
            Ended { outcome, swap: None }
        }
    };
    (ended, vault)
}

struct Running<'a> {
    policy: &'a ImagePolicy,
    vault: &'a Vault,
    clock: &'a dyn Clock,
    late: &'a dyn Fn() -> bool,
    say: &'a dyn Fn(&str),
}

impl Running<'_> {
    async fn job(&self, job: Job, world: World) -> Result<Ended, Failure> {
        let mode = job.work.name();
        self.vault.clean()?;
        let Some(config) = job.config else {
            return match job.work {
                Work::Recover => self.recover(&*world.nsm),
                _ => Err(Failure::Config(mode)),
            };
        };
        self.allows(&config)?;
        measured::check(&*world.nsm, &config)?;
        match job.work {
            Work::Init {
                credential,
                artefacts,
            } => self.init(*config, &credential, &artefacts, world).await,
            Work::AddKeys {
                credential,
                artefacts,
            } => self.add_keys(&config, &credential, &artefacts, world).await,
            Work::SetClients { credential, artefact } => {
                self.set_clients(&config, &credential, artefact, world).await
            }
            Work::RemoveKeys { public_keys } => self.remove_keys(&config, &public_keys),
            Work::Rollback => {
                self.vault.wipe_all()?;
                Ok(done(Vec::new(), None, None))
            }
            Work::Recover => Err(Failure::Config(mode)),
        }
    }

    /// Whether the image lets this config be used.
    fn allows(&self, config: &DeploymentConfig) -> Result<(), Failure> {
        let refused = |why: &dyn std::error::Error| Failure::NotAllowed(chain(why));
        self.policy.allows(config).map_err(|why| refused(&why))?;
        if self
            .policy
            .deployment
            .as_ref()
            .is_some_and(|only| **only != *config)
        {
            return Err(Failure::NotAllowed(
                "the image has another config in its manifest".to_owned(),
            ));
        }
        signer_config::supports(self.policy.signer.distribution, &config.fields().slashing_store)
            .map_err(|why| refused(&why))
    }

    async fn init(
        &self,
        config: DeploymentConfig,
        credential: &Credential,
        artefacts: &[Sealed],
        world: World,
    ) -> Result<Ended, Failure> {
        check_list(&config, artefacts)?;
        self.vault.wipe_all()?;
        let least = config.fields().artefact_versions;
        let (mut taken, items) = self
            .take(&config, least, &Keys::new(), credential, artefacts, world)
            .await?;
        let (health, _) = health::make()?;
        let first = First {
            distribution: self.policy.signer.distribution,
            health,
            tls: taken.tls.take().ok_or(Failure::Artefacts("a TLS key"))?,
            clients: taken.clients.take(),
            store: taken.store.take(),
            config,
        };
        let mut generation = Generation::first(first, self.vault.root(), &self.vault.current())?;
        *generation.keys_mut() = taken.keys;
        self.vault.make_journal_folder()?;
        self.write(generation, items)
    }

    async fn add_keys(
        &self,
        config: &DeploymentConfig,
        credential: &Credential,
        artefacts: &[Sealed],
        world: World,
    ) -> Result<Ended, Failure> {
        let mut generation = self.generation(config)?;
        let only_keys = artefacts.iter().all(|sealed| sealed.kind == Kind::ValidatorKey);
        if !only_keys || artefacts.is_empty() || artefacts.len() > MAX_KEYS {
            return Err(Failure::Artefacts("1 to 16384 validator keys and nothing else"));
        }
        let least = generation.state().artefact_versions;
        let (taken, items) = self
            .take(config, least, generation.keys(), credential, artefacts, world)
            .await?;
        if taken.keys.is_empty() {
            return Ok(done(items, Some(generation.state().clone()), None));
        }
        generation.keys_mut().extend(taken.keys);
        if generation.keys().len() > MAX_KEYS {
            return Err(Failure::Artefacts("at most 16384 validator keys in one enclave"));
        }
        self.write(generation, items)
    }

    async fn set_clients(
        &self,
        config: &DeploymentConfig,
        credential: &Credential,
        artefact: Sealed,
        world: World,
    ) -> Result<Ended, Failure> {
        let mut generation = self.generation(config)?;
        if artefact.kind != Kind::Clients {
            return Err(Failure::Artefacts("a list of clients or their authority"));
        }
        let (least, artefacts) = (generation.state().artefact_versions, [artefact]);
        let (taken, items) = self
            .take(config, least, &Keys::new(), credential, &artefacts, world)
            .await?;
        let clients = taken
            .clients
            .ok_or(Failure::Artefacts("a list of clients or their authority"))?;
        generation.set_clients(&clients, self.policy.signer.distribution)?;
        self.write(generation, items)
    }

    fn remove_keys(&self, config: &DeploymentConfig, public_keys: &[PublicKey]) -> Result<Ended, Failure> {
        let mut generation = self.generation(config)?;
        let mut items = Vec::new();
        let before = generation.keys().len();
        for (index, name) in (0..).zip(public_keys) {
            // Digits that are no public key are nobody's, so they are not there.
            let key = name.as_str().parse().ok();
            let removed = key.and_then(|key: keystore::PublicKey| generation.keys_mut().remove(&key));
            let code = removed.map_or(ItemCode::Already, |_| ItemCode::Ok);
            items.push(Item {
                kind: Kind::ValidatorKey,
                index,
                pubkey: Some(name.clone()),
                code,
            });
        }
        if generation.keys().len() == before {
            return Ok(done(items, Some(generation.state().clone()), None));
        }
        self.write(generation, items)
    }

    fn recover(&self, nsm: &(impl Nsm + ?Sized)) -> Result<Ended, Failure> {
        let Some(files) = self.vault.read()? else {
            return Ok(done(Vec::new(), None, None));
        };
        let generation = Generation::read(files)?;
        measured::check(nsm, &generation.state().config)?;
        Ok(done(Vec::new(), Some(generation.state().clone()), None))
    }

    /// The generation in use, which must be of this config.
    fn generation(&self, config: &DeploymentConfig) -> Result<Generation, Failure> {
        let files = self.vault.read()?.ok_or(Failure::NoState)?;
        let generation = Generation::read(files)?;
        if generation.state().config == *config {
            Ok(generation)
        } else {
            Err(Failure::NoState)
        }
    }

    /// Decrypts and reads all artefacts. Gives them and their items when every one is good.
    async fn take(
        &self,
        config: &DeploymentConfig,
        least: ArtefactVersions,
        there: &Keys,
        credential: &Credential,
        artefacts: &[Sealed],
        world: World,
    ) -> Result<(Taken, Vec<Item>), Failure> {
        let legacy = self.policy.trust.legacy_no_context;
        let rules = Rules {
            config,
            legacy,
            least,
            now: self.clock.now(),
        };
        let mut taken = Taken::default();
        let judged = artefacts.iter().map(|sealed| rules.may_ask(sealed).err());
        let judged: Vec<_> = judged
            .map(|refused| refused.unwrap_or(ItemCode::Skipped))
            .collect();
        if judged.iter().any(|code| *code != ItemCode::Skipped) {
            return Err(items_failed(&taken, artefacts, &judged));
        }
        let client = decrypt::client(config, self.policy, credential, world, artefacts.len())?;
        let mut first = None;
        let codes = decrypt::all(
            &client,
            config,
            artefacts,
            self.late,
            &mut |error: &ClientError| {
                first.get_or_insert_with(|| chain(error));
            },
            &mut |at, plaintext| {
                let sealed = artefacts.get(at).ok_or(ItemCode::Skipped)?;
                rules.take(&mut taken, there, at, sealed, &plaintext)
            },
        )
        .await?;
        if let Some(first) = first {
            (self.say)(&format!("event=kms error={first:?}"));
        }
        let good = |code: &ItemCode| matches!(code, ItemCode::Ok | ItemCode::Already);
        if codes.iter().all(good) {
            let mut items = taken.items(artefacts, &codes);
            items.truncate(MAX_ITEMS);
            return Ok((taken, items));
        }
        let only_skipped = codes.iter().all(|code| good(code) || *code == ItemCode::Skipped);
        Err(if only_skipped {
            Failure::Late
        } else {
            items_failed(&taken, artefacts, &codes)
        })
    }

    /// The last step: everything is written, and in use.
    fn write(&self, generation: Generation, items: Vec<Item>) -> Result<Ended, Failure> {
        if (self.late)() {
            return Err(Failure::Late);
        }
        let (files, state) = generation.into_files()?;
        let swap = self.vault.swap(&files)?;
        Ok(done(items, Some(state), Some(swap)))
    }
}

fn done(mut items: Vec<Item>, state: Option<State>, swap: Option<Swap>) -> Ended {
    items.truncate(MAX_ITEMS);
    let state = state.map(Box::new);
    Ended {
        outcome: Outcome::Done { items, state },
        swap,
    }
}

/// What `init` must bring: one TLS key, keys, and what the config demands.
fn check_list(config: &DeploymentConfig, artefacts: &[Sealed]) -> Result<(), Failure> {
    let count = |kind| artefacts.iter().filter(|sealed| sealed.kind == kind).count();
    let any = config.fields().client_authentication == ClientAuthentication::AnyClient;
    let memory = matches!(config.fields().slashing_store, SlashingStore::Memory {});
    let demands = [
        (Kind::TlsKey, 1..=1, "one TLS key"),
        (
            Kind::Clients,
            usize::from(!any)..=usize::from(!any),
            "one list of clients, or none for any client",
        ),
        (
            Kind::SlashingCredential,
            usize::from(!memory)..=usize::from(!memory),
            "one credential of the slashing store, or none for memory",
        ),
        (Kind::ValidatorKey, 1..=MAX_KEYS, "1 to 16384 validator keys"),
    ];
    match demands
        .into_iter()
        .find(|(kind, range, _)| !range.contains(&count(*kind)))
    {
        Some((_, _, expected)) => Err(Failure::Artefacts(expected)),
        None => Ok(()),
    }
}

fn items_failed(taken: &Taken, artefacts: &[Sealed], codes: &[ItemCode]) -> Failure {
    let mut items = taken.items(artefacts, codes);
    items.retain(|item| !matches!(item.code, ItemCode::Ok | ItemCode::Already | ItemCode::Skipped));
    let failed = u64::try_from(items.len()).unwrap_or(u64::MAX);
    items.truncate(MAX_ITEMS);
    let refusal = Refusal {
        error: String::new(),
        items,
        failed,
    };
    Failure::Items {
        refusal,
        of: artefacts.len(),
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

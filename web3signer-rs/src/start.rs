//! The story of a run: read the options, open what they name, serve until told to stop.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::app::{App, Sources, load_keys, read_client_keys, use_artefacts, who_may_connect};
use crate::cli::error::UsageError;
use crate::cli::option::Level;
use crate::cli::values::Values;
use crate::cli::{self, Request};
use crate::clock::Clock;
use crate::config::{Config, NetworkChoice};
use crate::consensus::{Fork, Network};
use crate::current::Current;
use crate::keys::{Bulk, BulkPasswords, ConfigFolder, Effort, ImportStorage, Keys, Settings};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::ports::PortsFile;
use crate::reload::Reloads;
use crate::server::body::Bodies;
use crate::server::connection::Shared;
use crate::server::router::Switches;
use crate::server::{listen, metrics_page};
use crate::signer::Signer;
use crate::slashing::Protection;
use crate::slashing::observe::Observer;
use crate::tls::server::TlsServer;
use crate::{commands, protect};

/// The world, as `main` sees it.
pub struct Outside<'a> {
    /// Words after the program's name.
    pub words: &'a [String],
    /// Environment variables.
    pub environment: &'a BTreeMap<String, String>,
    /// Log and answers.
    pub stdout: Arc<Mutex<dyn Write + Send>>,
    /// Errors.
    pub stderr: &'a mut dyn Write,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Outside<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Outside")
    }
}

/// How long open connections may take to end after a signal to stop.
const FAREWELL: Duration = Duration::from_secs(10);

/// Runs the program. Exit status 0: done or told to stop; 1: could not start; 2: wrong parameters.
pub fn run(mut outside: Outside<'_>) -> ExitCode {
    let prepared = prepare(&outside);
    let (level, values, config, network) = match prepared {
        Ok(Prepared::Print(text)) => {
            print(&outside.stdout, &text);
            return ExitCode::SUCCESS;
        }
        Ok(Prepared::Run(run)) => *run,
        Err(error) => {
            let (stderr, stdout) = cli::report(&error);
            print(&outside.stdout, &stdout);
            print_error(&mut outside, &stderr);
            return ExitCode::from(2);
        }
    };
    let log = Log::new(
        config.log.least,
        Arc::clone(&outside.clock),
        Arc::clone(&outside.stdout),
    );
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let outcome = match runtime {
        Err(error) => Err(format!("no threads: {error}")),
        Ok(runtime) => {
            let clock = Arc::clone(&outside.clock);
            let outcome = runtime.block_on(work(level, &values, &config, network, &log, clock, threads));
            // A thread that still loads keys or signs must not hold up the end.
            runtime.shutdown_timeout(Duration::from_secs(1));
            outcome
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            print_error(
                &mut outside,
                &format!("Failed to initialize Web3Signer\nCause: {why}\n"),
            );
            ExitCode::FAILURE
        }
    }
}

enum Prepared {
    Print(String),
    Run(Box<(Level, Values, Config, Network)>),
}

fn prepare(outside: &Outside<'_>) -> Result<Prepared, UsageError> {
    let read_file = |path: &Path| std::fs::read(path);
    match cli::read(outside.words, outside.environment, &read_file)? {
        Request::Print(text) => Ok(Prepared::Print(text)),
        Request::Run(level, values) => {
            let network = network(level, &NetworkChoice::of(&values))?;
            let config = Config::new(level, &values)?;
            Ok(Prepared::Run(Box::new((level, *values, config, network))))
        }
    }
}

/// Loads the network that the options name.
///
/// # Errors
/// An unknown name, a file that is no configuration, forks out of order: a parameter error, as upstream.
pub fn network(level: Level, choice: &NetworkChoice) -> Result<Network, UsageError> {
    let wrong = |error: &dyn std::error::Error| {
        UsageError::new(
            level,
            format!(
                "Failed to load network {} due to {}",
                choice.name,
                crate::app::causes(error)
            ),
        )
    };
    let network = Network::from_option(&choice.name).map_err(|e| wrong(&e))?;
    let epochs = choice
        .epochs
        .iter()
        .filter_map(|(fork, epoch)| Fork::from_name(&fork.to_uppercase()).map(|fork| (fork, *epoch)));
    network.with_fork_epochs(epochs).map_err(|e| wrong(&e))
}

fn print(stdout: &Arc<Mutex<dyn Write + Send>>, text: &str) {
    let mut stdout = stdout.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .is_err()
    {
        // Nobody listens.
    }
}

fn print_error(outside: &mut Outside<'_>, text: &str) {
    if outside.stderr.write_all(text.as_bytes()).is_err() {
        // Nobody listens.
    }
}

async fn work(
    level: Level,
    values: &Values,
    config: &Config,
    network: Network,
    log: &Log,
    clock: Arc<dyn Clock>,
    threads: usize,
) -> Result<(), String> {
    let metrics = Arc::new(Metrics::new(log.clone()));
    let observer: Arc<dyn Observer> = Arc::clone(&metrics) as Arc<dyn Observer>;
    let protection = protect::open(config.slashing.as_ref(), &network, Arc::clone(&clock), observer)
        .await
        .map_err(|e| e.to_string())?;
    if level != Level::Eth2 {
        return commands::run(level, values, &protection, log).await;
    }
    log.info(format_args!(
        "starting {} for network {}",
        cli::VERSION,
        network.name()
    ));
    for note in &config.notes {
        log.warn(note);
    }
    if protection.is_on() {
        log.info(protection.describe());
    } else {
        log.warn(protection.describe());
    }
    raise_descriptors(log);
    let app = open(config, network, protection, metrics, log, &clock, threads)
        .await
        .map_err(|e| e.to_string())?;
    serve(app, config, log, clock).await
}

/// Reads keys, TLS and the map of clients.
async fn open(
    config: &Config,
    network: Network,
    protection: Protection,
    metrics: Arc<Metrics>,
    log: &Log,
    clock: &Arc<dyn Clock>,
    threads: usize,
) -> Result<Arc<App>, crate::app::LoadError> {
    let sources = Sources::of(config);
    use_artefacts(&protection, sources.artefacts.as_deref()).await?;
    let tls = config.tls.as_ref().map(TlsServer::load).transpose()?;
    let client_keys = read_client_keys(config.client_keys.as_deref())?;
    log.info(who_may_connect(config.tls.as_ref(), tls.as_ref()));
    let (keys, protection) = (
        Arc::new(Keys::new(settings(config, threads))),
        Arc::new(protection),
    );
    let loading = {
        let (keys, protection, log) = (Arc::clone(&keys), Arc::clone(&protection), log.clone());
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || load_keys(&keys, &protection, &log, &runtime))
    };
    if let Ok(outcome) = loading.await {
        outcome?;
    }
    let app = Arc::new(App {
        switches: Switches {
            slashing: protection.is_on(),
            extension: config.signing_extension,
            key_manager: config.key_manager.is_some(),
        },
        signer: Signer {
            network,
            keys,
            protection,
            pool: Pool::new(threads, Arc::clone(&metrics)),
            metrics,
        },
        log: log.clone(),
        access_log: config.log.access,
        hosts: config.http.hosts.clone(),
        origins: config.http.origins.clone(),
        client_keys: Current::new(client_keys),
        tls: tls.map(|tls| watch::channel(tls).0),
        reloads: Reloads::new(Arc::clone(clock)),
        reload_timeout: config.reload_timeout,
        sources,
    });
    app.count_keys();
    Ok(app)
}

async fn serve(app: Arc<App>, config: &Config, log: &Log, clock: Arc<dyn Clock>) -> Result<(), String> {
    let (stop, stopped) = watch::channel(false);
    let mut signals = Signals::new().map_err(|e| format!("no signals: {e}"))?;
    let (listener, address) = listen::listen(&config.http.host, config.http.port)
        .await
        .map_err(|e| e.to_string())?;
    let mut metrics_port = None;
    if let Some(metrics) = &config.metrics {
        let (listener, address) = listen::listen(&metrics.host, metrics.port)
            .await
            .map_err(|e| e.to_string())?;
        metrics_port = Some(address.port());
        log.info(format_args!("metrics on {address}"));
        let counters = Arc::clone(&app.signer.metrics);
        tokio::spawn(metrics_page::run(
            listener,
            metrics.clone(),
            counters,
            cli::VERSION,
            stopped.clone(),
        ));
    }
    let maintained = Arc::clone(&app.signer.protection);
    let maintenance = tokio::spawn(async move { maintained.maintain().await });
    let ports = config
        .data_path
        .as_deref()
        .map(|folder| PortsFile::write(folder, address.port(), metrics_port))
        .transpose()
        .map_err(|e| format!("--data-path: web3signer.ports cannot be written: {e}"))?;
    let shared = Arc::new(Shared {
        app: Arc::clone(&app),
        bodies: Bodies::default(),
        idle: config.http.idle,
        clock,
        stop: stopped,
    });
    log.info(format_args!("ready: listening on {address}"));
    let server = tokio::spawn(listen::run(listener, shared));
    loop {
        match signals.next().await {
            Signal::Reload => {
                if !app.start_reload() {
                    log.warn("SIGHUP: a reload runs already");
                }
            }
            Signal::Stop(name) => {
                log.info(format_args!("{name}: stopping"));
                break;
            }
        }
    }
    stop.send_replace(true);
    if tokio::time::timeout(FAREWELL, server).await.is_err() {
        log.warn("some connections did not end in time");
    }
    maintenance.abort();
    drop(ports);
    log.info("stopped");
    Ok(())
}

enum Signal {
    Reload,
    Stop(&'static str),
}

struct Signals {
    hangup: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.interrupt.recv() => Signal::Stop("SIGINT"),
            _ = self.terminate.recv() => Signal::Stop("SIGTERM"),
        }
    }
}

/// What the registry of keys must be told.
#[must_use]
pub fn settings(config: &Config, threads: usize) -> Settings {
    let keys = &config.keys;
    let passwords = match (&keys.passwords_path, &keys.password_file) {
        (Some(folder), _) => Some(BulkPasswords::Folder(folder.clone())),
        (None, Some(file)) => Some(BulkPasswords::File(file.clone())),
        (None, None) => None,
    };
    let stored = config.key_manager.is_none_or(|manager| manager.store);
    Settings {
        config: ConfigFolder {
            path: keys.config_path.clone(),
            max_file_bytes: keys.max_file_size,
        },
        bulk: keys
            .keystores_path
            .clone()
            .map(|keystores| Bulk { keystores, passwords }),
        import: if stored {
            ImportStorage::ConfigFolder
        } else {
            ImportStorage::MemoryOnly
        },
        effort: Effort::with_threads(
            std::num::NonZero::new(threads).unwrap_or(std::num::NonZero::<usize>::MIN),
        ),
    }
}

/// The usual soft limit of 1024 descriptors is less than the connections that are served.
fn raise_descriptors(log: &Log) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log.debug(format_args!("the limit of descriptors stays as it is: {error}"));
    }
}

//! Puts the parts of each sub-command together and runs them until a signal.

use std::ffi::OsString;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use abi::vsock::{BOOT_REPORT_PORT, LOG_PORT};
use anyhow::Context;
use clap::CommandFactory;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::attest::Relay;
use crate::cli::{Cli, Command};
use crate::config::{self, Config, ConfigError};
use crate::enclave::Enclave;
use crate::exit::Exit;
use crate::health;
use crate::http_server::{bind, serve_metrics};
use crate::https_proxy::HttpsProxy;
use crate::journal::{Clock, Journal};
use crate::logs;
use crate::metrics::Metrics;
use crate::notify::{self, Notify};
use crate::resolve::Resolver;
use crate::status::Report;
use crate::transport::Acceptor;
use crate::vsock_proxy::Way;
use crate::watchdog::driver::Driver;

/// What comes from outside.
#[expect(
    missing_debug_implementations,
    reason = "a clock and a writer have nothing to show"
)]
pub struct Outside {
    /// The time.
    pub clock: Clock,
    /// Where the log goes.
    pub log: Box<dyn Write + Send>,
    /// Where results go.
    pub out: Box<dyn Write + Send>,
    /// `NOTIFY_SOCKET`.
    pub notify_socket: Option<OsString>,
    /// How often systemd wants to hear that we live.
    pub alive: Option<Duration>,
}

/// Runs a sub-command to its end.
///
/// # Errors
/// With [`ConfigError`] as the cause when the configuration is wrong; else what went wrong with the world.
pub fn run(cli: Cli, mut outside: Outside) -> anyhow::Result<Exit> {
    if let Some(exit) = describe(&cli.command, outside.out.as_mut())? {
        return Ok(exit);
    }
    let config = Config::read(&cli.config)?;
    let format = cli.log_format.unwrap_or(config.log.format);
    let journal = Journal::new(format, config.log.level, outside.clock, outside.log);
    let notify = Notify::new(outside.notify_socket.as_deref()).context("NOTIFY_SOCKET")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let mut out = outside.out;
    let exit = runtime.block_on(async {
        match cli.command {
            // What describes the program was done before the configuration was read.
            Command::CheckConfig | Command::Completions(_) | Command::Man(_) => Ok(Exit::Ok),
            Command::Watchdog => Box::pin(watchdog(config, journal, notify, outside.alive)).await,
            Command::HttpsProxy(flags) => {
                https_proxy(config, flags.listen, journal, notify, outside.alive).await
            }
            Command::VsockProxy => vsock_proxy(config, journal, notify, outside.alive).await,
            Command::Status(flags) => {
                let report = Report::collect(&config).await;
                if flags.json {
                    writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
                } else {
                    report.write_text(&mut out)?;
                }
                Ok(report.exit())
            }
        }
    });
    // Connections that are still open end with the program.
    runtime.shutdown_timeout(Duration::from_secs(1));
    exit
}

/// What only describes this program, and needs neither configuration nor world; `None` for everything else.
fn describe(command: &Command, out: &mut dyn Write) -> anyhow::Result<Option<Exit>> {
    match command {
        Command::Completions(flags) => flags.write(Cli::command(), out)?,
        Command::Man(flags) => {
            let pages = flags.write(Cli::command());
            pages.with_context(|| format!("cannot write man pages to {}", flags.dir.display()))?;
        }
        _ => return Ok(None),
    }
    Ok(Some(Exit::Ok))
}

/// Becomes true with SIGTERM or SIGINT.
fn stop_on_signal(journal: &Journal) -> anyhow::Result<watch::Receiver<bool>> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    let journal = journal.clone();
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = term.recv() => "SIGTERM",
            _ = int.recv() => "SIGINT",
        };
        journal.info("stopping", &[("signal", &name)]);
        sender.send_replace(true);
        // Dropped senders would look like a stop that was never asked for.
        sender.closed().await;
    });
    Ok(receiver)
}

/// Counts SIGHUPs.
fn reload_on_signal(journal: &Journal) -> anyhow::Result<watch::Receiver<u64>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, receiver) = watch::channel(0);
    let journal = journal.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            journal.info("reload-asked", &[("signal", &"SIGHUP")]);
            sender.send_modify(|times| *times += 1);
        }
    });
    Ok(receiver)
}

async fn metrics_at(address: Option<std::net::SocketAddr>, metrics: &Metrics) -> anyhow::Result<()> {
    if let Some(address) = address {
        tokio::spawn(serve_metrics(bind(address).await?, metrics.clone()));
    }
    Ok(())
}

async fn watchdog(
    config: Config,
    journal: Journal,
    notify: Notify,
    alive: Option<Duration>,
) -> anyhow::Result<Exit> {
    let section = ConfigError::Section {
        command: "watchdog",
        section: "watchdog",
    };
    let watchdog = config.watchdog.ok_or(section)?;
    let mut stop = stop_on_signal(&journal)?;
    let metrics = Metrics::default();
    metrics_at(watchdog.metrics, &metrics).await?;
    let place = config.transport.place();
    let logs = Acceptor::bind(&place, LOG_PORT).context("listening for the enclave's log")?;
    tokio::spawn(logs::receive(
        logs,
        journal.clone(),
        logs::Counters::new(&metrics),
    ));
    // A command takes these reports itself, as it does the heartbeat.
    if matches!(watchdog.enclave, config::Enclave::NitroCli { .. }) {
        let reports = Acceptor::bind(&place, BOOT_REPORT_PORT).context("listening for boot reports")?;
        tokio::spawn(logs::receive_reports(reports, journal.clone()));
    }
    let enclave = Enclave::new(&watchdog.enclave, config.transport.cid, watchdog.times, &journal);
    let driver = Driver::new(
        watchdog,
        config.deployment,
        config.service,
        config.transport.dialer(),
        journal.clone(),
        &metrics,
        notify,
        alive,
        reload_on_signal(&journal)?,
    )?;
    stop.mark_unchanged();
    Box::pin(driver.run(enclave, stop)).await;
    journal.info("stopped", &[]);
    Ok(Exit::Ok)
}

async fn https_proxy(
    config: Config,
    listen: Option<std::net::SocketAddr>,
    journal: Journal,
    notify: Notify,
    alive: Option<Duration>,
) -> anyhow::Result<Exit> {
    let section = ConfigError::Section {
        command: "https-proxy",
        section: "https_proxy",
    };
    let settings = config.https_proxy.ok_or(section)?;
    let stop = stop_on_signal(&journal)?;
    let metrics = Metrics::default();
    metrics_at(settings.metrics, &metrics).await?;
    let dialer = config.transport.dialer();
    let listener = bind(listen.unwrap_or(settings.listen)).await?;
    let address = listener.local_addr()?;
    if let Some(address) = settings.health {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(health::serve_health(bind(address).await?, receiver));
        tokio::spawn(health::follow(dialer.clone(), health::INTERVAL, sender));
    }
    if let Some(address) = settings.attest {
        tokio::spawn(Relay::new(dialer.clone(), &metrics).serve(bind(address).await?));
    }
    tokio::spawn(HttpsProxy::new(dialer, settings.limits, &metrics).serve(listener));
    journal.info("listening", &[("address", &address)]);
    wait(stop, &notify, alive).await;
    Ok(Exit::Ok)
}

async fn vsock_proxy(
    config: Config,
    journal: Journal,
    notify: Notify,
    alive: Option<Duration>,
) -> anyhow::Result<Exit> {
    let section = ConfigError::Section {
        command: "vsock-proxy",
        section: "vsock_proxy",
    };
    let settings = config.vsock_proxy.ok_or(section)?;
    let stop = stop_on_signal(&journal)?;
    let metrics = Metrics::default();
    metrics_at(settings.metrics, &metrics).await?;
    let (place, resolver) = (config.transport.place(), Arc::new(Resolver::default()));
    let mut ways = tokio::task::JoinSet::new();
    for route in &settings.route {
        let way = Way::open(&place, route, settings.limits, &resolver, &metrics, &journal)?;
        journal.info(
            "listening",
            &[
                ("vsock_port", &route.vsock_port),
                ("host", &route.host),
                ("port", &route.port),
            ],
        );
        ways.spawn(way.serve());
    }
    wait(stop, &notify, alive).await;
    Ok(Exit::Ok)
}

/// Says that the service is there, and waits for a signal.
async fn wait(mut stop: watch::Receiver<bool>, notify: &Notify, alive: Option<Duration>) {
    notify.tell(notify::State::Ready);
    let mut stopped = std::pin::pin!(stop.wait_for(|stop| *stop));
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            () = tokio::time::sleep(alive.unwrap_or(Duration::from_mins(1))) => notify.tell(notify::State::Alive),
        }
    }
    notify.tell(notify::State::Stopping);
}

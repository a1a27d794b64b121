//! Every option, one row each. The parser, the environment, the configuration file and the help are derived from the
//! rows; nothing else in the program lists options.
//!
//! Source: Web3Signer 26.4.2.

use super::option::{Effect, Kind, Level, Opt};
use super::table_eth2::{CLOUD, ETH2, SLASHING};

const LOADING: &str = "keys are loaded by all processors at once, and each file has its own limits";
const NO_JVM: &str = "there is no Vert.x worker pool; one signing thread for each processor";
const PUSH: &str = "metrics are read from the metrics port, not pushed";

/// A row with the usual marks; the functions below change one mark each.
pub(super) const fn row(
    level: Level,
    names: &'static [&'static str],
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> Opt {
    let label = match kind {
        Kind::Switch | Kind::Boolean => "<BOOL>",
        Kind::Int { .. } => "<INTEGER>",
        Kind::Long | Kind::Unsigned => "<NUMBER>",
        Kind::Text | Kind::Secret => "<VALUE>",
        Kind::List => "<VALUE>[,<VALUE>...]",
        Kind::Choice(_) => "<WORD>",
    };
    Opt {
        level,
        names,
        kind,
        label,
        default,
        effect: Effect::Works,
        hidden: false,
        help,
    }
}

pub(super) const fn label(mut opt: Opt, label: &'static str) -> Opt {
    opt.label = label;
    opt
}

pub(super) const fn effect(mut opt: Opt, effect: Effect) -> Opt {
    opt.effect = effect;
    opt
}

pub(super) const fn hidden(mut opt: Opt) -> Opt {
    opt.hidden = true;
    opt
}

/// `<BOOL>` and the like do for most; hosts, ports and paths have names of their own.
pub(super) const fn path(opt: Opt) -> Opt {
    label(opt, "<PATH>")
}

const G: Level = Level::Web3signer;

#[rustfmt::skip]
const GLOBAL: &[Opt] = &[
    label(row(G, &["--config-file"], Kind::Text, None, "Configuration file in YAML. Only honoured on the command line."), "<FILE>"),
    path(row(G, &["--data-path"], Kind::Text, None, "Folder for the file web3signer.ports.")),
    path(row(G, &["--key-config-path", "--key-store-path"], Kind::Text, Some("./"), "Folder of the YAML files that name the keys.")),
    row(G, &["--key-store-config-file-max-size"], Kind::Int { min: i64::MIN }, Some("104857600"), "Largest YAML key file, in bytes."),
    label(row(G, &["--logging", "-l"], Kind::Choice(&["OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL"]), Some("INFO"), "Which events to log: OFF, FATAL, ERROR, WARN, INFO, DEBUG, TRACE, ALL."), "<LOG VERBOSITY LEVEL>"),
    effect(row(G, &["--logging-format"], Kind::Choice(&["PLAIN", "ECS", "GCP", "LOGSTASH", "GELF"]), Some("PLAIN"), "Upstream's log formats."), Effect::Nothing("the log is plain text, one line an event")),
    label(row(G, &["--http-listen-host"], Kind::Text, Some("127.0.0.1"), "Address to listen on."), "<HOST>"),
    label(row(G, &["--http-listen-port"], Kind::Int { min: 0 }, Some("9000"), "Port to listen on; 0 takes any free one."), "<PORT>"),
    row(G, &["--http-host-allowlist"], Kind::List, Some("localhost,127.0.0.1"), "Host names that requests may carry; * or all: any; none."),
    row(G, &["--http-cors-origins"], Kind::List, Some("none"), "Origins for CORS; * or all: any; none."),
    row(G, &["--idle-connection-timeout-seconds"], Kind::Int { min: 1 }, Some("30"), "Seconds after which an idle connection is closed."),
    effect(row(G, &["--vertx-worker-pool-size"], Kind::Int { min: i64::MIN }, None, "Size of upstream's worker pool."), Effect::Nothing(NO_JVM)),
    row(G, &["--access-logs-enabled"], Kind::Switch, Some("false"), "Log one line for each request."),
    row(G, &["--metrics-enabled"], Kind::Switch, Some("false"), "Serve metrics."),
    label(row(G, &["--metrics-host"], Kind::Text, Some("127.0.0.1"), "Address of the metrics server."), "<HOST>"),
    label(row(G, &["--metrics-port"], Kind::Int { min: 0 }, Some("9001"), "Port of the metrics server; 0 takes any free one."), "<PORT>"),
    row(G, &["--metrics-host-allowlist"], Kind::List, Some("localhost,127.0.0.1"), "Host names that requests for metrics may carry."),
    label(row(G, &["--metrics-category", "--metrics-categories"], Kind::List, Some("HTTP,SIGNING,JVM,ETH2_SLASHING_PROTECTION,PROCESS"), "Groups of metrics to serve. JVM is accepted; there is no JVM to report on."), "<category name>"),
    effect(row(G, &["--metrics-push-enabled"], Kind::Switch, Some("false"), "Push metrics to a gateway."), Effect::Refused(PUSH)),
    effect(row(G, &["--metrics-push-host"], Kind::Text, None, "Host of the push gateway."), Effect::Nothing(PUSH)),
    effect(row(G, &["--metrics-push-port"], Kind::Int { min: 0 }, None, "Port of the push gateway."), Effect::Nothing(PUSH)),
    effect(row(G, &["--metrics-push-interval"], Kind::Int { min: i64::MIN }, None, "Seconds between pushes."), Effect::Nothing(PUSH)),
    effect(row(G, &["--metrics-push-prometheus-job"], Kind::Text, None, "Job name of pushed metrics."), Effect::Nothing(PUSH)),
    row(G, &["--reload-timeout"], Kind::Int { min: 1 }, Some("30"), "Minutes that a reload may take."),
    effect(row(G, &["--signer-load-timeout"], Kind::Int { min: 1 }, None, "Seconds that one key may take to load."), Effect::Nothing(LOADING)),
    effect(row(G, &["--signer-load-batch-size"], Kind::Int { min: 100 }, None, "Keys in a batch."), Effect::Nothing(LOADING)),
    effect(row(G, &["--signer-load-sequential-threshold"], Kind::Int { min: 1 }, None, "Keys up to which loading is sequential."), Effect::Nothing(LOADING)),
    effect(row(G, &["--signer-load-parallel"], Kind::Boolean, None, "Load keys in parallel."), Effect::Nothing(LOADING)),
    label(row(G, &["--tls-keystore-file"], Kind::Text, None, "PKCS#12 file with the server's key and certificate."), "<FILE>"),
    label(row(G, &["--tls-keystore-password-file"], Kind::Text, None, "File whose first line is the password of that file."), "<FILE>"),
    label(row(G, &["--tls-known-clients-file"], Kind::Text, None, "File of the clients that may connect: common name and SHA-256 fingerprint, one a line."), "<FILE>"),
    row(G, &["--tls-allow-ca-clients"], Kind::Boolean, Some("false"), "Also accept clients with a certificate of a CA in --tls-client-ca-file."),
    row(G, &["--tls-allow-any-client"], Kind::Boolean, Some("false"), "Ask for no client certificate."),
    effect(label(row(G, &["--tls-client-ca-file"], Kind::Text, None, "PEM file of the CAs that --tls-allow-ca-clients=true trusts. Upstream trusts the JVM's public store instead; this signer has none."), "<FILE>"), Effect::Own),
];

/// All rows, global ones first.
pub fn all() -> impl Iterator<Item = &'static Opt> {
    GLOBAL.iter().chain(ETH2).chain(SLASHING).chain(CLOUD)
}

/// The option of this name at this level.
#[must_use]
pub fn find(level: Level, name: &str) -> Option<&'static Opt> {
    all().find(|opt| opt.level == level && opt.names.contains(&name))
}

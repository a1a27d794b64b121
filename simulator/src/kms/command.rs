//! `simulator kms`: starts the KMS as the flags say, prints where things are and one line a call, until Ctrl-C.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::Context as _;
use attest::TrustRoot;
use serde_json::{Value, json};

use super::cli::{Action, Control, Form, Serve};
use super::clock::Clock;
use super::control::{self, Message};
use super::envelope::ContentForm;
use super::pki::{Ca, Identity, names};
use super::principal::Principals;
use super::record::{Entry, Log};
use super::server::{Listen, Server, clear_stale};
use super::service::{Kms, Settings};
use super::state;
use super::store::Store;
use super::trust::Trust;
use crate::forward::{ForwardError, check_loopback};

/// How long the loop sleeps when nobody calls; a Ctrl-C is seen after that at the latest.
const LOOK: Duration = Duration::from_millis(100);
/// Log lines that wait for a slow reader; calls wait beyond that.
const WAITING_LINES: usize = 4096;
/// The key of `--key-policy`.
const ALIAS: &str = "alias/simulator";
/// Name of the socket in the state folder.
const CONTROL: &str = "control.sock";

/// Refuses addresses that the flags do not permit.
///
/// # Errors
/// [`ForwardError::NotLoopback`], a wrong usage.
pub fn check(flags: &Serve) -> Result<(), ForwardError> {
    match flags.listen {
        Some(address) if !flags.allow_non_loopback => check_loopback(address),
        _ => Ok(()),
    }
}

/// Runs the KMS until `stop` is set.
///
/// # Errors
/// Whatever keeps it from starting.
pub fn serve(
    flags: &Serve,
    temporary: &Path,
    clock: Clock,
    stop: &AtomicBool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let private = match &flags.state {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("kms-").tempdir_in(temporary)?),
    };
    let folder = flags
        .state
        .as_deref()
        .or_else(|| private.as_ref().map(tempfile::TempDir::path))
        .context("no folder")?;
    state::make(folder)?;
    let folder =
        &std::fs::canonicalize(folder).with_context(|| format!("cannot find {}", folder.display()))?;
    // First: a folder that another KMS uses must stay as it is.
    let control = folder.join(CONTROL);
    clear_stale(&control)?;
    state::forget_env(folder)?;

    let (sender, entries) = sync_channel::<Entry>(WAITING_LINES);
    // When the reader is gone, so is the program.
    let log = Log::new(move |entry| drop(sender.send(entry.clone())));
    let settings = settings(flags, folder, clock, log)?;
    let trust = settings.trust.describe();
    let credentials = state::credentials(folder, &settings.principals)?;
    let principals = settings.principals.clone();
    let kms = Kms::new(settings, Store::open(folder)?);
    let key = flags
        .key_policy
        .as_deref()
        .map(|path| policy_key(&kms, path))
        .transpose()?;

    let (identity, ca) = identity(flags, folder)?;
    let listener =
        UnixListener::bind(&control).with_context(|| format!("cannot listen on {}", control.display()))?;
    control::serve(listener, std::sync::Arc::clone(&kms)).context("cannot start a thread")?;
    let listen = Listen {
        tcp: match (flags.listen, &flags.unix) {
            (None, None) => Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0))),
            (address, _) => address,
        },
        unix: flags.unix.clone(),
    };
    let server = Server::start(kms, identity, &listen)?;
    let endpoint = server.tcp().map(|address| format!("https://{address}"));
    let env = state::env(
        folder,
        ca.as_deref(),
        endpoint.as_deref(),
        &flags.region,
        &principals,
    )?;

    let ready = json!({
        "kind": "ready",
        "text": "the KMS takes calls",
        "endpoint": endpoint,
        "unix": flags.unix,
        "ca": ca,
        "credentials": credentials,
        "env": env,
        "control": control,
        "region": flags.region,
        "account": flags.account.as_str(),
        "trust": trust,
        "key": key,
    });
    let mut show = Show {
        json: flags.json,
        out,
    };
    show.ready(&ready)?;
    while !stop.load(Ordering::Relaxed) {
        match entries.recv_timeout(LOOK) {
            Ok(entry) => show.entry(&entry)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    server.stop();
    // Somebody may have tidied up already.
    drop(std::fs::remove_file(&control));
    Ok(())
}

fn settings(flags: &Serve, folder: &Path, clock: Clock, log: Log) -> anyhow::Result<Settings> {
    let principals = match &flags.principals {
        Some(path) => path.clone(),
        None => state::principals(folder, &flags.region, &flags.account)?,
    };
    let text = zeroize::Zeroizing::new(read(&principals)?);
    let principals =
        Principals::from_toml(&text).with_context(|| format!("cannot use {}", principals.display()))?;
    let mut settings = Settings::new(
        &flags.region,
        flags.account.clone(),
        principals,
        trust(&flags.root)?,
    );
    settings.clock = clock;
    settings.log = log;
    settings.form = match flags.content_form {
        Form::Constructed => ContentForm::Constructed,
        Form::Primitive => ContentForm::Primitive,
    };
    Ok(settings)
}

/// The given certificate; else one of the test CA, whose file is given too.
fn identity(flags: &Serve, folder: &Path) -> anyhow::Result<(Identity, Option<PathBuf>)> {
    if let (Some(cert), Some(key)) = (&flags.tls_cert, &flags.tls_key) {
        let key = zeroize::Zeroizing::new(read(key)?);
        return Ok((Identity::from_pem(&read(cert)?, &key)?, None));
    }
    let identity = Ca::in_folder(folder)?.identity(&names(&flags.region))?;
    Ok((identity, Some(folder.join("ca.pem"))))
}

fn trust(root: &str) -> anyhow::Result<Trust> {
    Ok(match root {
        "aws" => Trust::aws(),
        "danger-unsigned-simulator" => Trust::danger_unsigned_simulator(),
        path => {
            let pem = read(Path::new(path))?;
            Trust::Root(TrustRoot::from_pem(&pem).with_context(|| format!("cannot use --root {path}"))?)
        }
    })
}

/// The key of the alias, with the policy of the file.
fn policy_key(kms: &Kms, path: &Path) -> anyhow::Result<String> {
    let text = read(path)?;
    let unusable = || format!("cannot use {}", path.display());
    if let Some(key) = kms.alias(ALIAS) {
        kms.put_policy(&key, &text).with_context(unusable)?;
        return Ok(key);
    }
    let key = kms.add_key(&text).with_context(unusable)?;
    kms.set_alias(ALIAS, &key)?;
    Ok(key)
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What is printed.
struct Show<'a> {
    json: bool,
    out: &'a mut dyn Write,
}

impl Show<'_> {
    fn ready(&mut self, ready: &Value) -> std::io::Result<()> {
        if self.json {
            writeln!(self.out, "{ready}")?;
            return self.out.flush();
        }
        for (name, value) in ready.as_object().into_iter().flatten() {
            if let (false, Some(value)) = (name == "kind" || name == "text", value.as_str()) {
                writeln!(self.out, "{name:12} {value}")?;
            }
        }
        writeln!(self.out, "ready; Ctrl-C ends it")?;
        self.out.flush()
    }

    fn entry(&mut self, entry: &Entry) -> std::io::Result<()> {
        if self.json {
            let mut value = entry.to_json();
            if let Some(map) = value.as_object_mut() {
                map.insert("kind".to_owned(), "call".into());
                map.insert("text".to_owned(), entry.to_string().into());
            }
            writeln!(self.out, "{value}")?;
        } else {
            writeln!(self.out, "{entry}")?;
        }
        self.out.flush()
    }
}

/// `simulator kms-control`: asks the running KMS and prints its answer. `None` when the flags make no fault.
///
/// # Errors
/// When nobody listens in the state folder, or the KMS refuses.
pub fn ask(flags: &Control, out: &mut dyn Write) -> anyhow::Result<Option<()>> {
    let message = match &flags.action {
        Action::Counts => Message::Counts {},
        Action::Clear => Message::Clear {},
        Action::Fault(fault) => match fault.fault() {
            Some(fault) => Message::fault(&fault),
            None => return Ok(None),
        },
    };
    let path = flags.state.join(CONTROL);
    let answer = control::ask(&path, &message)
        .with_context(|| format!("no KMS answers at {}; is it running?", path.display()))?;
    if let Some(error) = answer.get("error") {
        anyhow::bail!("the KMS refuses: {error}");
    }
    writeln!(out, "{answer}")?;
    Ok(Some(()))
}

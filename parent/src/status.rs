//! `status`: the enclave's own word, then the service through the https-proxy with TLS verified.

use std::io::Write;
use std::time::Duration;

use control::request::Request;
use control::status::Status;
use control::text::PublicKey;
use serde::Serialize;
use tokio::net::TcpStream;

use crate::ask::ask;
use crate::config::Config;
use crate::exit::Exit;
use crate::health::ready;
use crate::journal::chain;
use crate::service::Client;
use crate::transport::BoxStream;

/// Time for each question.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The enclave's status; absent when it does not answer.
    pub enclave: Option<Status>,
    /// Why it does not answer.
    pub enclave_error: Option<String>,
    /// Why the signer is not ready; absent when it is.
    pub not_ready: Option<String>,
    /// The service over TLS; absent when the configuration does not say how to reach it.
    pub service: Option<Seen>,
}

/// The service as its clients see it.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// `/upcheck` was good.
    pub upcheck: bool,
    /// Its public keys, ascending.
    pub public_keys: Vec<PublicKey>,
    /// What went wrong.
    pub error: Option<String>,
}

impl Report {
    /// Asks.
    pub async fn collect(config: &Config) -> Self {
        let asked = ask::<Status>(&config.transport.dialer(), &Request::Status, PATIENCE).await;
        let (enclave, enclave_error) = match asked {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(chain(&error))),
        };
        let not_ready = enclave.as_ref().and_then(|status| ready(status).err());
        let service = match &config.service.address {
            Some(address) => Some(see(config, address).await),
            None => None,
        };
        Self {
            enclave,
            enclave_error,
            not_ready,
            service,
        }
    }

    /// The exit code. The first failure counts.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.enclave.is_none() {
            Exit::NoEnclave
        } else if self.not_ready.is_some() {
            Exit::NotReady
        } else if self.service.as_ref().is_some_and(|seen| seen.error.is_some()) {
            Exit::Service
        } else {
            Exit::Ok
        }
    }

    /// For people. What the enclave says is escaped.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn write_text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        match (&self.enclave, &self.enclave_error) {
            (Some(status), _) => write_status(status, out)?,
            (None, error) => line(out, "enclave", error.as_deref().unwrap_or("does not answer"))?,
        }
        let ready = if self.enclave.is_some() { "yes" } else { "no" };
        line(out, "ready", self.not_ready.as_deref().unwrap_or(ready))?;
        let Some(seen) = &self.service else {
            return line(
                out,
                "service",
                "not asked: set service.address, service.trust and a client certificate",
            );
        };
        if let Some(error) = &seen.error {
            return line(out, "service", error);
        }
        line(out, "service", "upcheck good")?;
        line(out, "public keys", &seen.public_keys.len().to_string())?;
        seen.public_keys
            .iter()
            .try_for_each(|key| line(out, "", key.as_str()))
    }
}

fn write_status(status: &Status, out: &mut dyn Write) -> std::io::Result<()> {
    line(out, "enclave", &status.module_id)?;
    line(out, "version", &status.version)?;
    line(out, "stage", &status.stage)?;
    line(out, "uptime", &format!("{} s", status.uptime_ms / 1000))?;
    line(
        out,
        "debug mode",
        if status.debug {
            "YES: PCRs are zero, KMS will refuse"
        } else {
            "no"
        },
    )?;
    for (index, pcr) in &status.pcrs {
        line(out, &format!("PCR{index}"), pcr)?;
    }
    if let Some(phase) = status.phase {
        line(out, "bootstrap", &word(&phase))?;
    }
    if let Some(hash) = &status.config_sha384 {
        line(out, "config", hash)?;
    }
    if let Some(signer) = &status.signer {
        line(
            out,
            "signer",
            &format!("{}, started again {} times", word(&signer.state), signer.restarts),
        )?;
    }
    if let Some(keys) = status.keys {
        line(out, "keys", &keys.to_string())?;
    }
    if let Some(certificate) = &status.certificate {
        let until = aws_smithy_types::DateTime::from_secs(certificate.not_after_unix_s);
        line(
            out,
            "certificate",
            &format!("{} until {until}", certificate.sha256),
        )?;
    }
    if let Some(clock) = &status.clock {
        let offset = clock
            .offset_us
            .map_or_else(|| "not known".to_owned(), |us| format!("{us} us"));
        line(out, "clock", &format!("{}, offset {offset}", clock.source))?;
    }
    for (kind, version) in &status.artefact_versions {
        line(out, &format!("{} version", kind.name()), &version.to_string())?;
    }
    for (program, version) in &status.versions {
        line(out, program, version)?;
    }
    status
        .log_dropped
        .map_or(Ok(()), |dropped| line(out, "log dropped", &dropped.to_string()))
}

fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn line(out: &mut dyn Write, name: &str, value: &str) -> std::io::Result<()> {
    let clean = |text: &str| {
        text.chars()
            .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
            .collect::<String>()
    };
    writeln!(out, "{:<14} {}", clean(name), clean(value))
}

async fn see(config: &Config, address: &str) -> Seen {
    let mut seen = Seen {
        upcheck: false,
        public_keys: Vec::new(),
        error: None,
    };
    let asked = async {
        let client = Client::new(&config.service, None).map_err(|error| chain(&error))?;
        client
            .upcheck(connect(address).await?)
            .await
            .map_err(|error| chain(&error))?;
        seen.upcheck = true;
        client
            .public_keys(connect(address).await?)
            .await
            .map_err(|error| chain(&error))
    };
    match asked.await {
        Ok(keys) => seen.public_keys = keys,
        Err(error) => seen.error = Some(error),
    }
    seen
}

async fn connect(address: &str) -> Result<BoxStream, String> {
    let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
    let stream = connecting.map_err(|_| format!("no connection to {address} in time"))?;
    let stream = stream.map_err(|error| format!("no connection to {address}: {error}"))?;
    Ok(Box::new(stream))
}

//! What one call is made of, each part measured alone in this process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kmstool_rs::tls;
use kmstool_rs::unwrap_key::UnwrapKey;
use nsm::{RecipientNsm as _, Session};
use rustls_pki_types::ServerName;
use simulator::kms::server::Server;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use crate::module::Module;
use crate::pki::Pki;

/// Measures and prints every part; medians, because other programs run too.
pub(crate) fn print(server: &Server, pki: Arc<Pki>, ca: &Path) -> Result<()> {
    let key = median(30, || Ok(UnwrapKey::generate()?))?;
    let public = UnwrapKey::generate()?.public_der().to_vec();
    let module = Session::new(Module(pki));
    let document = median(100, || Ok(module.attest_for_recipient(&public)?))?;
    let roots = median(30, || Ok(tls::from_file(ca)?))?;
    let socket = server.unix().context("the KMS has no socket")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let session = median(50, || {
        // A configuration of its own each time: sessions must not be resumed, as in a fresh process.
        let connector = TlsConnector::from(tls::from_file(ca)?);
        let name = ServerName::try_from("kms.us-east-1.amazonaws.com")?;
        runtime.block_on(async {
            let stream = UnixStream::connect(socket).await?;
            connector.connect(name, stream).await?;
            Ok(())
        })
    })?;
    println!("  parts, median:");
    for (name, time) in [
        ("RSA-2048 key", key),
        ("document (module of software)", document),
        ("CA file", roots),
        ("connection and TLS handshake", session),
    ] {
        println!("    {name:<31}{:>8.2} ms", time.as_secs_f64() * 1000.0);
    }
    Ok(())
}

fn median<T>(rounds: usize, mut part: impl FnMut() -> Result<T>) -> Result<Duration> {
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        let made = part()?;
        times.push(started.elapsed());
        drop(made);
    }
    times.sort_unstable();
    times.get(rounds / 2).copied().context("no round")
}

//! Everything at once: both ports, the signer's health, the log. It ends only when something breaks that a new agent mends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use control::Surface;
use control::log::{Level, Source};
use tokio::select;

use crate::connection::Bounds;
use crate::core::Core;
use crate::failure::Failure;
use crate::follow;
use crate::listen::{self, Listener};

/// Where PID 1 and the services say things.
#[derive(Clone, Debug)]
pub struct Voices {
    /// Files of events, in the order in which they are filled.
    pub events: Vec<PathBuf>,
    /// Pipes of services.
    pub outputs: Vec<(PathBuf, Source)>,
}

/// Why the agent ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// A port accepts no more.
    #[error("vsock port {port} accepts no more connections")]
    Port {
        /// The port.
        port: u32,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// PID 1 does not answer.
    #[error("PID 1 does not answer")]
    Pid1,
    /// The manifest's config cannot be used.
    #[error("the manifest's deployment config cannot be used")]
    Manifest(#[source] Failure),
}

/// Runs the agent.
///
/// # Errors
/// [`Ended`]; it never returns otherwise.
pub async fn run<L: Listener>(
    core: Arc<Core>,
    service: L,
    control: L,
    voices: Voices,
    bounds: Bounds,
) -> Result<std::convert::Infallible, Ended> {
    let every = Duration::from_secs(core.parts.policy.signer.upcheck_every_s.into());
    let port = |surface: Surface| {
        let port = surface.port();
        move |ended: std::io::Result<()>| match ended {
            Err(source) => Ended::Port { port, source },
            Ok(()) => Ended::Port {
                port,
                source: std::io::ErrorKind::UnexpectedEof.into(),
            },
        }
    };
    for (path, source) in voices.outputs {
        let core = Arc::clone(&core);
        tokio::spawn(async move { follow::output(&path, source, core.ring()).await });
    }
    let dial = core.dial();
    let recovers = core.is_not_the_first();
    let start = async {
        if let Err(failure) = Arc::clone(&core).configure_from_manifest().await {
            return Err(Ended::Manifest(failure));
        }
        if recovers && let Err(failure) = Arc::clone(&core).recover().await {
            let fields = [("code", failure.code()), ("error", &failure.text())];
            core.ring().say(Level::Error, "not-recovered", &fields);
        }
        std::future::pending().await
    };
    core.ring().say(
        Level::Info,
        "listening",
        &[("version", env!("CARGO_PKG_VERSION"))],
    );
    select! {
        ended = listen::serve(&service, Surface::Service, &core, bounds) => Err(port(Surface::Service)(ended)),
        ended = listen::serve(&control, Surface::Control, &core, bounds) => Err(port(Surface::Control)(ended)),
        ended = start => ended,
        () = core.pid1().lost() => Err(Ended::Pid1),
        () = core.book().keep_looking(every) => Err(Ended::Pid1),
        () = follow::events(&voices.events, core.ring(), core.book()) => Err(Ended::Pid1),
        () = core.ring().send(&*dial) => Err(Ended::Pid1),
    }
}

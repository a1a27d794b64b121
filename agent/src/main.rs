//! Starts the agent. All it does is in the library.
#![forbid(unsafe_code)]

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use abi::vsock::CONTROL_PORT;
use agent::channel::Channel;
use agent::connection::CONTROL;
use agent::listen::{self, Vsock};
use agent::operations::Operations;
use agent::sources::Sources;
use anyhow::Context;
use nsm::Session;

/// How long one answer may take. The module answers in milliseconds; its driver gives up after 120 s.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<()> {
    let channel = Channel::take(std::io::stdin()).context("taking the channel to PID 1")?;
    let session = Session::open().context("opening the NSM")?;
    let operations = Operations::new(Arc::new(session), Sources::system(), PATIENCE);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .context("starting the runtime")?;
    let served = runtime.block_on(async {
        let listener =
            Vsock::bind(CONTROL_PORT).with_context(|| format!("listening on vsock port {CONTROL_PORT}"))?;
        let version = env!("CARGO_PKG_VERSION");
        writeln!(
            std::io::stderr(),
            "nitro-agent event=listening port={CONTROL_PORT} version={version}"
        )?;
        listen::serve(&listener, &operations, CONTROL)
            .await
            .context("accepting connections")
    });
    drop(channel);
    served
}

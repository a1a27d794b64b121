//! Whether the enclave is ready, asked by load balancers: `GET /healthz` gives 200 or 503.
//!
//! The enclave is asked in the background, so a flood of questions here asks it no oftener.

use std::sync::Arc;
use std::time::Duration;

use control::request::Request;
use control::status::{Phase, SignerState, Status};
use http::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::ask::ask;
use crate::http_server::{Answer, TEXT, answer, serve};
use crate::journal::chain;
use crate::limits::Places;
use crate::transport::Dialer;

/// Pause between two questions to the enclave.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Time for its answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What is known: nothing yet, ready, or why not.
pub type Health = Option<Result<(), String>>;

/// Whether the signer works; else a short reason.
///
/// # Errors
/// The reason.
pub fn ready(status: &Status) -> Result<(), String> {
    match (status.phase, status.signer.as_ref().map(|signer| signer.state)) {
        (Some(Phase::Initialised), Some(SignerState::Healthy)) => Ok(()),
        (Some(Phase::Initialised), Some(state)) => Err(format!("the signer is {}", name(&state))),
        (Some(phase), _) => Err(format!("the enclave is {}", name(&phase))),
        (None, _) => Err("this image's agent says nothing about a signer".to_owned()),
    }
}

/// The word in JSON.
fn name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Asks for ever, every `interval`.
pub async fn follow(dialer: Dialer, interval: Duration, health: watch::Sender<Health>) {
    loop {
        let state = match ask::<Status>(&dialer, &Request::Status, PATIENCE).await {
            Ok(status) => ready(&status),
            Err(error) => Err(chain(&error)),
        };
        health.send_replace(Some(state));
        tokio::time::sleep(interval).await;
    }
}

/// Answers load balancers for ever.
pub async fn serve_health(listener: TcpListener, health: watch::Receiver<Health>) {
    let health = Arc::new(health);
    let respond = move |request: http::Request<hyper::body::Incoming>, _| {
        let health = Arc::clone(&health);
        async move { respond(request.uri().path(), &health.borrow()) }
    };
    serve(listener, Places::new(64, 64), respond).await;
}

fn respond(path: &str, health: &Health) -> Answer {
    if path != "/healthz" {
        return answer(StatusCode::NOT_FOUND, TEXT, "only /healthz is here\n");
    }
    match health {
        Some(Ok(())) => answer(StatusCode::OK, TEXT, "ready\n"),
        // The reason is for the operator's log, not for who can reach the port.
        Some(Err(_)) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        None => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not known yet\n"),
    }
}

#[cfg(test)]
mod tests {
    use control::status::Signer;

    use super::*;

    fn status(phase: Option<Phase>, state: Option<SignerState>) -> Status {
        let text = r#"{"boot":[],"debug":false,"entropy_source":"nsm-hwrng","module_id":"m","pcrs":{},"stage":"running","uptime_ms":1,"version":"1"}"#;
        let mut status: Status = serde_json::from_str(text).unwrap();
        status.phase = phase;
        status.signer = state.map(|state| Signer {
            state,
            restarts: 0,
            healthy_ms_ago: None,
        });
        status
    }

    #[test]
    fn only_a_healthy_signer_is_ready() {
        let ready = |phase, state| ready(&status(phase, state));
        assert_eq!(
            ready(Some(Phase::Initialised), Some(SignerState::Healthy)),
            Ok(())
        );
        for (phase, state, reason) in [
            (
                Some(Phase::Initialised),
                Some(SignerState::Restarting),
                "the signer is restarting",
            ),
            (Some(Phase::Initialised), None, "the enclave is initialised"),
            (
                Some(Phase::InitFailed),
                Some(SignerState::Healthy),
                "the enclave is init-failed",
            ),
            (None, None, "this image's agent says nothing about a signer"),
        ] {
            assert_eq!(ready(phase, state), Err(reason.to_owned()));
        }
    }

    #[test]
    fn answers_follow_what_is_known() {
        let status = |path, health| respond(path, &health).status().as_u16();
        assert_eq!(status("/healthz", Some(Ok(()))), 200);
        assert_eq!(status("/healthz", Some(Err("x".to_owned()))), 503);
        assert_eq!(status("/healthz", None), 503);
        assert_eq!(status("/", Some(Ok(()))), 404);
    }
}

//! From a message to its answer. What is asked is read by [`control::reader`] only.

use std::sync::Arc;

use control::Surface;
use control::request::Request;
use serde::Serialize;

use crate::answer::Answer;
use crate::budget::Buffer;
use crate::core::Core;
use crate::counters::count;
use crate::failure::Failure;
use crate::status;

/// Answers one message. What it changes is done to its end even if nobody waits for the answer any more.
pub async fn answer(core: &Arc<Core>, surface: Surface, message: Buffer) -> Answer {
    let answer = match Request::parse(message.bytes(), surface) {
        Ok(request) => {
            let core = Arc::clone(core);
            // The message's memory is given back when its request has been dealt with: what was read from it is as long.
            let work = tokio::spawn(async move {
                let answer = perform(core, request).await;
                drop(message);
                answer
            });
            work.await.unwrap_or_else(|_| Failure::Stopped.answer())
        }
        Err(error) => Answer::message(&error),
    };
    count(if answer.status == control::answer::OK {
        &core.counters.answers_ok
    } else {
        &core.counters.answers_refused
    });
    answer
}

async fn perform(core: Arc<Core>, request: Request) -> Answer {
    match request {
        Request::InitState => Answer::ok(&core.init_state()),
        Request::Init(init) => told(core.init(init).await),
        Request::Attest { nonce } => told(core.attest(nonce).await),
        Request::Configure { config } => told(core.configure(config).await),
        Request::Status => told(read_status(&core).await),
        Request::AddKeys {
            encrypted_validator_keys,
        } => told(core.add_keys(encrypted_validator_keys).await),
        Request::RemoveKeys { public_keys } => told(core.remove_keys(public_keys).await),
        Request::SetClients { encrypted_clients } => told(core.set_clients(encrypted_clients).await),
        Request::RefreshCredentials { credential } => told(core.refresh_credentials(credential)),
        Request::Metrics => Answer::ok(&core.metrics()),
        other => Answer::refused(
            control::answer::BAD_REQUEST,
            "unknown-operation",
            &format!("{:?}", other.name()),
        ),
    }
}

fn told(result: Result<impl Serialize, Failure>) -> Answer {
    match result {
        Ok(body) => Answer::ok(&body),
        Err(failure) => failure.answer(),
    }
}

async fn read_status(core: &Core) -> Result<control::status::Status, Failure> {
    let (nsm, sources) = (Arc::clone(&core.parts.nsm), core.parts.sources.clone());
    let status = core
        .in_turn(move || Ok(status::collect(&*nsm, &sources)?))
        .await?;
    Ok(core.complete(status))
}

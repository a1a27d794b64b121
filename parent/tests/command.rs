//! The watchdog with a command in place of nitro-cli.

use std::time::Duration;

use parent::enclave::command::Command;

fn command(script: &str) -> Command {
    Command::new(["sh", "-c", script].map(str::to_owned).into())
}

#[tokio::test]
async fn it_runs_is_seen_and_ends_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let ended = dir.path().join("ended");
    let mut command = command(&format!(
        "trap 'touch {}; exit 0' TERM; while :; do sleep 0.05; done",
        ended.display()
    ));
    assert!(!command.is_running());
    command.start().unwrap();
    assert!(command.is_running());
    tokio::time::sleep(Duration::from_millis(200)).await;
    command.stop(Duration::from_secs(5)).await;
    assert!(ended.exists(), "SIGTERM came first");
    assert!(!command.is_running());
}

#[tokio::test]
async fn one_that_does_not_listen_is_killed() {
    let mut command = command("trap '' TERM; while :; do sleep 0.05; done");
    command.start().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let begin = std::time::Instant::now();
    command.stop(Duration::from_millis(300)).await;
    assert!(begin.elapsed() >= Duration::from_millis(300) && begin.elapsed() < Duration::from_secs(5));
    assert!(!command.is_running());
}

#[tokio::test]
async fn its_end_is_noticed() {
    let mut command = command("exit 3");
    command.start().unwrap();
    tokio::time::timeout(Duration::from_secs(5), command.ended())
        .await
        .unwrap();
    assert!(!command.is_running());
    let waiting = tokio::time::timeout(Duration::from_millis(50), command.ended()).await;
    waiting.unwrap_err();
    let error = Command::new(vec!["/no/such/program".to_owned()])
        .start()
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot run /no/such/program");
}

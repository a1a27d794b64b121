//! The example is a good configuration; each wrong one is named.

use super::*;
use crate::transport::Place;

const EXAMPLE: &str = include_str!("../../../deploy/systemd/parent.toml");

fn read(text: &str) -> Result<Config, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Config::read(file.path()).map_err(|error| crate::journal::chain(&error))
}

#[test]
fn the_example_is_read() {
    let config = read(EXAMPLE).unwrap();
    let watchdog = config.watchdog.unwrap();
    assert_eq!(watchdog.times, Times::default());
    assert_eq!(watchdog.imds_endpoint, "http://169.254.169.254");
    assert_eq!(config.https_proxy.unwrap().limits, Limits::default());
    assert_eq!(config.vsock_proxy.unwrap().route.len(), 2);
    assert_eq!(config.transport.place(), Place::Vsock { cid: 16 });
    assert!(
        config
            .deployment
            .unwrap()
            .canonical()
            .unwrap()
            .starts_with("{\"artefact_versions\"")
    );
}

/// What the example says of defaults is true: with the comments taken away it reads the same, where that makes sense.
#[test]
fn the_defaults_of_the_example_are_the_defaults() {
    let mut section = String::new();
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        if line.starts_with('[') {
            section = line.to_owned();
        }
        let optional = ["[service]", "[https_proxy]", "[watchdog.tables]", "[transport]"]
            .iter()
            .any(|s| section.starts_with(s));
        let written = match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") && !optional => rest,
            _ => line,
        };
        text.push_str(written);
        text.push('\n');
    }
    assert!(text.contains("\nlongest_pause_s = 120"));
    assert_eq!(read(&text).unwrap(), read(EXAMPLE).unwrap());
}

#[test]
fn an_empty_file_is_good_for_status() {
    assert_eq!(read("").unwrap(), Config::default());
}

#[test]
fn each_wrong_file_is_named() {
    for (from, to, expected) in [
        ("[log]", "[logs]", "unknown field `logs`"),
        ("# level = \"info\"", "levle = \"info\"", "unknown field `levle`"),
        ("# format = \"text\"", "format = \"xml\"", "unknown variant `xml`"),
        ("# cid = 16 ", "cid = 3 ", "transport.cid: 0 to 3 are taken"),
        ("# connect_s = 5 ", "connect_s = -1 ", "expected seconds from 0"),
        ("# connect_s = 5 ", "connect_s = nan ", "expected seconds from 0"),
        (
            "metrics = \"127.0.0.1:9101\"",
            "metrics = \"0.0.0.0:9101\"",
            "watchdog.metrics: must be a loopback address",
        ),
        (
            "metrics = \"127.0.0.1:9102\"",
            "metrics = \"10.0.0.1:9102\"",
            "https_proxy.metrics: must be a loopback address",
        ),
        (
            "launcher = \"nitro-cli\"",
            "launcher = \"docker\"",
            "unknown variant `docker`",
        ),
        ("cpus = 2", "cpu = 2", "unknown field `cpu`"),
        (
            "web3signer_uuids = [\"00000000-0000-4000-8000-000000000001\"]",
            "web3signer_uuids = []",
            "name at least one stack uuid",
        ),
        (
            "web3signer_uuids = [\"0000",
            "web3signer_uuids = [\"000",
            "stack uuid: expected",
        ),
        (
            "# page_size = 100",
            "page_size = 0",
            "a page has at least one item",
        ),
        ("# probes = 24", "probes = 0", "must be at least 1"),
        ("schema = 1", "schema = 2", "schema is 2, this version reads 1"),
        ("network = \"mainnet\"", "", "missing field `network`"),
        (
            "client_authentication = \"known-clients\"",
            "client_authentication = \"none\"",
            "unknown variant `none`",
        ),
        (
            "# client_key = ",
            "client_key = ",
            "client_certificate and client_key go together",
        ),
        (
            "# per_source = 256",
            "per_source = 0",
            "https_proxy.limits: every limit must be above 0",
        ),
        (
            "host = \"kms.eu-central-1.amazonaws.com\"",
            "host = \"a b\"",
            "must name one server",
        ),
        (
            "vsock_port = 8000",
            "vsock_port = 8001",
            "two routes have the same vsock_port",
        ),
    ] {
        assert!(EXAMPLE.contains(from), "{from}");
        let error = read(&EXAMPLE.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
    let command = "[watchdog.enclave]\nlauncher = \"command\"\nwords = []\n[watchdog.tables]\nregion = \"r\"\ntls = \"t\"\nvalidators = \"v\"\nweb3signer_uuids = [\"00000000-0000-4000-8000-000000000001\"]\n";
    assert!(read(command).unwrap_err().contains("name a program"));
    read(&command.replace("[]\n", "[\"x\"]\n")).unwrap();
    let error = Config::read(Path::new("/nonexistent")).unwrap_err().to_string();
    assert_eq!(error, "cannot read /nonexistent");
}

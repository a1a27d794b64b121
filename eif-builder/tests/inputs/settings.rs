//! How connections are made: proxies and certificate bundles that the user set.

use std::path::Path;

use eif_builder::fetch::http::{Http, HttpOptions};
use eif_builder::mirror::{MirrorOptions, Mirrors};

use crate::fetch::{Setup, body};
use crate::server::Server;

#[test]
fn proxies_are_used_as_told() {
    let file = body();
    let proxy = Server::files(vec![("/pool/aa.deb".into(), file.clone())]);
    let options = HttpOptions {
        http_proxy: Some(proxy.url()),
        no_proxy: Some("127.0.0.1, other.invalid".into()),
        ..HttpOptions::default()
    };
    let direct = Server::files(vec![("/pool/aa.deb".into(), file.clone())]);
    let mut setup = Setup::with(&[&direct], None, &options);
    assert_eq!(setup.fetch_one(&file).unwrap(), file);
    assert_eq!(proxy.requests().len(), 0, "told to reach that host without");
    let far = MirrorOptions {
        debian: Some("http://mirror.invalid".into()),
        snapshot: Some(String::new()),
        ..MirrorOptions::default()
    };
    setup = Setup::with(&[], None, &options);
    setup.mirrors = Mirrors::discover(&far, Path::new("/nonexistent")).unwrap();
    assert_eq!(setup.fetch_one(&file).unwrap(), file);
    let asked: Vec<_> = proxy.requests().into_iter().map(|r| r.target).collect();
    assert_eq!(asked, ["mirror.invalid:80", "/pool/aa.deb"]);
}

#[test]
fn unusable_settings_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("ca.pem");
    let options = |path: &Path| HttpOptions {
        ca_bundle: Some(path.to_owned()),
        ..HttpOptions::default()
    };
    Http::new(&options(&bundle)).unwrap_err();
    std::fs::write(&bundle, "no certificate").unwrap();
    Http::new(&options(&bundle)).unwrap_err();
    let proxy = HttpOptions {
        http_proxy: Some("::".into()),
        ..HttpOptions::default()
    };
    Http::new(&proxy).unwrap_err();
}

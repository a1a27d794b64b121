//! Fetching: resumed, retried, refused, from a mirror, another mirror or the snapshot archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eif_builder::digest::Sha256;
use eif_builder::fetch::download::{Retry, TryError};
use eif_builder::fetch::http::{Http, HttpOptions, Timeouts};
use eif_builder::fetch::progress::Silent;
use eif_builder::fetch::{Blobs, Failure, FetchError, Fetcher};
use eif_builder::lock::{Archive, Input, LockedDownload, LockedPackage};
use eif_builder::mirror::{MirrorOptions, Mirrors};
use eif_builder::store::Store;

use crate::server::{Reply, Server};

pub(crate) const QUICK: Retry = Retry {
    attempts: 4,
    total: 20,
    wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(4),
};

pub(crate) fn package(name: &str, body: &[u8]) -> LockedPackage {
    LockedPackage {
        name: name.into(),
        version: "1:2.0+x~1".into(),
        architecture: "amd64".into(),
        archive: Archive::Debian,
        path: format!("pool/{name}.deb"),
        size: body.len() as u64,
        sha256: Sha256::of(body),
    }
}

/// 200 kB that do not repeat: several reads, several writes.
pub(crate) fn body() -> Vec<u8> {
    (0..50_000_u32)
        .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

pub(crate) struct Setup {
    dir: tempfile::TempDir,
    store: Store,
    http: Http,
    pub(crate) mirrors: Mirrors,
    local: BTreeMap<String, PathBuf>,
}

impl Setup {
    pub(crate) fn new(mirrors: &[&Server], snapshot: Option<&Server>) -> Self {
        Self::with(mirrors, snapshot, &HttpOptions::default())
    }

    pub(crate) fn with(mirrors: &[&Server], snapshot: Option<&Server>, options: &HttpOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path().join("etc");
        std::fs::create_dir_all(etc.join("apt")).unwrap();
        std::fs::write(etc.join("os-release"), "ID=debian\n").unwrap();
        let lines: Vec<_> = mirrors
            .iter()
            .map(|s| format!("deb {} trixie main\n", s.url()))
            .collect();
        std::fs::write(etc.join("apt/sources.list"), lines.concat()).unwrap();
        let options_of_mirrors = MirrorOptions {
            snapshot: Some(snapshot.map_or_else(String::new, Server::url)),
            ..MirrorOptions::default()
        };
        Self {
            store: Store::open(&dir.path().join("store")).unwrap(),
            http: Http::new(options).unwrap(),
            mirrors: Mirrors::discover(&options_of_mirrors, &etc).unwrap(),
            local: BTreeMap::new(),
            dir,
        }
    }

    pub(crate) fn fetch(&self, inputs: &[Input<'_>]) -> Result<Blobs, FetchError> {
        let fetcher = Fetcher {
            http: &self.http,
            mirrors: &self.mirrors,
            local: self.local.clone(),
            parallel: 3,
            retry: QUICK,
            progress: &Silent,
        };
        fetcher.fetch(&self.store, inputs.iter().copied())
    }

    /// Fetches one package whose bytes are `body`.
    pub(crate) fn fetch_one(&self, body: &[u8]) -> Result<Vec<u8>, Box<Failure>> {
        let package = package("aa", body);
        match self.fetch(&[Input::Package(&package)]) {
            Ok(blobs) => Ok(std::fs::read(blobs.get(package.sha256).unwrap().path()).unwrap()),
            Err(FetchError::Failed(mut failures)) => {
                assert_eq!(failures.len(), 1);
                assert_eq!(
                    files_below(&self.dir.path().join("store/blobs")),
                    0,
                    "nothing half-made is visible"
                );
                Err(Box::new(failures.remove(0)))
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "only counted")]
pub(crate) fn files_below(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries
        .map(|p| if p.is_dir() { files_below(&p) } else { 1 })
        .sum()
}

fn froms(server: &Server) -> Vec<Option<usize>> {
    server.requests().into_iter().map(|r| r.from).collect()
}

#[test]
fn everything_is_fetched_once_and_checked() {
    let bodies: Vec<_> = (0..10).map(|i| [body(), vec![i]].concat()).collect();
    let packages: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(i, b)| package(&format!("p{i}"), b))
        .collect();
    let files = packages
        .iter()
        .zip(&bodies)
        .map(|(p, b)| (format!("/{}", p.path), b.clone()));
    let server = Server::files(files.collect());
    let setup = Setup::new(&[&server], None);
    let mut inputs: Vec<_> = packages.iter().map(Input::Package).collect();
    inputs.push(inputs[0]);
    let blobs = setup.fetch(&inputs).unwrap();
    for (package, body) in packages.iter().zip(&bodies) {
        assert_eq!(
            &std::fs::read(blobs.get(package.sha256).unwrap().path()).unwrap(),
            body
        );
    }
    assert_eq!(server.requests().len(), 10);
    setup.fetch(&inputs).unwrap();
    assert_eq!(
        server.requests().len(),
        10,
        "the second time nothing is asked for"
    );
    assert!(matches!(
        blobs.get(Sha256::of(b"other")),
        Err(FetchError::NotFetched(_))
    ));
}

#[test]
fn a_broken_download_goes_on_where_it_stopped() {
    let file = body();
    let content = file.clone();
    let server = Server::start(move |request| match request.from {
        None => Reply::ok(&content).cut(70_000),
        Some(from) if from < 140_000 => Reply::part(from, &content).cut(70_000),
        Some(from) => Reply::part(from, &content),
    });
    assert_eq!(Setup::new(&[&server], None).fetch_one(&file).unwrap(), file);
    assert_eq!(froms(&server), [None, Some(70_000), Some(140_000)]);
}

#[test]
fn a_server_that_cannot_resume_is_read_from_the_start() {
    let file = body();
    let content = file.clone();
    let first = AtomicUsize::new(0);
    let server = Server::start(move |_| match first.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::ok(&content).cut(70_000),
        _ => Reply::ok(&content),
    });
    assert_eq!(Setup::new(&[&server], None).fetch_one(&file).unwrap(), file);
    assert_eq!(froms(&server), [None, Some(70_000)]);
}

#[test]
fn a_server_that_always_breaks_off_is_given_up() {
    let file = body();
    let content = file.clone();
    let server = Server::start(move |_| Reply::ok(&content).cut(70_000));
    let failure = Setup::new(&[&server], None).fetch_one(&file).unwrap_err();
    assert_eq!(
        server.requests().len(),
        4,
        "one that came further, three that did not"
    );
    assert!(failure.to_string().contains("pool/aa.deb"), "{failure}");

    // One new byte each time counts as progress, but not for ever.
    let content = file.clone();
    let server = Server::start(move |request| Reply::resumable(request, &content).cut(1));
    Setup::new(&[&server], None).fetch_one(&file).unwrap_err();
    assert_eq!(server.requests().len(), 20);
}

#[test]
fn a_silent_server_is_left_after_the_timeout_and_asked_again() {
    let file = body();
    let content = file.clone();
    let server = Server::start(move |request| match request.from {
        None => Reply::ok(&content).cut(70_000).stalling(),
        Some(_) => Reply::resumable(request, &content),
    });
    let timeouts = Timeouts {
        // Long enough that a busy machine sends the rest of an answer in time.
        read: Duration::from_secs(4),
        ..Timeouts::default()
    };
    let options = HttpOptions {
        timeouts,
        ..HttpOptions::default()
    };
    assert_eq!(
        Setup::with(&[&server], None, &options).fetch_one(&file).unwrap(),
        file
    );
    assert_eq!(froms(&server), [None, Some(70_000)]);
}

#[test]
fn busy_servers_are_asked_again_and_missing_files_are_not() {
    let file = body();
    for (status, requests) in [(503, 4), (429, 4), (500, 4), (404, 1), (403, 1), (206, 1)] {
        let server = Server::start(move |_| Reply::status(status));
        let failure = Setup::new(&[&server], None).fetch_one(&file).unwrap_err();
        assert_eq!(server.requests().len(), requests, "{status}: {failure}");
    }
    let content = file.clone();
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0..3 => Reply::status(503),
        _ => Reply::ok(&content),
    });
    assert_eq!(Setup::new(&[&server], None).fetch_one(&file).unwrap(), file);
}

#[test]
fn wrong_sizes_are_noticed_with_and_without_a_length() {
    let file = body();
    let size = file.len() as u64;
    let longer = [file.clone(), b"!".to_vec()].concat();
    let shorter = file[1..].to_vec();
    let fail = |reply: Reply| {
        let server = Server::start(move |_| reply.clone());
        let setup = Setup::new(&[&server], None);
        let mut failure = setup.fetch_one(&file).unwrap_err();
        failure.tries.remove(0).1
    };
    let error = fail(Reply::ok(&longer));
    assert!(
        matches!(error, TryError::Size { actual, complete: true, .. } if actual == size + 1),
        "{error}"
    );
    assert_eq!(error.to_string(), "has 200001 bytes, expected 200000 bytes");
    let error = fail(Reply::ok(&longer).without_length());
    assert_eq!(
        error.to_string(),
        "has more than 200000 bytes, expected 200000 bytes"
    );
    let error = fail(Reply::ok(&shorter));
    assert!(
        matches!(error, TryError::Size { actual, .. } if actual == size - 1),
        "{error}"
    );
    let error = fail(Reply::ok(&shorter).without_length());
    assert!(
        matches!(error, TryError::Short { actual, .. } if actual == size - 1),
        "{error}"
    );
}

#[test]
fn a_wrong_part_of_the_file_is_refused() {
    let file = body();
    let content = file.clone();
    let server = Server::start(move |request| match request.from {
        None => Reply::ok(&content).cut(70_000),
        Some(_) => Reply::part(60_000, &content),
    });
    let failure = Setup::new(&[&server], None).fetch_one(&file).unwrap_err();
    assert!(failure.to_string().contains("wrong part"), "{failure}");
}

#[test]
fn wrong_bytes_send_us_to_the_next_mirror_and_are_told_if_there_is_none() {
    let file = body();
    let mut wrong = file.clone();
    wrong[123_456] ^= 1;
    let path = "/pool/aa.deb".to_owned();
    let (bad, good) = (
        Server::files(vec![(path.clone(), wrong.clone())]),
        Server::files(vec![(path, file.clone())]),
    );
    assert_eq!(Setup::new(&[&bad, &good], None).fetch_one(&file).unwrap(), file);
    let failure = Setup::new(&[&bad], None).fetch_one(&file).unwrap_err();
    assert!(matches!(failure.tries[0].1, TryError::Digest { .. }));
    let text = failure.to_string();
    for part in [
        "aa 1:2.0+x~1 amd64",
        &Sha256::of(&file).to_string(),
        &Sha256::of(&wrong).to_string(),
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn all_failures_come_in_one_summary_and_what_could_be_had_is_kept() {
    let good = package("good", b"good");
    let bad = [package("bb", b"b"), package("aa", b"a")];
    let server = Server::files(vec![("/pool/good.deb".into(), b"good".to_vec())]);
    let setup = Setup::new(&[&server], None);
    let inputs = [
        Input::Package(&bad[0]),
        Input::Package(&good),
        Input::Package(&bad[1]),
    ];
    let text = setup.fetch(&inputs).unwrap_err().to_string();
    assert!(text.starts_with("2 files could not be fetched:\n  aa "), "{text}");
    assert_eq!(text.matches("the server answered 404").count(), 2, "{text}");
    assert!(setup.store.has_blob(good.sha256, 4));
}

#[test]
fn downloads_come_from_their_url_or_from_a_file_that_the_user_has() {
    let file = body();
    let server = Server::files(vec![("/w.tar.gz".into(), file.clone())]);
    let download = LockedDownload {
        name: "w.tar.gz".into(),
        url: format!("{}/w.tar.gz", server.url()),
        size: file.len() as u64,
        at_most: false,
        sha256: Sha256::of(&file),
    };
    let inputs = [Input::Download(&download)];
    Setup::new(&[], None).fetch(&inputs).unwrap();
    assert_eq!(server.requests().len(), 1);

    let mut setup = Setup::new(&[], None);
    let path = setup.dir.path().join("mine");
    setup.local.insert("w.tar.gz".into(), path.clone());
    let text = setup.fetch(&inputs).unwrap_err().to_string();
    assert!(text.contains("mine: cannot read"), "{text}");
    for (content, message) in [
        (&file[1..], "ended after 199999 of 200000 bytes"),
        (&[file.clone(), vec![0]].concat(), "more than 200000 bytes"),
        (&vec![0; file.len()], "has sha256"),
    ] {
        std::fs::write(&path, content).unwrap();
        let text = setup.fetch(&inputs).unwrap_err().to_string();
        assert!(text.contains(message), "{text}");
    }
    std::fs::write(&path, &file).unwrap();
    setup.fetch(&inputs).unwrap();
    assert_eq!(
        server.requests().len(),
        1,
        "the file that the user has is used alone"
    );
}

#[test]
fn offline_only_the_store_is_asked_and_all_that_is_missing_is_named() {
    let (have, gone) = (package("aa", b"a"), [package("cc", b"c"), package("bb", b"b")]);
    let server = Server::files(vec![("/pool/aa.deb".into(), b"a".to_vec())]);
    let setup = Setup::new(&[&server], None);
    setup.fetch(&[Input::Package(&have)]).unwrap();
    Blobs::from_store(&setup.store, [Input::Package(&have)]).unwrap();
    let inputs = [&have, &gone[0], &gone[1]].map(Input::Package);
    let text = Blobs::from_store(&setup.store, inputs).unwrap_err().to_string();
    assert!(
        text.contains("bb 1:2.0") && text.contains("cc 1:2.0") && !text.contains("aa"),
        "{text}"
    );
    assert_eq!(server.requests().len(), 1);
}

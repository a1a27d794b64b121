//! A download that is killed, and one on a full disk: the store stays whole and the next build goes on.
//!
//! Both need a process of their own, so the test starts itself again in a role told by the environment.
#![expect(clippy::unwrap_used, reason = "a failed test should stop where it fails")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use eif_builder::digest::Sha256;
use eif_builder::fetch::download::Retry;
use eif_builder::fetch::http::{Http, HttpOptions};
use eif_builder::fetch::progress::Silent;
use eif_builder::fetch::{FetchError, Fetcher};
use eif_builder::lock::{Input, LockedDownload};
use eif_builder::mirror::{MirrorOptions, Mirrors};
use eif_builder::store::Store;

const URL: &str = "EIF_BUILDER_TEST_URL";
const STORE: &str = "EIF_BUILDER_TEST_STORE";
const SIZE: usize = 1 << 20;

fn body() -> Vec<u8> {
    (0..SIZE).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

fn fetch(store: &Path, url: &str) -> Result<Store, FetchError> {
    let store = Store::open(store)?;
    let download = LockedDownload {
        name: "file".into(),
        url: url.to_owned(),
        size: SIZE as u64,
        at_most: false,
        sha256: Sha256::of(&body()),
    };
    let fetcher = Fetcher {
        http: &Http::new(&HttpOptions::default()).unwrap(),
        mirrors: &Mirrors::discover(&MirrorOptions::default(), Path::new("/nonexistent")).unwrap(),
        local: BTreeMap::new(),
        parallel: 1,
        retry: Retry::default(),
        progress: &Silent,
    };
    fetcher.fetch(&store, [Input::Download(&download)])?;
    Ok(store)
}

/// Answers each connection with the file, but sends `first` bytes of it before it waits for a byte from the
/// client, which never comes: only closing goes on.
fn serve(first: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.read(&mut [0; 4096]));
            drop(write!(
                stream,
                "HTTP/1.1 200 x\r\nconnection: close\r\ncontent-length: {SIZE}\r\n\r\n"
            ));
            drop(stream.write_all(body().get(..first).unwrap()));
            drop(stream.read(&mut [0; 1]));
        }
    });
    url
}

/// What is in `blobs` and `tmp`, but for the markers of living processes.
#[expect(clippy::disallowed_methods, reason = "sorted below")]
fn left(store: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![store.join("blobs"), store.join("tmp")];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if !path.ends_with("alive") {
                found.push(path.strip_prefix(store).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// The store and URL given to this process, if it is the second one.
fn role() -> Option<(String, String)> {
    let value = |name| std::env::var_os(name).map(|v| v.into_string().unwrap());
    Some((value(STORE)?, value(URL)?))
}

fn again(test: &str, shell: &str, store: &Path, url: &str) -> Command {
    let mut command = Command::new("sh");
    let this = std::env::current_exe().unwrap();
    command
        .args(["-c", &format!("{shell} exec \"$0\" --exact {test} --nocapture")])
        .arg(this);
    command
        .env(STORE, store)
        .env(URL, url)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

#[test]
fn a_killed_download_leaves_nothing_that_counts() {
    if let Some((store, url)) = role() {
        drop(fetch(Path::new(&store), &url));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut child = again(
        "a_killed_download_leaves_nothing_that_counts",
        "",
        &store,
        &serve(SIZE / 2),
    )
    .spawn()
    .unwrap();
    let half = || left_sizes(&store).into_iter().any(|size| size >= SIZE as u64 / 4);
    for _ in 0..6000 {
        if half() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(half(), "the download never began");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(left(&store).len(), 1);
    assert!(
        left(&store).iter().all(|path| path.starts_with("tmp/")),
        "nothing under blobs"
    );
    let whole = fetch(&store, &serve(SIZE)).unwrap();
    let blob = whole.blob(Sha256::of(&body()), SIZE as u64).unwrap().unwrap();
    assert_eq!(std::fs::read(blob.path()).unwrap(), body());
    assert_eq!(left(&store).len(), 1, "what the killed one left is gone");
}

fn left_sizes(store: &Path) -> Vec<u64> {
    if !store.join("blobs").is_dir() || !store.join("tmp").is_dir() {
        return Vec::new();
    }
    left(store)
        .iter()
        .filter_map(|p| store.join(p).metadata().ok())
        .map(|m| m.len())
        .collect()
}

#[test]
fn a_full_disk_is_one_clear_error_and_leaves_the_store_whole() {
    if let Some((store, url)) = role() {
        let error = fetch(Path::new(&store), &url).unwrap_err();
        assert!(matches!(error, FetchError::Store(_)), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("cannot write to the store under "), "{text}");
        assert_eq!(left(Path::new(&store)), Vec::<String>::new());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    // No file may grow past 256 KiB (512 blocks of 512 bytes): as on a full disk, a write fails.
    let limit = "trap '' XFSZ; ulimit -f 512;";
    let test = "a_full_disk_is_one_clear_error_and_leaves_the_store_whole";
    let output = again(test, limit, &store, &serve(SIZE))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(left(&store), Vec::<String>::new());
    fetch(&store, &serve(SIZE)).unwrap();
}

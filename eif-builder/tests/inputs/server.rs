//! A web server on the loopback interface that answers as a test wants, also wrongly.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// As it stands in the request line: a path, or host and port when a proxy is asked for a tunnel.
    pub(crate) target: String,
    /// Whether it is a `CONNECT`. The server plays the other end too.
    pub(crate) tunnel: bool,
    /// The start of `Range: bytes=N-`.
    pub(crate) from: Option<usize>,
}

/// What the server says.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    /// `Content-Length`; without one the end of the connection ends the body.
    length: Option<usize>,
    range: Option<String>,
    body: Vec<u8>,
    /// Stay silent after the body, instead of closing.
    stall: bool,
}

impl Reply {
    pub(crate) fn ok(body: &[u8]) -> Self {
        Self {
            status: 200,
            length: Some(body.len()),
            range: None,
            body: body.to_vec(),
            stall: false,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::ok(b"")
        }
    }

    /// The file from where the client asked, as a server that can resume.
    pub(crate) fn resumable(request: &Request, file: &[u8]) -> Self {
        match request.from {
            None => Self::ok(file),
            Some(from) => Self::part(from, file),
        }
    }

    pub(crate) fn part(from: usize, file: &[u8]) -> Self {
        Self {
            status: 206,
            range: Some(format!("bytes {from}-{}/{}", file.len() - 1, file.len())),
            ..Self::ok(&file[from..])
        }
    }

    /// Breaks off after that many bytes of the body.
    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.body.truncate(after);
        self
    }

    pub(crate) fn without_length(mut self) -> Self {
        self.length = None;
        self
    }

    pub(crate) fn stalling(mut self) -> Self {
        self.stall = true;
        self
    }
}

pub(crate) struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let (log, stopped) = (requests.clone(), stop.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (answer, log, stopped) = (answer.clone(), log.clone(), stopped.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(mut request) = read(&stream) else { return };
                    log.lock().unwrap().push(request.clone());
                    if request.tunnel {
                        drop(stream.write_all(b"HTTP/1.1 200 x\r\n\r\n"));
                        let Some(inner) = read(&stream) else { return };
                        log.lock().unwrap().push(inner.clone());
                        request = inner;
                    }
                    write(&mut stream, &answer(&request), &stopped);
                });
            }
        });
        Self {
            address,
            requests,
            stop,
        }
    }

    /// Serves files by path, resumably; everything else is 404.
    pub(crate) fn files(files: Vec<(String, Vec<u8>)>) -> Self {
        Self::start(
            move |request| match files.iter().find(|(path, _)| *path == request.target) {
                Some((_, body)) => Reply::resumable(request, body),
                None => Reply::status(404),
            },
        )
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(&self.address));
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let target = first.split(' ').nth(1)?.to_owned();
    let headers: Vec<_> = lines
        .take_while(|l| !l.is_empty())
        .map(|l| l.to_ascii_lowercase())
        .collect();
    let range = headers.iter().find_map(|h| h.strip_prefix("range: bytes="));
    Some(Request {
        target,
        tunnel: first.starts_with("CONNECT "),
        from: range.map(|r| r.trim_end_matches('-').parse().unwrap()),
    })
}

/// A client that has gone is no failure of the server.
fn write(stream: &mut TcpStream, reply: &Reply, stopped: &AtomicBool) {
    let mut head = Vec::new();
    drop(write!(
        head,
        "HTTP/1.1 {} x\r\nconnection: close\r\n",
        reply.status
    ));
    if let Some(length) = reply.length {
        drop(write!(head, "content-length: {length}\r\n"));
    }
    if let Some(range) = &reply.range {
        drop(write!(head, "content-range: {range}\r\n"));
    }
    drop(write!(head, "\r\n"));
    drop(stream.write_all(&head));
    drop(stream.write_all(&reply.body));
    while reply.stall && !stopped.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(stream.shutdown(std::net::Shutdown::Write));
    drop(stream.read(&mut [0; 1]));
}

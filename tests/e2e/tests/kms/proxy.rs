//! The parent's vsock proxy to KMS, as far as it matters here: bytes both ways, and it can be killed.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the proxy's threads share.
struct State {
    target: SocketAddr,
    dead: bool,
    open: Vec<(UnixStream, TcpStream)>,
}

/// A running proxy.
pub(crate) struct Proxy {
    state: Arc<Mutex<State>>,
    path: std::path::PathBuf,
    thread: thread::JoinHandle<()>,
}

impl Proxy {
    /// Leads every connection of `listener` to `target`.
    pub(crate) fn start(listener: UnixListener, target: SocketAddr) -> Self {
        let path = listener.local_addr().unwrap().as_pathname().unwrap().to_owned();
        let state = Arc::new(Mutex::new(State {
            target,
            dead: false,
            open: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let mut state = shared.lock().unwrap();
                if state.dead {
                    return;
                }
                let upstream = TcpStream::connect(state.target).unwrap();
                let pair = || Ok::<_, io::Error>((stream.try_clone()?, upstream.try_clone()?));
                let (kept, (mut up_from, mut up_to), (mut down_to, mut down_from)) =
                    (pair().unwrap(), pair().unwrap(), pair().unwrap());
                state.open.push(kept);
                // An end of either side ends that direction only, as a real proxy does.
                thread::spawn(move || {
                    io::copy(&mut up_from, &mut up_to).ok();
                    up_to.shutdown(Shutdown::Write).ok();
                });
                thread::spawn(move || {
                    io::copy(&mut down_from, &mut down_to).ok();
                    down_to.shutdown(Shutdown::Write).ok();
                });
            }
        });
        Self { state, path, thread }
    }

    /// New connections go there.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.state.lock().unwrap().target = target;
    }

    /// As `kill -9` does: every connection ends at once, and nobody listens any more.
    pub(crate) fn kill(self) {
        {
            let mut state = self.state.lock().unwrap();
            state.dead = true;
            for (down, up) in state.open.drain(..) {
                down.shutdown(Shutdown::Both).ok();
                up.shutdown(Shutdown::Both).ok();
            }
        }
        // Wakes the thread, which sees that it is dead and closes the listener.
        drop(UnixStream::connect(&self.path));
        self.thread.join().unwrap();
    }
}

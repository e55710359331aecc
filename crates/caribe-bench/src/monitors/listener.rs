//! The servers of TCP checks: one listener on every address of their host.

use std::collections::VecDeque;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use caribe_lab::Host;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};

use super::bed::PORT;
use crate::processors::pin;

/// How long a server keeps a connection: by then the checker has hung up. If the server did so
/// first, the check might fail, and the server would pay for it.
const KEPT: Duration = Duration::from_millis(200);

/// The running listener; ends when dropped.
pub(crate) struct Listener {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    pub(crate) fn start(host: &Host, processor: usize) -> Result<Listener> {
        host.run(|| Listener::start_here(processor))?
    }

    /// The same where the caller is.
    pub(crate) fn start_here(processor: usize) -> Result<Listener> {
        let socket = TcpListener::bind(("0.0.0.0", PORT)).context("cannot listen")?;
        listen(&socket, Backlog::MAXALLOWABLE).context("cannot listen to so many")?;
        socket.set_nonblocking(true)?;
        let ends = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ends);
        let thread = std::thread::Builder::new()
            .name("listener".to_owned())
            .spawn(move || {
                if let Err(error) = pin(0, processor).and_then(|()| serve(&socket, &end)) {
                    eprintln!("the servers have ended: {error:#}");
                }
            })?;
        Ok(Listener {
            ends,
            thread: Some(thread),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the servers broke down");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn serve(socket: &TcpListener, ends: &AtomicBool) -> Result<()> {
    let mut open: VecDeque<(Instant, TcpStream)> = VecDeque::new();
    while !ends.load(Ordering::Acquire) {
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(5_u8)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for connections"),
        }
        let now = Instant::now();
        while let Some(stream) = accepted(socket)? {
            open.push_back((now, stream));
        }
        while open.front().is_some_and(|(since, _)| now - *since > KEPT) {
            open.pop_front();
        }
    }
    Ok(())
}

/// The next connection, if there is one.
fn accepted(socket: &TcpListener) -> Result<Option<TcpStream>> {
    use std::io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    loop {
        match socket.accept() {
            Ok((stream, _)) => return Ok(Some(stream)),
            Err(error) if error.kind() == WouldBlock => return Ok(None),
            Err(error) if matches!(error.kind(), ConnectionAborted | Interrupted) => {}
            Err(error) => return Err(error).context("cannot accept a connection"),
        }
    }
}

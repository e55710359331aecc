//! The servers of TCP checks: one listener on every address of their host, which notes who was
//! asked for and when.

use std::collections::VecDeque;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use caribe_lab::Host;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};

use super::bed::{PORT, number};
use super::intervals::Arrival;
use crate::processors::pin;

/// How long a server keeps a connection: by then the checker has hung up. If the server did so
/// first, the check might fail, and the server would pay for it.
const KEPT: Duration = Duration::from_millis(200);

/// The running listener; ends when dropped.
pub(crate) struct Listener {
    orders: Option<Sender<Order>>,
    recordings: Receiver<(Vec<Arrival>, Duration)>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Begin,
    End,
}

impl Listener {
    /// Starts it, with room for recordings of so many checks.
    pub(crate) fn start(host: &Host, processor: usize, room: usize) -> Result<Listener> {
        let socket = host.run(|| -> Result<TcpListener> {
            let socket = TcpListener::bind(("0.0.0.0", PORT)).context("cannot listen")?;
            listen(&socket, Backlog::MAXALLOWABLE).context("cannot listen to so many")?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })??;
        let (orders, inbox) = channel();
        let (outbox, recordings) = channel();
        // Touched now, so that its memory is no news while memory is measured.
        let nothing = Arrival {
            target: 0,
            at: Duration::ZERO,
        };
        let mut record = vec![nothing; room];
        record.clear();
        let thread = std::thread::Builder::new()
            .name("listener".to_owned())
            .spawn(move || {
                if let Err(error) =
                    pin(0, processor).and_then(|()| serve(&socket, &inbox, &outbox, record))
                {
                    eprintln!("the servers have ended: {error:#}");
                }
            })?;
        Ok(Listener {
            orders: Some(orders),
            recordings,
            thread: Some(thread),
        })
    }

    /// Begins to record.
    pub(crate) fn begin(&self) -> Result<()> {
        self.order(Order::Begin)
    }

    /// Ends the recording: the checks in order of time, and how long it was.
    pub(crate) fn end(&self) -> Result<(Vec<Arrival>, Duration)> {
        self.order(Order::End)?;
        self.recordings.recv().map_err(|_| ended())
    }

    fn order(&self, order: Order) -> Result<()> {
        let orders = self.orders.as_ref().ok_or_else(ended)?;
        orders.send(order).map_err(|_| ended())
    }
}

fn ended() -> anyhow::Error {
    anyhow!("the servers have ended")
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the servers broke down");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn serve(
    socket: &TcpListener,
    orders: &Receiver<Order>,
    outbox: &Sender<(Vec<Arrival>, Duration)>,
    mut record: Vec<Arrival>,
) -> Result<()> {
    let mut open: VecDeque<(Instant, OwnedFd)> = VecDeque::new();
    let mut began = None;
    loop {
        match orders.try_recv() {
            Ok(Order::Begin) => {
                record.clear();
                began = Some(Instant::now());
            }
            Ok(Order::End) => {
                let length = began.take().map_or(Duration::ZERO, |began| began.elapsed());
                outbox.send((record.clone(), length))?;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(5_u8)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for connections"),
        }
        let now = Instant::now();
        while let Some(stream) = accepted(socket)? {
            if let Some(began) = began {
                let Some(target) = target(&stream) else {
                    continue;
                };
                record.push(Arrival {
                    target,
                    at: began.elapsed(),
                });
            }
            open.push_back((now, stream.into()));
        }
        while open.front().is_some_and(|(since, _)| now - *since > KEPT) {
            open.pop_front();
        }
    }
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

/// Who was asked for.
fn target(stream: &TcpStream) -> Option<u32> {
    match stream.local_addr().map(|address| address.ip()) {
        Ok(IpAddr::V4(address)) => Some(number(address)),
        _ => None,
    }
}

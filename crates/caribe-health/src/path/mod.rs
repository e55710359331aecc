//! The data's way to one server, for probes that are addressed to the VIP.
//!
//! A probe of the server's own address says nothing about whether the server takes packets for
//! the VIP, or opens a tunnel. So a monitor with `through = vip` connects to the VIP, and its
//! packets go to its one server as the data plane sends a client's: to the server's MAC address,
//! in a tunnel, or translated. Two things are in the way of that, and both are the kernel's:
//! the VIP is an address of this very machine, so that nothing can be sent to it from here, and
//! what comes back from the VIP is a packet from ourselves, which IPv4 drops as a martian.
//!
//! Hence a network namespace of the process's own ([`inside`]), where no VIP is local: it has a
//! TUN device, and every route leads there. Sockets that are made inside behave like any other,
//! so every kind of check can use one. One task, the [`Carrier`], reads what they send from the
//! TUN device, and does with it what the data plane would do ([`leases`], [`packet`], [`wrap`]).
//! What comes back it sees by packet sockets ([`outside`]), before the kernel can drop it, and
//! writes into the TUN device. Ports tell which server a packet belongs to: each socket inside
//! has one on lease.
//!
//! Nothing of it is left when the process is killed: the namespace, the device and all sockets
//! end with it. No connection is made in the data plane, so that probes are in no counter and go
//! on for servers that are not in the table.

mod inside;
mod leases;
mod outside;
pub mod packet;
mod wrap;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use caribe_model::NextHop;
use socket2::Socket;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, oneshot, watch};
use tun_rs::SyncDevice;

use crate::Clock;
use crate::probe::Through;

use inside::Inside;
use leases::{Leases, Route};
use outside::{Absorber, Senders, Tap};

pub use leases::{PORTS, REST};
pub use packet::Transport;

/// The ways to servers that are known now.
pub type Ways = BTreeMap<IpAddr, NextHop>;

/// Why a socket cannot go the data's way.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// The namespace or its device could not be had.
    #[error(
        "cannot make the network namespace that probes through the VIP start from: {0} (it takes \
         CAP_SYS_ADMIN, CAP_NET_ADMIN and /dev/net/tun)"
    )]
    Inside(#[source] io::Error),
    /// Answers could not be seen.
    #[error("cannot listen for the answers to probes through the VIP: {0}")]
    Tap(#[source] io::Error),
    /// No socket.
    #[error("cannot open a socket for a probe through the VIP: {0}")]
    Socket(#[source] io::Error),
    /// It cannot come from there.
    #[error("cannot send from {source_address}: {error}")]
    Source {
        /// From where it should have come.
        source_address: IpAddr,
        /// What the kernel says.
        error: io::Error,
    },
    /// All of them are in use.
    #[error(
        "all {PORTS} ports for probes through the VIP are in use: check less often, or with a \
         shorter `timeout`"
    )]
    NoPort,
    /// The task has ended with the runtime.
    #[error("the carrier of probes through the VIP has ended")]
    Ended,
}

/// The way to the task that carries packets. Cheap to clone; the task ends with the last one.
#[derive(Debug, Clone)]
pub struct DataPath {
    requests: mpsc::UnboundedSender<Request>,
    inside: Inside,
    ways: watch::Receiver<Ways>,
}

/// What a probe gets to go the data's way.
#[derive(Debug)]
pub(crate) enum Passage {
    /// A socket that was made inside, and what keeps its port.
    Inside(Socket, Lease),
    /// The server is this machine: what comes in for the VIP goes up the stack.
    Local,
}

/// A port on lease; it rests when this is dropped, and is lent again a little later.
#[derive(Debug)]
pub(crate) struct Lease {
    transport: Transport,
    port: u16,
    requests: mpsc::UnboundedSender<Request>,
    _absorber: Absorber,
}

#[derive(Debug)]
enum Request {
    Lease {
        transport: Transport,
        route: Box<Route>,
        /// Where it may come from, the best first.
        sources: Vec<IpAddr>,
        answer: oneshot::Sender<Result<Lease, PathError>>,
    },
    Release(Transport, u16),
}

impl Drop for Lease {
    fn drop(&mut self) {
        // The task's end ends all leases.
        drop(
            self.requests
                .send(Request::Release(self.transport, self.port)),
        );
    }
}

impl DataPath {
    /// Starts it, in the network namespace of the calling thread and on the current runtime.
    /// Probes go by the ways that `ways` has when they start.
    ///
    /// # Errors
    ///
    /// [`PathError::Inside`] and [`PathError::Tap`].
    pub async fn start(clock: Clock, ways: watch::Receiver<Ways>) -> Result<DataPath, PathError> {
        let (inside, tun) = Inside::start().await.map_err(PathError::Inside)?;
        let read = tun.as_fd().try_clone_to_owned();
        let sent = read.and_then(Receiver::from_owned_fd_unchecked);
        let sent = sent.map_err(PathError::Inside)?;
        let tap = Tap::open().map_err(PathError::Tap)?;
        let (requests, inbox) = mpsc::unbounded_channel();
        let carrier = Carrier {
            clock,
            tun,
            sent,
            tap,
            senders: Senders::default(),
            leases: Leases::default(),
            requests: requests.downgrade(),
        };
        tokio::spawn(carrier.run(inbox));
        Ok(DataPath {
            requests,
            inside,
            ways,
        })
    }

    /// Waits until there is a way to a server, however long that takes.
    pub(crate) async fn way(&self, server: IpAddr) -> Result<NextHop, PathError> {
        let mut ways = self.ways.clone();
        let known = ways.wait_for(|ways| ways.contains_key(&server)).await;
        let known = known.map_err(|_| PathError::Ended)?;
        known.get(&server).copied().ok_or(PathError::Ended)
    }

    /// A socket whose packets for `vip` go to its server by this way.
    ///
    /// They come from `source`; else, with NAT, from the VIP if it is here, because only then
    /// do the answers have to take the clients' way, through the server's gateway; else from the
    /// address that the routing table chooses.
    pub(crate) async fn socket(
        &self,
        transport: Transport,
        vip: SocketAddr,
        through: &Through,
        source: Option<IpAddr>,
        hop: NextHop,
    ) -> Result<Passage, PathError> {
        if hop.is_local() {
            return Ok(Passage::Local);
        }
        let route = Route::new(vip, through, hop);
        let sources = match source {
            Some(source) => vec![source],
            None => route.sources(),
        };
        let (answer, lease) = oneshot::channel();
        let request = Request::Lease {
            transport,
            route: Box::new(route),
            sources,
            answer,
        };
        self.requests.send(request).map_err(|_| PathError::Ended)?;
        let lease = lease.await.map_err(|_| PathError::Ended)??;
        let socket = self.inside.socket(transport, vip.is_ipv6(), lease.port);
        let socket = socket.await.map_err(PathError::Socket)?;
        Ok(Passage::Inside(socket, lease))
    }
}

/// The task that carries packets between the inside and the network.
struct Carrier {
    clock: Clock,
    /// What is written here is received inside.
    tun: SyncDevice,
    /// The same device, to read what was sent inside.
    sent: Receiver,
    tap: Tap,
    senders: Senders,
    leases: Leases,
    requests: mpsc::WeakUnboundedSender<Request>,
}

/// How long nothing is read after an error.
const PAUSE: Duration = Duration::from_millis(10);

/// The largest packet there is, and what a device may put in front of it.
const LARGEST: usize = 65_536 + 64;

impl Carrier {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Request>) {
        let (mut sent, mut answered) = (vec![0; LARGEST], vec![0; LARGEST]);
        loop {
            // What is ready is read by one of these, one packet at a time, so that a server that
            // sends a lot delays no request for long.
            let read = tokio::select! {
                request = inbox.recv() => match request {
                    Some(request) => {
                        self.take(request);
                        continue;
                    }
                    None => return,
                },
                read = sent_inside(&self.sent, &mut sent) => {
                    read.map(|length| (length, Came::Inside))
                }
                read = self.tap.receive(&mut answered) => {
                    read.map(|length| (length, Came::Outside))
                }
            };
            match read {
                Ok((length, Came::Inside)) => self.carry_out(&mut sent[..length]),
                Ok((length, Came::Outside)) => self.carry_in(&mut answered[..length]),
                Err(error) => {
                    // The error of a packet socket whose interface went down is told once by the
                    // kernel and concerns no other. One that lasts must not keep us busy.
                    tracing::debug!(%error, "cannot read a packet of a probe through the VIP");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Lease {
                transport,
                route,
                sources,
                answer,
            } => {
                let lease = self.lease(transport, &route, &sources);
                // Who has hung up meanwhile gives it back by dropping it.
                drop(answer.send(lease));
            }
            Request::Release(transport, port) => {
                self.leases.release(transport, port, self.clock.now());
            }
        }
    }

    fn lease(
        &mut self,
        transport: Transport,
        route: &Route,
        sources: &[IpAddr],
    ) -> Result<Lease, PathError> {
        let requests = self.requests.upgrade().ok_or(PathError::Ended)?;
        let (last, better) = sources.split_last().ok_or(PathError::Ended)?;
        let now = self.clock.now();
        let mut absorb = |source: IpAddr| {
            for port in self.leases.vacant(transport, now) {
                match Absorber::bind(transport, SocketAddr::new(source, port)) {
                    Ok(absorber) => return Ok((source, port, absorber)),
                    // Somebody else's port.
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                    Err(error) => {
                        return Err(PathError::Source {
                            source_address: source,
                            error,
                        });
                    }
                }
            }
            Err(PathError::NoPort)
        };
        let absorbed = better.iter().find_map(|source| absorb(*source).ok());
        let (source, port, absorber) = absorbed.map_or_else(|| absorb(*last), Ok)?;
        self.leases
            .lend(transport, port, route.clone().from(source));
        Ok(Lease {
            transport,
            port,
            requests,
            _absorber: absorber,
        })
    }

    /// A packet that a socket inside sent.
    fn carry_out(&mut self, packet: &mut [u8]) {
        if let Some((interface, frame)) = self.leases.outgoing(packet) {
            self.senders.send(interface, &frame);
        }
    }

    /// A packet from the network, which may be the answer to one of ours.
    fn carry_in(&mut self, packet: &mut [u8]) {
        let Some(packet) = self.leases.incoming(packet) else {
            return;
        };
        if let Err(error) = self.tun.send(packet) {
            // As if the network had lost it.
            tracing::debug!(%error, "cannot pass on the answer to a probe through the VIP");
        }
    }
}

/// The next packet from a TUN device. tokio takes it for a pipe, and [`Receiver`]'s own `read` for
/// emptied by whatever did not fill the buffer; so it is asked until it has no more.
async fn sent_inside(device: &Receiver, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        device.readable().await?;
        match device.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Where a packet came from.
enum Came {
    Inside,
    Outside,
}

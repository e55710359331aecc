//! Notes when each server that answers is asked: every SYN for one that reaches the servers' host,
//! with the time at which the kernel received it.
//!
//! Not the connections that servers accept, since some checkers never complete the handshake:
//! HAProxy answers the server's SYN-ACK with a reset.

use std::io::{ErrorKind, IoSliceMut};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use caribe_lab::Host;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::bed::number;
use super::intervals::Arrival;
use crate::processors::pin;

/// Room for packets that wait to be read: seconds of them.
const BUFFER: usize = 64 << 20;
/// How long a read waits before orders are looked at.
const PATIENCE: Duration = Duration::from_millis(5);

/// The running recorder; ends when dropped.
pub(crate) struct Recorder {
    orders: Option<Sender<Order>>,
    recordings: Receiver<(Vec<Arrival>, Duration)>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Begin,
    End,
}

impl Recorder {
    /// Starts it on the servers' side, with room for recordings of so many checks.
    pub(crate) fn start(host: &Host, processor: usize, room: usize) -> Result<Recorder> {
        let socket = host.run(open)??;
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
            .name("recorder".to_owned())
            .spawn(move || {
                if let Err(error) =
                    pin(0, processor).and_then(|()| serve(&socket, &inbox, &outbox, record))
                {
                    eprintln!("the recorder has ended: {error:#}");
                }
            })?;
        Ok(Recorder {
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
    anyhow!("the recorder has ended")
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("the recorder broke down");
        }
    }
}

/// A socket that gets the headers of every SYN, with its time.
fn open() -> Result<OwnedFd> {
    const ETH_P_IP: u16 = 0x0800;
    let protocol = Protocol::from(i32::from(ETH_P_IP.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))
        .context("cannot watch the servers' network; run this as root")?;
    // From the IP header on: TCP, and of its flags SYN without ACK.
    let filter = [
        SockFilter::new(0x30, 0, 0, 9),
        SockFilter::new(0x15, 0, 5, 6),
        SockFilter::new(0xb1, 0, 0, 0),
        SockFilter::new(0x50, 0, 0, 13),
        SockFilter::new(0x54, 0, 0, 0x12),
        SockFilter::new(0x15, 0, 1, 0x02),
        SockFilter::new(0x06, 0, 0, 40),
        SockFilter::new(0x06, 0, 0, 0),
    ];
    socket
        .attach_filter(&filter)
        .context("cannot watch for SYNs only")?;
    socket.set_read_timeout(Some(PATIENCE))?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).context("cannot have a large buffer")?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("cannot have times")?;
    Ok(socket.into())
}

fn serve(
    socket: &OwnedFd,
    orders: &Receiver<Order>,
    outbox: &Sender<(Vec<Arrival>, Duration)>,
    mut record: Vec<Arrival>,
) -> Result<()> {
    // When the recording began, and when it is to end.
    let (mut began, mut ends) = (None, None);
    loop {
        match orders.try_recv() {
            Ok(Order::Begin) => {
                record.clear();
                began = Some(now()?);
            }
            Ok(Order::End) => ends = Some(now()?),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        let syn = next(socket)?;
        if let Some((Some(target), moment)) = syn
            && let Some(began) = began
            && let Some(at) = moment.checked_sub(began)
            && ends.is_none_or(|ends| moment < ends)
        {
            record.push(Arrival { target, at });
        }
        // All that came before the end has been read when nothing, or something later, comes.
        if let (Some(first), Some(last)) = (began, ends)
            && syn.is_none_or(|(_, moment)| moment >= last)
        {
            outbox.send((record.clone(), last.saturating_sub(first)))?;
            (began, ends) = (None, None);
        }
    }
}

/// The next SYN: the server that it is for, if that is one that answers, and when it came.
fn next(socket: &OwnedFd) -> Result<Option<(Option<u32>, Duration)>> {
    let mut headers = [0; 40];
    let mut buffers = [IoSliceMut::new(&mut headers)];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let received = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut buffers,
        Some(&mut control),
        MsgFlags::empty(),
    );
    let moment = match received {
        Ok(message) => message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
            _ => None,
        }),
        Err(error) => {
            return match std::io::Error::from(error).kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(None),
                _ => Err(error).context("cannot read packets"),
            };
        }
    };
    let moment = moment.context("a packet came without its time")?;
    let [.., a, b, c, d] = headers.first_chunk::<20>().copied().unwrap_or_default();
    Ok(Some((number(Ipv4Addr::new(a, b, c, d)), moment)))
}

/// The clock that the kernel's times are of.
fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_REALTIME)?.into())
}

//! The network's side: frames are sent and answers seen by packet sockets, and a socket that
//! hears nothing keeps the kernel from answering itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::os::fd::AsRawFd;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::bind;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;

use super::leases::{FIRST_PORT, PORTS};
use super::packet::Transport;

/// A socket of the director's own at the address and port that a probe's packets come from.
///
/// It reserves the port, and what comes for it ends there: without it the kernel would answer a
/// server's segment with a reset, and a datagram with an ICMP error, since the probe's own socket
/// is in another namespace. Its filter lets nothing through, so a stranger who connects to it is
/// not even refused.
#[derive(Debug)]
pub(super) struct Absorber(#[expect(dead_code, reason = "it is there to be there")] Socket);

impl Absorber {
    pub(super) fn bind(transport: Transport, at: SocketAddr) -> io::Result<Absorber> {
        let (kind, protocol) = transport.socket();
        let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
        socket.attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])?;
        if at.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&at.into())?;
        if transport == Transport::Tcp {
            socket.listen(1)?;
        }
        Ok(Absorber(socket))
    }
}

/// Sees what the network sends to the ports of probes, before the kernel drops it.
#[derive(Debug)]
pub(super) struct Tap {
    // tokio only asks whether they are readable and receives: they are no UDP sockets.
    v4: UdpSocket,
    v6: UdpSocket,
}

impl Tap {
    /// Begins to look at what comes in by every interface of this network namespace.
    pub(super) fn open() -> io::Result<Tap> {
        let open = |ether_type: u16, filter: &[SockFilter]| {
            let protocol = Protocol::from(i32::from(ether_type.to_be()));
            let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
            socket.attach_filter(filter)?;
            socket.set_nonblocking(true)?;
            UdpSocket::from_std(StdUdpSocket::from(socket))
        };
        Ok(Tap {
            v4: open(0x0800, &filter_v4())?,
            v6: open(0x86dd, &filter_v6())?,
        })
    }

    /// The next IP packet.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let socket = tokio::select! {
                ready = self.v4.readable() => ready.map(|()| &self.v4),
                ready = self.v6.readable() => ready.map(|()| &self.v6),
            };
            match socket?.try_recv(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }
}

// Instructions of the classic packet filter (`linux/bpf_common.h`).
const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE_AT_X: u16 = 0x50;
const LOAD_HALF_AT_X: u16 = 0x48;
/// X becomes four times the lower half of a byte: the length of an IPv4 header.
const X_OF_HEADER_LENGTH: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_NOT_BELOW: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const ALL: u32 = u32::MAX;
const FIRST: u32 = FIRST_PORT as u32;
const BEYOND: u32 = FIRST + PORTS as u32;

const fn step(code: u16, jump: u8, otherwise: u8, value: u32) -> SockFilter {
    SockFilter::new(code, jump, otherwise, value)
}

/// TCP and UDP for a port of ours, whole; and ICMP errors. Jumps count from the next step.
fn filter_v4() -> [SockFilter; 15] {
    [
        step(LOAD_HALF, 0, 0, 6),
        // A fragment: more to come, or an offset.
        step(JUMP_ANY_BIT, 12, 0, 0x3fff),
        step(X_OF_HEADER_LENGTH, 0, 0, 0),
        step(LOAD_BYTE, 0, 0, 9),
        step(JUMP_EQUAL, 5, 0, 1),
        step(JUMP_EQUAL, 1, 0, 6),
        step(JUMP_EQUAL, 0, 7, 17),
        step(LOAD_HALF_AT_X, 0, 0, 2),
        step(JUMP_NOT_BELOW, 0, 5, FIRST),
        step(JUMP_NOT_BELOW, 4, 3, BEYOND),
        // ICMP: unreachable, time exceeded.
        step(LOAD_BYTE_AT_X, 0, 0, 0),
        step(JUMP_EQUAL, 1, 0, 3),
        step(JUMP_EQUAL, 0, 1, 11),
        step(RETURN, 0, 0, ALL),
        step(RETURN, 0, 0, 0),
    ]
}

/// The same in IPv6, without extension headers.
fn filter_v6() -> [SockFilter; 11] {
    [
        step(LOAD_BYTE, 0, 0, 6),
        step(JUMP_EQUAL, 5, 0, 58),
        step(JUMP_EQUAL, 1, 0, 6),
        step(JUMP_EQUAL, 0, 6, 17),
        step(LOAD_HALF, 0, 0, 42),
        step(JUMP_NOT_BELOW, 0, 4, FIRST),
        step(JUMP_NOT_BELOW, 3, 2, BEYOND),
        step(LOAD_BYTE, 0, 0, 40),
        // Below 128 are errors.
        step(JUMP_NOT_BELOW, 1, 0, 128),
        step(RETURN, 0, 0, ALL),
        step(RETURN, 0, 0, 0),
    ]
}

/// Sends frames by any interface.
#[derive(Debug, Default)]
pub(super) struct Senders {
    sockets: BTreeMap<u32, Socket>,
    /// Interfaces whose trouble has been told.
    troubled: BTreeSet<u32>,
}

impl Senders {
    /// Sends a frame. One that cannot be sent is lost, as frames are; the log says why.
    pub(super) fn send(&mut self, interface: u32, frame: &[u8]) {
        match self.try_send(interface, frame) {
            Ok(()) => {
                self.troubled.remove(&interface);
            }
            Err(error) => {
                // It may have been replaced by another with the same number.
                self.sockets.remove(&interface);
                if self.troubled.insert(interface) {
                    tracing::warn!(interface, %error, "cannot send a probe through the VIP");
                }
            }
        }
    }

    fn try_send(&mut self, interface: u32, frame: &[u8]) -> io::Result<()> {
        let socket = match self.sockets.get(&interface) {
            Some(socket) => socket,
            None => {
                let socket = bound_to(interface)?;
                self.sockets.entry(interface).or_insert(socket)
            }
        };
        let mut writer = socket;
        let written = writer.write(frame)?;
        if written == frame.len() {
            Ok(())
        } else {
            Err(io::Error::other(format!("{written} bytes were taken")))
        }
    }
}

/// A packet socket that sends by an interface and receives nothing.
fn bound_to(interface: u32) -> io::Result<Socket> {
    let mut addresses = getifaddrs()?;
    let address = addresses.find_map(|entry| {
        let link = *entry.address?.as_link_addr()?;
        (link.ifindex() == interface as usize).then_some(link)
    });
    let address = address
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "there is no such interface"))?;
    // Protocol 0: it hears nothing, so that no copies of frames pile up in it.
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

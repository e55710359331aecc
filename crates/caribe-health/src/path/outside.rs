//! The network's side: frames are sent and answers seen by packet sockets, and a socket that
//! hears nothing keeps the kernel from answering itself.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::iter;
use std::net::{SocketAddr, UdpSocket as StdUdpSocket};
use std::ops::RangeInclusive;
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
        socket.attach_filter(&[DROP])?;
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
const X_OF_NUMBER: u16 = 0x01;
/// X becomes four times the lower half of a byte: the length of an IPv4 header.
const X_OF_HEADER_LENGTH: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_NOT_BELOW: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Lets a packet through, whole.
const PASS: SockFilter = step(RETURN, 0, 0, u32::MAX);
/// Lets nothing of it through.
const DROP: SockFilter = step(RETURN, 0, 0, 0);

/// Jumps count from the next step.
const fn step(code: u16, jump: u8, otherwise: u8, value: u32) -> SockFilter {
    SockFilter::new(code, jump, otherwise, value)
}

/// TCP and UDP for a port of ours, and ICMP errors; no fragments.
fn filter_v4() -> Vec<SockFilter> {
    let before_protocol = [
        step(LOAD_HALF, 0, 0, 6),
        // More to come, or an offset.
        step(JUMP_ANY_BIT, 0, 1, 0x3fff),
        DROP,
        step(X_OF_HEADER_LENGTH, 0, 0, 0),
        step(LOAD_BYTE, 0, 0, 9),
    ];
    // Unreachable, time exceeded.
    filter(before_protocol, 1, &[3..=3, 11..=11])
}

/// The same in IPv6, without extension headers.
fn filter_v6() -> Vec<SockFilter> {
    let before_protocol = [step(X_OF_NUMBER, 0, 0, 40), step(LOAD_BYTE, 0, 0, 6)];
    filter(before_protocol, 58, &[0..=127])
}

/// Goes on behind steps that have loaded the protocol, and X with where its header begins.
fn filter(
    before_protocol: impl IntoIterator<Item = SockFilter>,
    icmp: u32,
    errors: &[RangeInclusive<u32>],
) -> Vec<SockFilter> {
    const PORT: u32 = FIRST_PORT as u32;
    let [not_below, below, pass] = pass_within(&(PORT..=PORT + PORTS as u32 - 1));
    let by_port = [
        step(JUMP_EQUAL, 8, 0, icmp),
        step(JUMP_EQUAL, 2, 0, 6),
        step(JUMP_EQUAL, 1, 0, 17),
        DROP,
        step(LOAD_HALF_AT_X, 0, 0, 2),
        not_below,
        below,
        pass,
        DROP,
    ];
    let by_type = errors.iter().flat_map(pass_within);
    let load_type = step(LOAD_BYTE_AT_X, 0, 0, 0);
    let by_type = iter::once(load_type).chain(by_type).chain([DROP]);
    let before = before_protocol.into_iter();
    before.chain(by_port).chain(by_type).collect()
}

/// Lets a packet through whose loaded number is in the range, and goes on with others.
fn pass_within(range: &RangeInclusive<u32>) -> [SockFilter; 3] {
    [
        step(JUMP_NOT_BELOW, 0, 2, *range.start()),
        step(JUMP_NOT_BELOW, 1, 0, *range.end() + 1),
        PASS,
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Whether the kernel lets a packet through this filter.
    fn passes(filter: &[SockFilter], packet: &[u8]) -> bool {
        let (sender, mut receiver) =
            Socket::pair(Domain::UNIX, Type::DGRAM, None).expect("a pair of sockets");
        receiver.attach_filter(filter).expect("a legal filter");
        receiver.set_nonblocking(true).expect("does not block");
        sender.send(packet).expect("sent, whatever becomes of it");
        let mut room = [0; 256];
        match receiver.read(&mut room) {
            Ok(length) => {
                assert_eq!(&room[..length], packet, "it comes whole");
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => panic!("cannot receive: {error}"),
        }
    }

    /// The first bytes of a protocol's header: the port that it is for, or an ICMP type.
    fn to_port(port: u16) -> [u8; 20] {
        let [high, low] = port.to_be_bytes();
        let mut header = [0; 20];
        header[..4].copy_from_slice(&[0, 80, high, low]);
        header
    }

    fn of_type(number: u8) -> [u8; 20] {
        let mut header = [0; 20];
        header[0] = number;
        header
    }

    fn v4(protocol: u8, options: usize, fragment: u16, rest: [u8; 20]) -> Vec<u8> {
        let mut packet = vec![0; 20 + options];
        packet[0] = 0x45 + u8::try_from(options / 4).expect("few");
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet[9] = protocol;
        packet.extend(rest);
        packet
    }

    fn v6(protocol: u8, rest: [u8; 20]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[6] = protocol;
        packet.extend(rest);
        packet
    }

    const LAST_PORT: u16 = FIRST_PORT + PORTS - 1;
    const DONT_FRAGMENT: u16 = 0x4000;

    #[test]
    fn only_what_is_for_ports_of_probes_is_seen() {
        for (port, is_ours) in [
            (FIRST_PORT - 1, false),
            (FIRST_PORT, true),
            (LAST_PORT, true),
            (LAST_PORT + 1, false),
            (80, false),
        ] {
            for protocol in [6, 17] {
                for options in [0, 4, 40] {
                    let packet = v4(protocol, options, DONT_FRAGMENT, to_port(port));
                    assert_eq!(passes(&filter_v4(), &packet), is_ours, "{port} {options}");
                }
                let packet = v6(protocol, to_port(port));
                assert_eq!(passes(&filter_v6(), &packet), is_ours, "{port}");
            }
        }
        // SCTP, and an extension header.
        assert!(!passes(&filter_v4(), &v4(132, 0, 0, to_port(FIRST_PORT))));
        assert!(!passes(&filter_v6(), &v6(44, to_port(FIRST_PORT))));
        for fragment in [0x2000, 0x0001] {
            let packet = v4(17, 0, fragment, to_port(FIRST_PORT));
            assert!(!passes(&filter_v4(), &packet), "{fragment:#x}");
        }
    }

    #[test]
    fn icmp_errors_are_seen_and_other_messages_are_not() {
        for number in 0..=255 {
            let is_error = [3, 11].contains(&number);
            let packet = v4(1, 0, 0, of_type(number));
            assert_eq!(passes(&filter_v4(), &packet), is_error, "ICMP {number}");
            let packet = v6(58, of_type(number));
            assert_eq!(
                passes(&filter_v6(), &packet),
                number < 128,
                "ICMPv6 {number}"
            );
        }
    }
}

//! An ICMP echo request that must be answered.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use socket2::{Protocol, Type};
use tokio::net::UdpSocket;

use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::socket::{code_of, open};
use super::{Code, Target};

/// Pings an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PingCheck {}

/// Who is asked, and who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// Tells our pings from those of others.
    pub identifier: u16,
    /// Tells this ping from our other ones.
    pub sequence: u16,
    /// ICMPv6 has other numbers, and the kernel fills its checksum in.
    pub is_v6: bool,
}

/// What follows the header, so that an answer is ours beyond doubt.
const PAYLOAD: [u8; 16] = *b"caribe monitors.";

impl Echo {
    /// The request, an ICMP message without the IP header.
    pub fn request(&self) -> Vec<u8> {
        let kind = if self.is_v6 { 128 } else { 8 };
        let mut message = self.message(kind);
        if !self.is_v6 {
            let sum = checksum(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        message
    }

    fn message(&self, kind: u8) -> Vec<u8> {
        let mut message = vec![kind, 0, 0, 0];
        message.extend(self.identifier.to_be_bytes());
        message.extend(self.sequence.to_be_bytes());
        message.extend(PAYLOAD);
        message
    }

    /// True for the reply. What the kernel hands over begins with an IP header on raw IPv4
    /// sockets and nowhere else; datagram sockets have an identifier of the kernel's.
    pub fn is_reply(&self, bytes: &[u8], socket: EchoSocket) -> bool {
        let raw = socket == EchoSocket::Raw;
        let message = match bytes.first() {
            Some(first) if raw && !self.is_v6 => {
                let header = usize::from(first & 0x0f) * 4;
                match bytes.get(header..) {
                    Some(message) if header >= 20 => message,
                    _ => return false,
                }
            }
            Some(_) => bytes,
            None => return false,
        };
        let expected = self.message(if self.is_v6 { 129 } else { 0 });
        let same =
            |range: std::ops::Range<usize>| message.get(range.clone()) == expected.get(range);
        let identified = !raw || same(4..6);
        message.len() == expected.len() && same(0..2) && identified && same(6..expected.len())
    }
}

/// The kinds of sockets that can ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoSocket {
    /// For those whom `net.ipv4.ping_group_range` names; the kernel keeps pings apart.
    Datagram,
    /// For root.
    Raw,
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    // Twelve words have at most twelve carries: two folds are enough.
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

impl PingCheck {
    pub(super) async fn run(&self, target: &Target, deadline: &Deadline) -> Step<Found> {
        let address = target.address.ip();
        let (socket, kind) = socket(&target.at_port(0))?;
        let random = getrandom::u32().map_err(|error| {
            Found::new(
                Code::Local,
                format_args!("cannot draw an identifier: {error}"),
            )
        })?;
        let echo = Echo {
            identifier: (random >> 16) as u16,
            sequence: (random & 0xffff) as u16,
            is_v6: address.is_ipv6(),
        };
        let stage = format_args!("PING to {address}");
        deadline
            .bound(Code::L3Timeout, stage, exchange(&socket, kind, echo))
            .await?
            .map_err(|error| failure(address, &error))?;
        Ok(Found::new(
            Code::L3Ok,
            format_args!("{address} answers pings"),
        ))
    }
}

/// A socket that hears ICMP from the target only. Datagram sockets are better, because the kernel
/// gives each its own replies, but few machines allow them.
fn socket(target: &Target) -> Step<(UdpSocket, EchoSocket)> {
    let protocol = match target.address {
        SocketAddr::V4(_) => Protocol::ICMPV4,
        SocketAddr::V6(_) => Protocol::ICMPV6,
    };
    let datagram = open(target, Type::DGRAM, Some(protocol));
    let (socket, kind) = match datagram {
        Ok(socket) => (socket, EchoSocket::Datagram),
        Err(_not_allowed) => (open(target, Type::RAW, Some(protocol))?, EchoSocket::Raw),
    };
    let address = target.address.ip();
    socket
        .connect(&target.address.into())
        .map_err(|error| failure(address, &error))?;
    // tokio sends and receives datagrams alike, of whatever protocol.
    let socket = UdpSocket::from_std(StdUdpSocket::from(socket)).map_err(|error| {
        Found::new(
            Code::Local,
            format_args!("cannot wait for a socket: {error}"),
        )
    })?;
    Ok((socket, kind))
}

async fn exchange(socket: &UdpSocket, kind: EchoSocket, echo: Echo) -> std::io::Result<()> {
    socket.send(&echo.request()).await?;
    let mut buffer = [0; 256];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if echo.is_reply(&buffer[..length], kind) {
            return Ok(());
        }
    }
}

fn failure(address: IpAddr, error: &std::io::Error) -> Found {
    let unreachable =
        code_of(error) == Code::L4Refused || error.raw_os_error() == Some(Errno::EMSGSIZE as i32);
    let code = match error.kind() {
        ErrorKind::TimedOut => Code::L3Timeout,
        _ if unreachable => Code::L3Unreachable,
        _ => Code::Local,
    };
    Found::new(code, format_args!("PING to {address} failed: {error}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ECHO: Echo = Echo {
        identifier: 0x1234,
        sequence: 0x5678,
        is_v6: false,
    };

    /// An IPv4 header of the least length, as the kernel leaves it.
    fn raw(message: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45];
        packet.extend([0; 19]);
        packet.extend(message);
        packet
    }

    #[test]
    fn a_request_has_a_sum_of_zero() {
        let request = ECHO.request();
        assert_eq!(request[0], 8);
        assert_eq!(checksum(&request), 0);
        let v6 = Echo {
            is_v6: true,
            ..ECHO
        };
        assert_eq!(v6.request()[..4], [128, 0, 0, 0]);
    }

    #[test]
    fn only_the_reply_to_this_very_request_is_one() {
        let reply = ECHO.message(0);
        assert!(ECHO.is_reply(&raw(&reply), EchoSocket::Raw));
        assert!(!ECHO.is_reply(&raw(&ECHO.request()), EchoSocket::Raw));
        let other = Echo {
            identifier: 1,
            ..ECHO
        };
        assert!(!ECHO.is_reply(&raw(&other.message(0)), EchoSocket::Raw));
        assert!(ECHO.is_reply(&other.message(0), EchoSocket::Datagram));
        let late = Echo {
            sequence: 1,
            ..ECHO
        };
        assert!(!ECHO.is_reply(&raw(&late.message(0)), EchoSocket::Raw));
        assert!(!ECHO.is_reply(&late.message(0), EchoSocket::Datagram));
        for length in 0..reply.len() {
            assert!(!ECHO.is_reply(&raw(&reply[..length]), EchoSocket::Raw));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_taken_for_a_reply(bytes: Vec<u8>, is_v6: bool) {
            let echo = Echo { is_v6, ..ECHO };
            prop_assert!(!echo.is_reply(&bytes, EchoSocket::Raw));
            prop_assert!(!echo.is_reply(&bytes, EchoSocket::Datagram));
        }
    }
}

//! Packets of probes as bytes: what is looked at and what is rewritten, in user space and with
//! the checksums of the data plane's own code.
//!
//! What comes from the network is anybody's. So a packet is a [`Segment`] first, a place in bytes
//! that was checked against their length, and nothing is read or written but by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use caribe_packet::checksum::{Difference, Sum};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::transport::{ICMP, ICMPV6, TCP, TcpHeader, UDP, UdpHeader};
use socket2::{Protocol, Type};

/// What probes speak over IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// In the words of sockets.
    pub(crate) fn socket(self) -> (Type, Protocol) {
        match self {
            Transport::Tcp => (Type::STREAM, Protocol::TCP),
            Transport::Udp => (Type::DGRAM, Protocol::UDP),
        }
    }

    fn of(protocol: u8) -> Option<Transport> {
        match protocol {
            TCP => Some(Transport::Tcp),
            UDP => Some(Transport::Udp),
            _ => None,
        }
    }

    /// Where the checksum is in the header.
    fn checksum_at(self) -> usize {
        match self {
            Transport::Tcp => TcpHeader::CHECKSUM_AT,
            Transport::Udp => UdpHeader::CHECKSUM_AT,
        }
    }

    /// What a header has at least.
    fn header(self) -> usize {
        match self {
            Transport::Tcp => TcpHeader::LENGTH,
            Transport::Udp => UdpHeader::LENGTH,
        }
    }
}

/// One of both ends that a header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// A whole packet of TCP or UDP, or what an ICMP error quotes of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// TCP or UDP.
    pub transport: Transport,
    /// Whether it is IPv6.
    pub v6: bool,
    /// Where its IP header begins.
    start: usize,
    /// Where its transport header begins.
    ports: usize,
    /// Where it ends; a frame may be longer.
    pub end: usize,
}

/// An ICMP error, and what it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// Where its ICMP header begins.
    icmp: usize,
    /// The packet that it quotes, the beginning of it at least.
    pub quoted: Segment,
    v6: bool,
    /// Where it ends.
    pub end: usize,
}

/// A header of IP, and what it says of the rest.
struct Ip {
    v6: bool,
    protocol: u8,
    payload: usize,
    /// Where the packet ends by its own word.
    end: usize,
}

/// Reads an IP header without asking whether all of the packet is there. Fragments and IPv6's
/// extension headers are not for us.
fn ip(bytes: &[u8], start: usize) -> Option<Ip> {
    let at = |offset: usize| bytes.get(start + offset).copied();
    let half = |offset: usize| Some(u16::from_be_bytes([at(offset)?, at(offset + 1)?]));
    let first = at(0)?;
    match first >> 4 {
        4 => {
            let header = usize::from(first & 0x0f) * 4;
            let length = usize::from(half(2)?);
            let is_fragment = half(6)? & 0x3fff != 0;
            let sound = header >= Ipv4Header::LENGTH && length >= header && !is_fragment;
            let there = bytes.len() >= start + header;
            (sound && there).then_some(Ip {
                v6: false,
                protocol: at(9)?,
                payload: start + header,
                end: start + length,
            })
        }
        6 => {
            let there = bytes.len() >= start + Ipv6Header::LENGTH;
            there.then_some(Ip {
                v6: true,
                protocol: at(6)?,
                payload: start + Ipv6Header::LENGTH,
                end: start + Ipv6Header::LENGTH + usize::from(half(4)?),
            })
        }
        _ => None,
    }
}

impl Segment {
    /// A whole packet of TCP or UDP at the beginning of these bytes.
    pub fn parse(bytes: &[u8]) -> Option<Segment> {
        let ip = ip(bytes, 0)?;
        let transport = Transport::of(ip.protocol)?;
        let whole = ip.end <= bytes.len() && ip.payload + transport.header() <= ip.end;
        whole.then_some(Segment {
            transport,
            v6: ip.v6,
            start: 0,
            ports: ip.payload,
            end: ip.end,
        })
    }

    /// Address and port of an end.
    pub fn at(&self, bytes: &[u8], end: End) -> SocketAddr {
        let (address, port) = self.places(end);
        let port = u16::from_be_bytes(array(bytes, port));
        let address = if self.v6 {
            IpAddr::from(Ipv6Addr::from(array::<16>(bytes, address)))
        } else {
            IpAddr::from(Ipv4Addr::from(array::<4>(bytes, address)))
        };
        SocketAddr::new(address, port)
    }

    /// Offsets of an end's address and port.
    fn places(&self, end: End) -> (usize, usize) {
        let (address, port) = match (self.v6, end) {
            (false, End::Source) => (12, 0),
            (false, End::Destination) => (16, 2),
            (true, End::Source) => (8, 0),
            (true, End::Destination) => (24, 2),
        };
        (self.start + address, self.ports + port)
    }

    /// Another address and port for an end, checksums brought up to date: as NAT does it. An
    /// address of the other family is not written.
    pub fn rewrite(&self, bytes: &mut [u8], end: End, to: SocketAddr) {
        let difference = self.replace(bytes, end, to);
        let at = self.ports + self.transport.checksum_at();
        let checksum = u16::from_ne_bytes(array(bytes, at));
        let checksum = match self.transport {
            Transport::Tcp => difference.apply(checksum),
            Transport::Udp => difference.apply_udp(checksum),
        };
        bytes[at..at + 2].copy_from_slice(&checksum.to_ne_bytes());
    }

    /// The same without the transport's checksum, which a quotation may not have.
    fn replace(&self, bytes: &mut [u8], end: End, to: SocketAddr) -> Difference {
        let (address, port) = self.places(end);
        let mut difference = Difference::none();
        match to.ip() {
            IpAddr::V4(new) if !self.v6 => {
                let (old, new) = (array::<4>(bytes, address), new.octets());
                difference =
                    difference.replace_u32(u32::from_ne_bytes(old), u32::from_ne_bytes(new));
                bytes[address..address + 4].copy_from_slice(&new);
                let at = self.start + 10;
                let header = difference.apply(u16::from_ne_bytes(array(bytes, at)));
                bytes[at..at + 2].copy_from_slice(&header.to_ne_bytes());
            }
            IpAddr::V6(new) if self.v6 => {
                let (old, new) = (array::<16>(bytes, address), new.octets());
                for (old, new) in old.chunks_exact(2).zip(new.chunks_exact(2)) {
                    difference = difference.replace_u16(u16::from_ne_bytes(array(old, 0)), {
                        u16::from_ne_bytes(array(new, 0))
                    });
                }
                bytes[address..address + 16].copy_from_slice(&new);
            }
            _ => return difference,
        }
        let (old, new) = (array::<2>(bytes, port), to.port().to_be_bytes());
        bytes[port..port + 2].copy_from_slice(&new);
        difference.replace_u16(u16::from_ne_bytes(old), u16::from_ne_bytes(new))
    }

    /// Finishes a checksum that was left to a network card: a frame from a neighbour on the same
    /// machine, or one that was merged from several, has only the pseudo header's sum there.
    pub fn finish_checksum(&self, bytes: &mut [u8]) {
        let at = self.ports + self.transport.checksum_at();
        let pseudo = self.pseudo_sum(bytes);
        if array::<2>(bytes, at) != pseudo.folded() {
            return;
        }
        bytes[at..at + 2].fill(0);
        let checksum = match pseudo.add_slice(&bytes[self.ports..self.end]).finish() {
            [0, 0] => [0xff, 0xff],
            checksum => checksum,
        };
        bytes[at..at + 2].copy_from_slice(&checksum);
    }

    /// Where its checksum is and from where it is summed, counted from the IP header, and the sum
    /// of the pseudo header.
    pub(super) fn checksum(&self, bytes: &[u8]) -> (usize, usize, Sum) {
        let start = self.ports - self.start;
        let offset = start + self.transport.checksum_at();
        (offset, start, self.pseudo_sum(bytes))
    }

    fn pseudo_sum(&self, bytes: &[u8]) -> Sum {
        let length = u16::try_from(self.end - self.ports).unwrap_or(u16::MAX);
        let protocol = match self.transport {
            Transport::Tcp => TCP,
            Transport::Udp => UDP,
        };
        addresses_sum(bytes, self.start, self.v6)
            .add_bytes([0, protocol])
            .add_bytes(length.to_be_bytes())
    }
}

impl IcmpError {
    /// An ICMP error about a packet of TCP or UDP at the beginning of these bytes, whole and with
    /// a right checksum.
    pub fn parse(bytes: &[u8]) -> Option<IcmpError> {
        let ip = ip(bytes, 0)?;
        let kind = *bytes.get(ip.payload)?;
        let is_error = match (ip.v6, ip.protocol) {
            (false, ICMP) => kind == 3 || kind == 11,
            (true, ICMPV6) => kind < 128,
            _ => false,
        };
        if !is_error || ip.end > bytes.len() {
            return None;
        }
        let quotation = ip.payload + 8;
        let inner = self::ip(&bytes[..ip.end], quotation)?;
        let transport = Transport::of(inner.protocol)?;
        // The first eight bytes are what every error has to quote.
        let legal = inner.v6 == ip.v6 && inner.payload + 8 <= ip.end;
        let error = IcmpError {
            icmp: ip.payload,
            v6: ip.v6,
            end: ip.end,
            quoted: Segment {
                transport,
                v6: inner.v6,
                start: quotation,
                ports: inner.payload,
                end: ip.end,
            },
        };
        (legal && error.sum(bytes).finish() == [0, 0]).then_some(error)
    }

    /// Where it goes.
    pub fn destination(&self, bytes: &[u8]) -> IpAddr {
        if self.v6 {
            Ipv6Addr::from(array::<16>(bytes, 24)).into()
        } else {
            Ipv4Addr::from(array::<4>(bytes, 16)).into()
        }
    }

    /// As if it had been sent to the quoted packet's sender under another address, and the packet
    /// to another place.
    pub fn rewrite(&self, bytes: &mut [u8], sender: SocketAddr, receiver: SocketAddr) {
        self.quoted.replace(bytes, End::Source, sender);
        self.quoted.replace(bytes, End::Destination, receiver);
        match sender.ip() {
            IpAddr::V4(address) if !self.v6 => {
                let difference = Difference::none().replace_u32(
                    u32::from_ne_bytes(array(bytes, 16)),
                    u32::from_ne_bytes(address.octets()),
                );
                bytes[16..20].copy_from_slice(&address.octets());
                let header = difference.apply(u16::from_ne_bytes(array(bytes, 10)));
                bytes[10..12].copy_from_slice(&header.to_ne_bytes());
            }
            IpAddr::V6(address) if self.v6 => {
                bytes[24..40].copy_from_slice(&address.octets());
            }
            _ => {}
        }
        let at = self.icmp + 2;
        bytes[at..at + 2].fill(0);
        let checksum = self.sum(bytes).finish();
        bytes[at..at + 2].copy_from_slice(&checksum);
    }

    /// What the checksum covers.
    fn sum(&self, bytes: &[u8]) -> Sum {
        let message = Sum::new().add_slice(&bytes[self.icmp..self.end]);
        if !self.v6 {
            return message;
        }
        let length = u16::try_from(self.end - self.icmp).unwrap_or(u16::MAX);
        message
            .add(addresses_sum(bytes, 0, true))
            .add_bytes([0, ICMPV6])
            .add_bytes(length.to_be_bytes())
    }
}

/// The sum of both addresses.
fn addresses_sum(bytes: &[u8], start: usize, v6: bool) -> Sum {
    let both = if v6 { 8..40 } else { 12..20 };
    Sum::new().add_slice(&bytes[start + both.start..start + both.end])
}

/// Bytes at a place that was checked before.
fn array<const LENGTH: usize>(bytes: &[u8], at: usize) -> [u8; LENGTH] {
    let mut array = [0; LENGTH];
    array.copy_from_slice(&bytes[at..at + LENGTH]);
    array
}

#[cfg(test)]
pub(super) mod tests;

//! Frames as values: what goes in, and what is expected to come out.
//!
//! Bytes and checksums are made by `etherparse` (SCTP's checksum by `crc`), never by the code under test, and always in full:
//! an expected frame is the one that came in with some fields changed, built anew.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    EtherType, Ethernet2Header, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpDscp, IpEcn,
    IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6FlowLabel, Ipv6Header, TcpHeader,
    UdpHeader,
};

/// A MAC address.
pub(crate) type Mac = [u8; 6];

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const URG: u8 = 0x20;

/// Kinds of SCTP's chunks.
pub(crate) const DATA: u8 = 0;
pub(crate) const INIT: u8 = 1;
pub(crate) const INIT_ACK: u8 = 2;
pub(crate) const SACK: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 4;
pub(crate) const ABORT: u8 = 6;
pub(crate) const SHUTDOWN: u8 = 7;
pub(crate) const SHUTDOWN_ACK: u8 = 8;
pub(crate) const ERROR: u8 = 9;
pub(crate) const COOKIE_ECHO: u8 = 10;
pub(crate) const COOKIE_ACK: u8 = 11;
pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;

/// An Ethernet frame with an IP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) destination: Mac,
    pub(crate) source: Mac,
    pub(crate) packet: Packet,
    /// Bytes after the packet, as short frames have.
    pub(crate) padding: Vec<u8>,
}

/// An IP packet; both addresses are of one family. Fields of the other family are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// TOS or traffic class.
    pub(crate) service: u8,
    /// TTL or hop limit.
    pub(crate) ttl: u8,
    /// IPv4: identification.
    pub(crate) id: u16,
    /// IPv4: DF.
    pub(crate) do_not_fragment: bool,
    /// IPv4: MF, and the offset in units of eight bytes.
    pub(crate) fragment: (bool, u16),
    /// IPv4: options, a multiple of four bytes.
    pub(crate) options: Vec<u8>,
    /// IPv4: added to the right header checksum, in one's complement; 0 for a right one.
    pub(crate) checksum_error: u16,
    /// IPv6: flow label.
    pub(crate) label: u32,
    pub(crate) body: Body,
}

/// What an IP packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Tcp(Tcp),
    Udp(Udp),
    Sctp(Sctp),
    /// ICMP or ICMPv6, by the family of the packet.
    Icmp {
        kind: u8,
        code: u8,
        rest: [u8; 4],
        payload: Vec<u8>,
    },
    /// A tunnelled packet.
    Inner(Box<Packet>),
    /// A packet in Generic UDP Encapsulation.
    Gue(Gue),
    /// A packet in Generic Routing Encapsulation, with a checksum or without.
    Gre(bool, Box<Packet>),
    /// Anything else: protocol and bytes.
    Raw(u8, Vec<u8>),
}

/// A TCP segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) flags: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    /// Added to the right checksum, in one's complement; 0 for a right one.
    pub(crate) checksum_error: u16,
}

/// A UDP datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Udp {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) payload: Vec<u8>,
    /// False sends 0 for the checksum.
    pub(crate) with_checksum: bool,
    /// Added to the right checksum, in one's complement; 0 for a right one.
    pub(crate) checksum_error: u16,
}

/// A packet of SCTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sctp {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    /// Kinds and values of its chunks.
    pub(crate) chunks: Vec<(u8, Vec<u8>)>,
    /// What the right checksum is spoiled by; 0 for a right one.
    pub(crate) checksum_error: u32,
}

/// A datagram of GUE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gue {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    /// False sends 0 for the outer checksum.
    pub(crate) with_checksum: bool,
    /// With the option of remote checksum offload: the inner checksum is left to the receiver.
    pub(crate) is_remote: bool,
    pub(crate) inner: Box<Packet>,
}

impl Frame {
    /// The frame on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = Ethernet2Header {
            source: self.source,
            destination: self.destination,
            ether_type: match self.packet.destination {
                IpAddr::V4(_) => EtherType::IPV4,
                IpAddr::V6(_) => EtherType::IPV6,
            },
        };
        [&header.to_bytes()[..], &self.packet.bytes(), &self.padding].concat()
    }

    /// The frame with something changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Frame)) -> Frame {
        change(&mut self);
        self
    }

    /// The frame with another TTL or hop limit.
    pub(crate) fn ttl(self, ttl: u8) -> Frame {
        self.with(|frame| frame.packet.ttl = ttl)
    }

    /// The frame with other TCP flags. Only for frames that carry TCP.
    pub(crate) fn flags(self, flags: u8) -> Frame {
        self.with(|frame| frame.packet.tcp().flags = flags)
    }

    /// The frame with other ports.
    pub(crate) fn ports(self, source: u16, destination: u16) -> Frame {
        self.with(|frame| frame.packet.set_ports(source, destination))
    }

    /// The frame with other chunks. Only for frames that carry SCTP.
    pub(crate) fn chunks(self, chunks: Vec<(u8, Vec<u8>)>) -> Frame {
        self.with(|frame| frame.packet.sctp().chunks = chunks)
    }

    /// The frame with a payload of `length` bytes that are all different from their neighbours.
    pub(crate) fn payload(self, length: usize) -> Frame {
        let bytes = (0..length).map(|at| (at * 7 + at / 251) as u8).collect();
        self.with(|frame| match &mut frame.packet.body {
            Body::Tcp(tcp) => tcp.payload = bytes,
            Body::Udp(udp) => udp.payload = bytes,
            Body::Sctp(sctp) => sctp.chunks.last_mut().expect("a chunk").1 = bytes,
            other => panic!("no transport payload in {other:?}"),
        })
    }
}

impl Packet {
    /// A packet with the values that nothing cares about.
    pub(crate) fn new(source: IpAddr, destination: IpAddr, body: Body) -> Packet {
        Packet {
            source,
            destination,
            service: 0,
            ttl: 64,
            id: 0x1234,
            do_not_fragment: true,
            fragment: (false, 0),
            options: Vec::new(),
            checksum_error: 0,
            label: 0,
            body,
        }
    }

    /// The TCP segment. Panics if it carries none.
    pub(crate) fn tcp(&mut self) -> &mut Tcp {
        match &mut self.body {
            Body::Tcp(tcp) => tcp,
            other => panic!("no TCP in {other:?}"),
        }
    }

    /// The UDP datagram. Panics if it carries none.
    pub(crate) fn udp(&mut self) -> &mut Udp {
        match &mut self.body {
            Body::Udp(udp) => udp,
            other => panic!("no UDP in {other:?}"),
        }
    }

    /// The SCTP packet. Panics if it carries none.
    pub(crate) fn sctp(&mut self) -> &mut Sctp {
        match &mut self.body {
            Body::Sctp(sctp) => sctp,
            other => panic!("no SCTP in {other:?}"),
        }
    }

    /// Source and destination port. Panics if it carries none.
    pub(crate) fn ports(&self) -> (u16, u16) {
        match &self.body {
            Body::Tcp(tcp) => (tcp.source, tcp.destination),
            Body::Udp(udp) => (udp.source, udp.destination),
            Body::Sctp(sctp) => (sctp.source, sctp.destination),
            other => panic!("no ports in {other:?}"),
        }
    }

    /// Changes both ports.
    pub(crate) fn set_ports(&mut self, to_source: u16, to_destination: u16) {
        match &mut self.body {
            Body::Tcp(Tcp {
                source,
                destination,
                ..
            })
            | Body::Udp(Udp {
                source,
                destination,
                ..
            })
            | Body::Sctp(Sctp {
                source,
                destination,
                ..
            }) => {
                *source = to_source;
                *destination = to_destination;
            }
            other => panic!("no ports in {other:?}"),
        }
    }

    /// Length of the IP header in bytes.
    pub(crate) fn header_length(&self) -> usize {
        if self.source.is_ipv6() {
            40
        } else {
            20 + self.options.len()
        }
    }

    /// The sum of the pseudo header before a segment of some length, not complemented.
    fn pseudo_sum(&self, length: usize) -> [u8; 2] {
        let mut sum = etherparse::checksum::Sum16BitWords::new();
        let sum = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => sum
                .add_4bytes(source.octets())
                .add_4bytes(destination.octets()),
            (IpAddr::V6(source), IpAddr::V6(destination)) => sum
                .add_16bytes(source.octets())
                .add_16bytes(destination.octets()),
            mixed => panic!("addresses of two families: {mixed:?}"),
        };
        let sum = sum
            .add_2bytes([0, self.body.protocol(self.source.is_ipv6())])
            .add_2bytes((length as u16).to_be_bytes());
        (!sum.ones_complement()).to_ne_bytes()
    }

    /// Length of the packet in bytes.
    pub(crate) fn length(&self) -> usize {
        self.bytes().len()
    }

    /// The packet on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let payload = self.body.bytes(self.source, self.destination);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = Ipv4Header {
                    dscp: IpDscp::try_new(self.service >> 2).expect("six bits"),
                    ecn: IpEcn::try_new(self.service & 3).expect("two bits"),
                    identification: self.id,
                    dont_fragment: self.do_not_fragment,
                    more_fragments: self.fragment.0,
                    fragment_offset: IpFragOffset::try_new(self.fragment.1).expect("13 bits"),
                    time_to_live: self.ttl,
                    protocol: IpNumber(self.body.protocol(false)),
                    source: source.octets(),
                    destination: destination.octets(),
                    options: Ipv4Options::try_from(&self.options[..]).expect("whole words"),
                    ..Ipv4Header::default()
                };
                header
                    .set_payload_len(payload.len())
                    .expect("a short packet");
                header.header_checksum =
                    ones_add(header.calc_header_checksum(), self.checksum_error);
                [&header.to_bytes()[..], &payload].concat()
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    traffic_class: self.service,
                    flow_label: Ipv6FlowLabel::try_new(self.label).expect("20 bits"),
                    payload_length: u16::try_from(payload.len()).expect("a short packet"),
                    next_header: IpNumber(self.body.protocol(true)),
                    hop_limit: self.ttl,
                    source: source.octets(),
                    destination: destination.octets(),
                };
                [&header.to_bytes()[..], &payload].concat()
            }
            mixed => panic!("addresses of two families: {mixed:?}"),
        }
    }
}

impl Body {
    fn protocol(&self, outer_is_v6: bool) -> u8 {
        match self {
            Body::Tcp(_) => 6,
            Body::Udp(_) => 17,
            Body::Sctp(_) => 132,
            Body::Icmp { .. } if outer_is_v6 => 58,
            Body::Icmp { .. } => 1,
            Body::Inner(inner) if inner.source.is_ipv6() => 41,
            Body::Inner(_) => 4,
            Body::Gue(_) => 17,
            Body::Gre(..) => 47,
            Body::Raw(protocol, _) => *protocol,
        }
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        match self {
            Body::Tcp(tcp) => tcp.bytes(source, destination),
            Body::Udp(udp) => udp.bytes(source, destination),
            Body::Sctp(sctp) => sctp.bytes(),
            Body::Icmp {
                kind,
                code,
                rest,
                payload,
            } => icmp(source, destination, (*kind, *code, *rest), payload),
            Body::Inner(inner) => inner.bytes(),
            Body::Gue(gue) => gue.bytes(source, destination),
            Body::Gre(with_checksum, inner) => gre(*with_checksum, inner),
            Body::Raw(_, bytes) => bytes.clone(),
        }
    }
}

impl Tcp {
    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut header = TcpHeader::new(self.source, self.destination, self.sequence, 0xfaf0);
        header.acknowledgment_number = self.acknowledgement;
        header.fin = self.flags & FIN != 0;
        header.syn = self.flags & SYN != 0;
        header.rst = self.flags & RST != 0;
        header.psh = self.flags & PSH != 0;
        header.ack = self.flags & ACK != 0;
        header.urg = self.flags & URG != 0;
        header.ece = self.flags & 0x40 != 0;
        header.cwr = self.flags & 0x80 != 0;
        header
            .set_options_raw(&self.options)
            .expect("at most 40 bytes");
        let checksum = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), &self.payload)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                header.calc_checksum_ipv6_raw(source.octets(), destination.octets(), &self.payload)
            }
            mixed => panic!("addresses of two families: {mixed:?}"),
        };
        header.checksum = ones_add(checksum.expect("a short segment"), self.checksum_error);
        [&header.to_bytes()[..], &self.payload].concat()
    }
}

impl Udp {
    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let (from, to, payload) = (self.source, self.destination, &self.payload[..]);
        let mut header =
            UdpHeader::without_ipv4_checksum(from, to, payload.len()).expect("a short datagram");
        if self.with_checksum {
            let checksum = match (source, destination) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    header.calc_checksum_ipv4_raw(source.octets(), destination.octets(), payload)
                }
                (IpAddr::V6(source), IpAddr::V6(destination)) => {
                    header.calc_checksum_ipv6_raw(source.octets(), destination.octets(), payload)
                }
                mixed => panic!("addresses of two families: {mixed:?}"),
            };
            header.checksum = ones_add(checksum.expect("a short datagram"), self.checksum_error);
        }
        [&header.to_bytes()[..], payload].concat()
    }
}

impl Sctp {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.source.to_be_bytes().to_vec();
        bytes.extend(self.destination.to_be_bytes());
        // The verification tag, and the checksum's place.
        bytes.extend([0xc0, 0xff, 0xee, 0x01, 0, 0, 0, 0]);
        for (kind, value) in &self.chunks {
            let length = u16::try_from(4 + value.len()).expect("a short chunk");
            // Between chunks, but not behind the last one, so that packets are of any length.
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend([*kind, 0]);
            bytes.extend(length.to_be_bytes());
            bytes.extend(value);
        }
        let checksum = crc32c(&bytes) ^ self.checksum_error;
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// The checksum of an SCTP packet whose checksum's bytes are 0.
pub(crate) fn crc32c(packet: &[u8]) -> u32 {
    crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(packet)
}

impl Gue {
    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let protocol = if self.inner.source.is_ipv6() { 41 } else { 4 };
        let mut inner = self.inner.bytes();
        let mut gue = vec![0, protocol, 0, 0];
        if self.is_remote {
            let start = self.inner.header_length();
            let offset = start + if inner_is_tcp(&self.inner) { 16 } else { 6 };
            let [start_high, start_low] = (start as u16).to_be_bytes();
            let [high, low] = (offset as u16).to_be_bytes();
            gue = vec![2, protocol, 0, 1, 0x80, 0, 0, 0];
            gue.extend([start_high, start_low, high, low]);
            let pseudo = self.inner.pseudo_sum(inner.len() - start);
            inner[offset..offset + 2].copy_from_slice(&pseudo);
        }
        let udp = Udp {
            source: self.source,
            destination: self.destination,
            payload: [gue, inner].concat(),
            with_checksum: self.with_checksum,
            checksum_error: 0,
        };
        udp.bytes(source, destination)
    }
}

fn inner_is_tcp(packet: &Packet) -> bool {
    matches!(packet.body, Body::Tcp(_))
}

fn gre(with_checksum: bool, inner: &Packet) -> Vec<u8> {
    let [high, low] = if inner.source.is_ipv6() {
        [0x86, 0xdd]
    } else {
        [0x08, 0x00]
    };
    let inner = inner.bytes();
    if !with_checksum {
        return [&[0, 0, high, low][..], &inner].concat();
    }
    let covered = [&[0x80, 0, high, low, 0, 0, 0, 0][..], &inner].concat();
    let checksum = etherparse::checksum::Sum16BitWords::new()
        .add_slice(&covered)
        .ones_complement();
    let mut bytes = covered;
    bytes[4..6].copy_from_slice(&checksum.to_ne_bytes());
    bytes
}

fn icmp(
    source: IpAddr,
    destination: IpAddr,
    (type_u8, code_u8, bytes5to8): (u8, u8, [u8; 4]),
    payload: &[u8],
) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) => {
            let kind = Icmpv4Type::Unknown {
                type_u8,
                code_u8,
                bytes5to8,
            };
            [
                &Icmpv4Header::with_checksum(kind, payload).to_bytes()[..],
                payload,
            ]
            .concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let kind = Icmpv6Type::Unknown {
                type_u8,
                code_u8,
                bytes5to8,
            };
            let header =
                Icmpv6Header::with_checksum(kind, source.octets(), destination.octets(), payload);
            [&header.expect("a short message").to_bytes()[..], payload].concat()
        }
        mixed => panic!("addresses of two families: {mixed:?}"),
    }
}

/// Adds in one's complement: what an error in a checksum survives an incremental update as.
fn ones_add(checksum: u16, error: u16) -> u16 {
    if error == 0 {
        return checksum;
    }
    let sum = u32::from(checksum) + u32::from(error);
    (sum & 0xffff) as u16 + (sum >> 16) as u16
}

/// An IPv4 address as the maps of VIPs hold it.
pub(crate) fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// An address in the first bytes of sixteen, as a server's line holds it.
pub(crate) fn leading(address: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes = address.octets(),
    }
    bytes
}

/// `192.0.2.n` and the like.
pub(crate) fn v4(text: &str) -> IpAddr {
    IpAddr::V4(text.parse::<Ipv4Addr>().expect("an IPv4 address"))
}

/// `2001:db8::n` and the like.
pub(crate) fn v6(text: &str) -> IpAddr {
    IpAddr::V6(text.parse::<Ipv6Addr>().expect("an IPv6 address"))
}

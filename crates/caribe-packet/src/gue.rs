//! Generic UDP Encapsulation as Linux speaks it (draft-ietf-intarea-gue, version 0), with remote
//! checksum offload (draft-herbert-remotecsumoffload).

use crate::checksum::Sum;
use crate::transport::{Ports, UdpHeader};

/// The first four bytes of a GUE header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct GueHeader {
    /// Version (2 bits), control (1), and 32-bit words of options that follow (5).
    pub words: u8,
    /// IP protocol of what is inside.
    pub protocol: u8,
    /// Which options follow, network order.
    pub flags: [u8; 2],
}

/// The option of remote checksum offload, behind the word of private flags that announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct RemoteChecksum {
    /// Private flags.
    pub private: [u8; 4],
    /// Where the receiver starts to sum, in bytes of the inner packet, network order.
    pub start: [u8; 2],
    /// Where it puts the checksum, in bytes of the inner packet, network order.
    pub offset: [u8; 2],
}

/// In [`GueHeader::flags`]: a word of private flags follows.
const PRIVATE: [u8; 2] = [0, 1];
/// In [`RemoteChecksum::private`]: the option follows.
const REMOTE_CHECKSUM: [u8; 4] = [0x80, 0, 0, 0];

impl GueHeader {
    /// Length without options, in bytes.
    pub const LENGTH: usize = 4;

    /// The header in front of a packet.
    #[inline(always)]
    pub const fn emit(protocol: u8, with_remote_checksum: bool) -> Self {
        GueHeader {
            words: if with_remote_checksum { 2 } else { 0 },
            protocol,
            flags: if with_remote_checksum {
                PRIVATE
            } else {
                [0, 0]
            },
        }
    }

    /// True for a packet (no control message) in a version that we know.
    #[inline(always)]
    pub const fn is_data(&self) -> bool {
        self.words >> 5 == 0
    }

    /// True when no option follows.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.words == 0 && self.flags[0] | self.flags[1] == 0
    }

    /// True when exactly the option of remote checksum offload follows, as [`RemoteChecksum`].
    #[inline(always)]
    pub const fn has_remote_checksum(&self) -> bool {
        self.words == 2 && self.flags[0] == PRIVATE[0] && self.flags[1] == PRIVATE[1]
    }

    #[inline(always)]
    const fn sum(&self, sum: Sum) -> Sum {
        sum.add_bytes([self.words, self.protocol])
            .add_bytes(self.flags)
    }
}

impl RemoteChecksum {
    /// Length in bytes.
    pub const LENGTH: usize = 8;

    /// The option for a checksum at `offset` over the bytes from `start`.
    #[inline(always)]
    pub const fn emit(start: u16, offset: u16) -> Self {
        RemoteChecksum {
            private: REMOTE_CHECKSUM,
            start: start.to_be_bytes(),
            offset: offset.to_be_bytes(),
        }
    }

    /// Start and offset, if that is what the private flags announce and both lie where a
    /// transport header of ours has them.
    #[inline(always)]
    pub const fn parse(&self) -> Option<(u16, u16)> {
        let start = u16::from_be_bytes(self.start);
        let offset = u16::from_be_bytes(self.offset);
        let known = u32::from_be_bytes(self.private) == u32::from_be_bytes(REMOTE_CHECKSUM);
        if known
            && start >= 20
            && start <= 60
            && start.is_multiple_of(4)
            && offset >= start
            && offset - start <= 16
            && offset.is_multiple_of(2)
        {
            Some((start, offset))
        } else {
            None
        }
    }

    #[inline(always)]
    const fn sum(&self, sum: Sum) -> Sum {
        sum.add_bytes([self.private[0], self.private[1]])
            .add_bytes([self.private[2], self.private[3]])
            .add_bytes(self.start)
            .add_bytes(self.offset)
    }
}

/// The ports between which an operating system chooses those of its own connections (Linux:
/// `net.ipv4.ip_local_port_range` as it comes).
const FIRST_PORT: u32 = 32_768;
/// Ports in that range: up to 60,999.
const PORTS: u64 = 28_232;

/// The outer source port of a flow: always the same for one flow, so that routers and network
/// cards spread flows and keep the order of packets in each.
#[inline(always)]
pub const fn source_port(hash: u32) -> [u8; 2] {
    let [_, _, high, low] = (FIRST_PORT + ((hash as u64 * PORTS) >> 32) as u32).to_be_bytes();
    [high, low]
}

/// Addresses (folded to 32 bits) and ports of a flow as a number that [`source_port`] spreads.
#[inline(always)]
pub const fn flow_hash(source: u32, destination: u32, ports: Ports) -> u32 {
    let [a, b] = ports.source;
    let [c, d] = ports.destination;
    let words = source as u64 | (destination as u64) << 32;
    let hash = (words ^ u32::from_le_bytes([a, b, c, d]) as u64).wrapping_mul(MULTIPLIER);
    let hash = (hash ^ hash >> 29).wrapping_mul(MULTIPLIER);
    (hash >> 32) as u32
}

/// An odd constant with well-spread bits.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// The UDP header in front of `gue`, its option and an inner packet of `length` bytes, without a
/// checksum.
#[inline(always)]
pub const fn udp(ports: Ports, remote: Option<&RemoteChecksum>, length: u16) -> UdpHeader {
    let option = if remote.is_some() {
        RemoteChecksum::LENGTH
    } else {
        0
    };
    let headers = (UdpHeader::LENGTH + GueHeader::LENGTH + option) as u16;
    UdpHeader {
        ports,
        length: headers.wrapping_add(length).to_be_bytes(),
        checksum: [0, 0],
    }
}

/// The UDP checksum of a tunnelled packet, from the sums of the outer pseudo header's addresses
/// and of the inner packet.
#[inline(always)]
pub const fn checksum(
    addresses: Sum,
    udp: &UdpHeader,
    gue: &GueHeader,
    remote: Option<&RemoteChecksum>,
    inner: Sum,
) -> [u8; 2] {
    let sum = inner
        .add(addresses)
        .add_bytes([0, crate::transport::UDP])
        .add_bytes(udp.length)
        .add_bytes(udp.ports.source)
        .add_bytes(udp.ports.destination)
        .add_bytes(udp.length);
    let sum = gue.sum(sum);
    let sum = match remote {
        Some(remote) => remote.sum(sum),
        None => sum,
    };
    match sum.finish() {
        [0, 0] => [0xff, 0xff],
        other => other,
    }
}

//! A real server as the packet path sees it, and its load.

/// One real server of one service: a cache line with everything that forwarding needs.
///
/// The director writes it from what netlink says of routes and neighbours. Both MAC addresses
/// share an aligned word with their neighbour field, so that each changes in one store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Server {
    /// Address; IPv4 in the first four bytes.
    pub address: [u8; 16],
    /// Outer source address of a tunnel; IPv4 in the first four bytes.
    pub tunnel_source: [u8; 16],
    /// MAC address of the server or of the gateway towards it.
    pub destination_mac: [u8; 6],
    /// MTU of the way there, in bytes of IP packet.
    pub mtu: u16,
    /// MAC address of the outgoing interface.
    pub source_mac: [u8; 6],
    /// Port, network order; `[0, 0]` keeps the packet's.
    pub port: [u8; 2],
    /// Index of the outgoing interface.
    pub interface: u32,
    /// Index of the service that the server belongs to.
    pub service: u32,
    /// Weight; 0 is quiesced.
    pub weight: u32,
    /// IPVS's number of the forwarding method: [`MASQUERADE`], [`TUNNEL`] or [`DIRECT`].
    pub forwarding: u8,
    /// [`IN_SERVICE`], [`REACHABLE`], [`OUTER_IPV6`], [`LOCAL`], and how a tunnel wraps: [`GUE`],
    /// [`GRE`], [`TUNNEL_CHECKSUM`], [`REMOTE_CHECKSUM`].
    pub flags: u8,
    /// UDP port on which the server decapsulates GUE, network order.
    pub tunnel_port: [u8; 2],
}

const _: () = assert!(size_of::<Server>() == 64);

/// NAT.
pub const MASQUERADE: u8 = 0;
/// Tunnelling.
pub const TUNNEL: u8 = 2;
/// Direct routing.
pub const DIRECT: u8 = 3;

/// The server is in the table; without it, its connections are dropped.
pub const IN_SERVICE: u8 = 0x01;
/// The next hop is known; without it, packets are dropped and counted.
pub const REACHABLE: u8 = 0x02;
/// The address is IPv6, whatever the service is: the outer header of a tunnel.
pub const OUTER_IPV6: u8 = 0x04;
/// The address is the director's own: packets go up its stack.
pub const LOCAL: u8 = 0x08;
/// A tunnel wraps in UDP and Generic UDP Encapsulation.
pub const GUE: u8 = 0x10;
/// A tunnel wraps in Generic Routing Encapsulation; with neither bit, in IP alone.
pub const GRE: u8 = 0x20;
/// The header of GUE or GRE carries a checksum.
pub const TUNNEL_CHECKSUM: u8 = 0x40;
/// GUE: remote checksum offload, which needs [`TUNNEL_CHECKSUM`] too.
pub const REMOTE_CHECKSUM: u8 = 0x80;
/// The bits that tell how a tunnel wraps.
pub const ENCAPSULATION: u8 = GUE | GRE | TUNNEL_CHECKSUM | REMOTE_CHECKSUM;

/// Where a NAT server speaks from (`nat_icmp_send`): the key of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct NatEnd {
    /// Address; IPv4 in the first four bytes.
    pub address: [u8; 16],
    /// Port, network order.
    pub port: [u8; 2],
    /// Protocol; 0 for the servers of a firewall mark, which take any.
    pub protocol: u8,
    /// Version of IP: 4 or 6.
    pub version: u8,
}

const _: () = assert!(size_of::<NatEnd>() == 20);

/// Connections of a server by IPVS's two classes, in one word: active in the upper half, inactive
/// in the lower. It changes by atomic additions of the differences below; the highest bit says that
/// the server is overloaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Load(pub u64);

impl Load {
    /// One more active connection.
    pub const ACTIVE: u64 = 1 << 32;
    /// One more inactive connection.
    pub const INACTIVE: u64 = 1;

    /// The server has as many connections as it may have, and gets no new ones (IPVS: OVERLOAD).
    pub const OVERLOADED: u64 = 1 << 63;

    /// The number of one more connection of a class; its negative takes one away.
    #[inline(always)]
    pub const fn one(inactive: bool) -> u64 {
        if inactive {
            Self::INACTIVE
        } else {
            Self::ACTIVE
        }
    }

    /// Connections in an active state.
    #[inline(always)]
    pub const fn active(self) -> u32 {
        (self.0 >> 32) as u32 & 0x7fff_ffff
    }

    /// 1 if the server is overloaded, else 0.
    #[inline(always)]
    pub const fn overloaded(self) -> u64 {
        self.0 >> 63
    }

    /// Connections of both classes.
    #[inline(always)]
    pub const fn total(self) -> u64 {
        self.active() as u64 + self.inactive() as u64
    }

    /// All others.
    #[inline(always)]
    pub const fn inactive(self) -> u32 {
        self.0 as u32
    }

    /// What lc and wlc compare: an active connection weighs as much as 256 inactive ones.
    #[inline(always)]
    pub const fn overhead(self) -> u64 {
        ((self.active() as u64) << 8) + self.inactive() as u64
    }
}

/// How many connections a server takes, in a word: the upper bound below, the lower one above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bounds(pub u64);

impl Bounds {
    /// Both bounds; 0 for none.
    pub const fn new(upper: u32, lower: u32) -> Self {
        Bounds(upper as u64 | (lower as u64) << 32)
    }

    /// Connections from which on the server is overloaded; 0 means never.
    #[inline(always)]
    pub const fn upper(self) -> u32 {
        self.0 as u32
    }

    /// Connections below which it is overloaded no longer; 0 means three quarters of the upper.
    #[inline(always)]
    pub const fn lower(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// True when a server with this load becomes overloaded by a connection that it just got.
    #[inline(always)]
    pub const fn overloads(self, load: Load) -> bool {
        self.upper() != 0 && load.total() >= self.upper() as u64
    }

    /// True when a server with this load, which just lost a connection, is overloaded no longer.
    #[inline(always)]
    pub const fn relieves(self, load: Load) -> bool {
        if self.lower() != 0 {
            load.total() < self.lower() as u64
        } else if self.upper() != 0 {
            load.total() * 4 < self.upper() as u64 * 3
        } else {
            true
        }
    }
}

/// What went one way, on one processor. Bytes are IP lengths before encapsulation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How many servers' counters a processor has in a row: a multiple of this many, so that two
/// processors never share a cache line.
pub const ROW: u32 = 8;

/// Traffic of a server, over all processors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Traffic {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_85_without_a_lower_bound_three_quarters_relieve() {
        let bounds = Bounds::new(4, 0);
        assert!(!bounds.overloads(Load(3)));
        assert!(bounds.overloads(Load(2 * Load::ACTIVE + 2)));
        assert!(!bounds.relieves(Load(3)));
        assert!(bounds.relieves(Load(Load::OVERLOADED + Load::ACTIVE + 1)));
    }

    #[test]
    fn case_86_with_a_lower_bound_it_relieves() {
        let bounds = Bounds::new(4, 2);
        assert!(!bounds.relieves(Load(2)));
        assert!(bounds.relieves(Load(1)));
    }

    #[test]
    fn no_bounds_never_overload_and_always_relieve() {
        assert!(!Bounds::default().overloads(Load(u32::MAX as u64)));
        assert!(Bounds::default().relieves(Load(u32::MAX as u64)));
    }

    #[test]
    fn the_bit_of_overload_is_no_connection() {
        let load = Load(Load::OVERLOADED + 3 * Load::ACTIVE + 7);
        assert_eq!((load.active(), load.inactive()), (3, 7));
        assert_eq!((load.total(), load.overloaded()), (10, 1));
    }
}

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

/// Connections of a server by IPVS's two classes, in one word: active in the upper half, inactive
/// in the lower. It changes by atomic additions of the differences below.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Load(pub u64);

impl Load {
    /// One more active connection.
    pub const ACTIVE: u64 = 1 << 32;
    /// One more inactive connection.
    pub const INACTIVE: u64 = 1;

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
        (self.0 >> 32) as u32
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

/// Traffic of a server on one processor. Bytes are IP lengths before encapsulation.
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

//! What the stages tell each other of a packet.

use caribe_packet::transport::Ports;

/// A packet of TCP, UDP or SCTP, addresses of type `A`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Packet<A> {
    /// Source address.
    pub source: A,
    /// Destination address.
    pub destination: A,
    /// Both ports.
    pub ports: Ports,
    /// IP protocol: TCP, UDP or SCTP.
    pub protocol: u8,
    /// TCP flags; the number of an [`Event`](caribe_packet::sctp_state::Event) for SCTP; 0 for
    /// UDP.
    pub flags: u8,
    /// A fragment but not the first: its ports are those of the first, and it has no transport
    /// header.
    pub is_later_fragment: bool,
    /// Any fragment, the first one included.
    pub is_fragment: bool,
    /// Length of the IP packet in bytes.
    pub length: u16,
    /// Offset of the transport header in the frame.
    pub transport: usize,
}

/// What NAT puts in place of the VIP and its port.
pub struct Rewrite<A> {
    /// The server's address.
    pub address: A,
    /// The server's port, network order.
    pub port: [u8; 2],
}

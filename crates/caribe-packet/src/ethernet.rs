//! Ethernet II frames.

/// An Ethernet header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct EthernetHeader {
    /// Destination MAC address.
    pub destination: [u8; 6],
    /// Source MAC address.
    pub source: [u8; 6],
    /// EtherType, network order.
    pub ether_type: [u8; 2],
}

/// IPv4.
pub const ETHER_TYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// IPv6.
pub const ETHER_TYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// IEEE 802.1Q tag.
pub const ETHER_TYPE_VLAN: [u8; 2] = [0x81, 0x00];
/// IEEE 802.1ad service tag.
pub const ETHER_TYPE_SERVICE_VLAN: [u8; 2] = [0x88, 0xa8];

impl EthernetHeader {
    /// Length in bytes.
    pub const LENGTH: usize = 14;

    /// True when the frame is for a group of machines: broadcast, or multicast.
    #[inline(always)]
    pub const fn is_for_group(&self) -> bool {
        self.destination[0] & 1 != 0
    }

    /// Addresses the frame back to where it came from.
    #[inline(always)]
    pub const fn turn_round(&mut self) {
        let source = self.source;
        self.source = self.destination;
        self.destination = source;
    }
}

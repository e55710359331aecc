//! What is remembered of a packet in fragments: only the first has the ports by which its
//! connection is found.

use crate::ipv4::Ipv4Header;
use crate::settings::ticks_of_seconds;
use crate::transport::Ports;

/// What the fragments of one packet have in common (RFC 791, 3.2; RFC 8200, 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentKey {
    /// Source address; IPv4 in the first four bytes.
    pub source: [u8; 16],
    /// Destination address; IPv4 in the first four bytes.
    pub destination: [u8; 16],
    /// Identification; that of IPv4 in the first two bytes.
    pub identification: [u8; 4],
    /// IPv4: the protocol. IPv6: 0, which IPv4 never balances.
    pub protocol: u8,
    /// Zero.
    pub padding: [u8; 3],
}

const _: () = assert!(size_of::<FragmentKey>() == 40);

impl FragmentKey {
    /// Of an IPv4 fragment.
    #[inline(always)]
    pub const fn of4(header: &Ipv4Header) -> Self {
        let [a, b, c, d] = header.source;
        let [e, f, g, h] = header.destination;
        let [high, low] = header.identification;
        FragmentKey {
            source: [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            destination: [e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            identification: [high, low, 0, 0],
            protocol: header.protocol,
            padding: [0; 3],
        }
    }
}

/// What the first fragment told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct FirstFragment {
    /// The ports.
    pub ports: Ports,
    /// The deadline, in ticks: until then the other fragments may follow.
    pub deadline: u32,
    /// Transport protocol.
    pub protocol: u8,
    /// Zero.
    pub padding: [u8; 3],
}

const _: () = assert!(size_of::<FirstFragment>() == 12);

impl FirstFragment {
    /// For how long a first fragment is remembered, in ticks: as long as Linux waits for the rest
    /// of a packet.
    pub const LIFETIME: u32 = ticks_of_seconds(30);

    /// True when it is too late to follow.
    #[inline(always)]
    pub const fn is_expired(&self, now: u32) -> bool {
        (self.deadline.wrapping_sub(now) as i32) < 0
    }

    /// True when another first fragment tells the same.
    #[inline(always)]
    pub const fn agrees(&self, ports: Ports, protocol: u8) -> bool {
        u16::from_ne_bytes(self.ports.source) == u16::from_ne_bytes(ports.source)
            && u16::from_ne_bytes(self.ports.destination) == u16::from_ne_bytes(ports.destination)
            && self.protocol == protocol
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_fragment_is_followed_for_half_a_minute() {
        let first = FirstFragment {
            ports: Ports {
                source: [1, 2],
                destination: [3, 4],
            },
            deadline: 10u32.wrapping_sub(20).wrapping_add(FirstFragment::LIFETIME),
            protocol: 17,
            padding: [0; 3],
        };
        let made = 10u32.wrapping_sub(20);
        assert!(!first.is_expired(made));
        assert!(!first.is_expired(made.wrapping_add(FirstFragment::LIFETIME)));
        assert!(first.is_expired(made.wrapping_add(FirstFragment::LIFETIME + 1)));
        assert!(first.agrees(first.ports, 17));
        assert!(!first.agrees(first.ports, 6));
        let other = Ports {
            source: [1, 3],
            ..first.ports
        };
        assert!(!first.agrees(other, 17));
    }
}

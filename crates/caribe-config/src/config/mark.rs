//! Rules that give packets a firewall mark.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use caribe_model::Family;

/// An active `mark` block. Of several that match a packet the last in the file counts, as with
/// netfilter's MARK, which goes on with the next rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkRule {
    /// Name of the block.
    pub name: String,
    /// `mark`.
    pub mark: NonZeroU32,
    /// `address`.
    pub network: Network,
    /// `protocol`.
    pub protocols: MarkedProtocols,
    /// `port`.
    pub ports: PortSet,
}

/// Which transport protocols a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarkedProtocols {
    /// TCP, UDP and SCTP.
    Any,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl MarkedProtocols {
    /// Some protocol is of both.
    pub fn meets(self, other: Self) -> bool {
        self == other || self == MarkedProtocols::Any || other == MarkedProtocols::Any
    }
}

/// An address with a prefix length; bits behind the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// The network of an address; `None` when the length is over 32 or 128.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4((u32::from(v4) & mask).into())
            }
            IpAddr::V6(v6) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
            _ => return None,
        };
        Some(Network { address, length })
    }

    /// Its first address.
    pub fn address(self) -> IpAddr {
        self.address
    }

    /// Bits of its prefix, at most 32 or 128.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Its address family.
    pub fn family(self) -> Family {
        Family::from(self.address)
    }

    /// Whether an address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        Family::from(address) == self.family()
            && Network::new(address, self.length) == Some(self)
    }

    /// Some address is in both.
    pub fn meets(self, other: Self) -> bool {
        match self.length <= other.length {
            true => self.contains(other.address),
            false => other.contains(self.address),
        }
    }
}

impl fmt::Display for Network {
    /// The address alone if it is one, else `ADDRESS/LENGTH`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.length) {
            (IpAddr::V4(address), 32) => address.fmt(f),
            (IpAddr::V6(address), 128) => address.fmt(f),
            (address, length) => write!(f, "{address}/{length}"),
        }
    }
}

/// A set of ports, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortSet {
    /// In order, none touching the next.
    ranges: Vec<RangeInclusive<u16>>,
}

impl PortSet {
    /// All ports.
    pub fn all() -> Self {
        PortSet {
            ranges: vec![0..=u16::MAX],
        }
    }

    /// Most ranges that one rule of lvs.cf may have, joined ones counted once.
    pub const MAX_RANGES: usize = 64;

    /// The union of ranges; `None` when there is no port in them.
    pub fn new(ranges: impl IntoIterator<Item = RangeInclusive<u16>>) -> Option<Self> {
        let mut sorted: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        sorted.sort_by_key(|range| *range.start());
        let mut joined: Vec<RangeInclusive<u16>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match joined.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => joined.push(range),
            }
        }
        (!joined.is_empty()).then_some(PortSet { ranges: joined })
    }

    /// The ranges, in order, with a gap between any two.
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.ranges
    }

    /// Whether these are all ports.
    pub fn is_all(&self) -> bool {
        self.ranges == [0..=u16::MAX]
    }

    /// Whether a port is in it.
    pub fn contains(&self, port: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&port))
    }

    /// Some port is in both.
    pub fn meets(&self, other: &Self) -> bool {
        let (mut own, mut others) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        while let (Some(one), Some(another)) = (own.peek(), others.peek()) {
            if one.end() < another.start() {
                own.next();
            } else if another.end() < one.start() {
                others.next();
            } else {
                return true;
            }
        }
        false
    }
}

impl fmt::Display for PortSet {
    /// As in lvs.cf: `80,443,1024-65535`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match range.start() == range.end() {
                true => write!(f, "{comma}{}", range.start())?,
                false => write!(f, "{comma}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str, length: u8) -> Network {
        Network::new(address.parse().expect("an address"), length).expect("a length")
    }

    #[test]
    fn networks_hold_what_their_prefix_says() {
        let net = network("192.0.2.77", 26);
        assert_eq!(net.to_string(), "192.0.2.64/26");
        assert!(net.contains("192.0.2.127".parse().expect("an address")));
        assert!(!net.contains("192.0.2.128".parse().expect("an address")));
        assert!(!net.contains("::".parse().expect("an address")));
        assert!(net.meets(network("0.0.0.0", 0)) && network("0.0.0.0", 0).meets(net));
        assert!(net.meets(network("192.0.2.65", 32)));
        assert!(!net.meets(network("::", 0)));
        assert_eq!(network("2001:db8::1", 128).to_string(), "2001:db8::1");
        assert_eq!(network("2001:db8::1", 0).to_string(), "::/0");
        assert_eq!(Network::new("192.0.2.1".parse().expect("an address"), 33), None);
    }

    #[test]
    fn port_sets_are_in_order_and_joined() {
        let set = |ranges: &[RangeInclusive<u16>]| PortSet::new(ranges.iter().cloned());
        let web = set(&[443..=443, 80..=80, 81..=90, 85..=88]).expect("ports");
        assert_eq!(web.to_string(), "80-90,443");
        assert!(web.contains(81) && !web.contains(444));
        assert!(web.meets(&set(&[90..=100]).expect("ports")));
        assert!(!web.meets(&set(&[91..=442]).expect("ports")));
        assert!(set(&[0..=9, 10..=65535]).is_some_and(|set| set.is_all()));
        #[expect(clippy::reversed_empty_ranges, reason = "that is the question")]
        let none = set(&[9..=8]);
        assert_eq!(none, None);
    }
}

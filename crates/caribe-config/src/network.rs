//! A network: an address and how much of it counts.

use std::fmt;
use std::net::IpAddr;

use caribe_model::Family;

/// An address with a prefix length; bits behind the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// The network of an address; `None` when the length is over 32 or 128.
    pub(crate) fn new(address: IpAddr, length: u8) -> Option<Self> {
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
    pub(crate) fn address(self) -> IpAddr {
        self.address
    }

    /// Bits of its prefix, at most 32 or 128.
    pub(crate) fn length(self) -> u8 {
        self.length
    }

    /// Its address family.
    pub(crate) fn family(self) -> Family {
        Family::from(self.address)
    }

    /// Whether an address is in it.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        Family::from(address) == self.family() && Network::new(address, self.length) == Some(self)
    }

    /// Some address is in both.
    pub(crate) fn meets(self, other: Self) -> bool {
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
        assert_eq!(
            Network::new("192.0.2.1".parse().expect("an address"), 33),
            None
        );
    }
}

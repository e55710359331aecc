//! How a frame gets from the director to a real server.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> String {
        address.to_string()
    }
}

impl TryFrom<String> for MacAddress {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, UnknownWord> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        let read = bytes.iter_mut().all(|byte| {
            let part = parts.next().filter(|part| {
                // The parser of numbers would take a sign as well.
                part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())
            });
            let parsed = part.and_then(|part| u8::from_str_radix(part, 16).ok());
            parsed.map(|parsed| *byte = parsed).is_some()
        });
        if read && parts.next().is_none() {
            Ok(MacAddress(bytes))
        } else {
            Err(UnknownWord {
                what: "MAC address",
                word: text,
                expected: "six pairs of hexadecimal digits with colons between",
            })
        }
    }
}

/// The resolved way to one address: kept warm from netlink, so that the packet path needs no
/// route or neighbour look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// Index of the outgoing interface.
    pub interface: u32,
    /// MAC address of that interface.
    pub source_mac: MacAddress,
    /// MAC address of the neighbour: the server itself, or the gateway towards it.
    pub destination_mac: MacAddress,
    /// Source address that the routing table selects: the outer source of a tunnel.
    pub source_address: IpAddr,
    /// MTU of the route, in bytes of IP packet.
    pub mtu: u16,
}

impl NextHop {
    /// The way to an address of this machine itself: up its own network stack.
    pub const fn local(address: IpAddr) -> Self {
        NextHop {
            // The loopback interface.
            interface: 1,
            source_mac: MacAddress([0; 6]),
            destination_mac: MacAddress([0; 6]),
            source_address: address,
            mtu: u16::MAX,
        }
    }

    /// True for the way to an address of this machine itself. No neighbour has an address of
    /// zeroes.
    pub fn is_local(&self) -> bool {
        self.destination_mac == MacAddress([0; 6])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_read_as_it_is_written() {
        let address = MacAddress([0x02, 0, 0xab, 0xcd, 0xef, 0x7f]);
        assert_eq!(String::from(address), "02:00:ab:cd:ef:7f");
        assert_eq!(MacAddress::try_from(String::from(address)), Ok(address));
        for text in [
            "",
            "02:00:ab:cd:ef",
            "02:00:ab:cd:ef:7f:00",
            "2:0:ab:cd:ef:7f",
            "02-00",
        ] {
            MacAddress::try_from(text.to_owned()).expect_err(text);
        }
    }
}

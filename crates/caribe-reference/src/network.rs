//! The network around a director under test: two Ethernet links, whose far ends are ours.
//!
//! ```text
//!   clients 11.n.n.c, 2001:db8:n::c               real servers 10.2.0.11 ..., fd00:2::11 ...
//!            \                                       /
//!   gateway 10.1.0.254 ---- eth0 director eth1 -----
//!                     VIPs on eth0
//! ```
//!
//! All neighbours are permanent: nothing has to be asked for, and the MAC address of a frame
//! tells to whom it went. Clients and VIPs are the scenario's own, so that scenarios can be played
//! one after the other to one director whose connections outlive them.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// A side of the director.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Where clients are.
    Front,
    /// Where real servers are.
    Back,
}

impl Side {
    /// Both.
    pub const ALL: [Side; 2] = [Side::Front, Side::Back];

    /// Name of the director's interface.
    pub const fn interface(self) -> &'static str {
        match self {
            Side::Front => "eth0",
            Side::Back => "eth1",
        }
    }

    /// MAC address of the director's interface.
    pub const fn mac(self) -> [u8; 6] {
        match self {
            Side::Front => [2, 0, 0, 0, 0, 1],
            Side::Back => [2, 0, 0, 0, 0, 2],
        }
    }
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Real servers that the network has; their numbers count from 0.
pub const SERVERS: u8 = 8;
/// VIPs that a scenario has in each family.
pub const VIPS: u8 = 3;

/// Firewall marks that a scenario has; their numbers count from 1.
pub const MARKS: u8 = 3;

/// MAC address of the clients' gateway.
pub const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];

/// MAC address of a real server.
pub const fn server_mac(server: u8) -> [u8; 6] {
    [2, 0, 0, 0, 1, server]
}

/// Address of a real server.
pub fn server(family: Family, server: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 2, 0, 11 + server).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x11 + u16::from(server)).into(),
    }
}

/// A VIP of a scenario.
pub fn vip(family: Family, scenario: u32, vip: u8) -> IpAddr {
    let [_, _, high, low] = scenario.to_be_bytes();
    match family {
        // A /30 each.
        Family::V4 => {
            let base = u32::from(Ipv4Addr::new(10, 128, 0, 0)) + ((scenario & 0xffff) << 2);
            Ipv4Addr::from(base + u32::from(vip)).into()
        }
        Family::V6 => {
            let number = u16::from_be_bytes([high, low]);
            Ipv6Addr::new(0xfd00, 1, number, 0, 0, 0, 0, 1 + u16::from(vip)).into()
        }
    }
}

/// A firewall mark of a scenario.
pub fn mark(scenario: u32, mark: u8) -> u32 {
    (scenario << 2) + u32::from(mark)
}

/// A client of a scenario.
pub fn client(family: Family, scenario: u32, client: u8) -> IpAddr {
    let [_, _, high, low] = scenario.to_be_bytes();
    match family {
        Family::V4 => Ipv4Addr::new(11, high, low, client).into(),
        Family::V6 => {
            let number = u16::from_be_bytes([high, low]);
            Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, client.into()).into()
        }
    }
}

/// True for clients of this scenario, and for their networks (of at least /24 and /48).
pub fn is_client_of(scenario: u32, address: IpAddr) -> bool {
    match (
        address,
        client(Family::V4, scenario, 0),
        client(Family::V6, scenario, 0),
    ) {
        (IpAddr::V4(address), IpAddr::V4(own), _) => address.octets()[..3] == own.octets()[..3],
        (IpAddr::V6(address), _, IpAddr::V6(own)) => address.segments()[..3] == own.segments()[..3],
        _ => false,
    }
}

/// What `ip -batch` makes the network with, once the two interfaces are there.
pub fn commands() -> String {
    let mut text = String::from("link set lo up\n");
    for (side, number) in Side::ALL.into_iter().zip(1..) {
        let name = side.interface();
        let _infallible = writeln!(
            text,
            "link set {name} address {mac} up\n\
             addr add 10.{number}.0.1/24 dev {name}\n\
             addr add fd00:{number}::fffe/64 dev {name} nodad",
            mac = mac_text(side.mac()),
        );
    }
    let front = Side::Front.interface();
    let _infallible = writeln!(
        text,
        "neigh replace 10.1.0.254 lladdr {mac} nud permanent dev {front}\n\
         neigh replace fd00:1::fe lladdr {mac} nud permanent dev {front}\n\
         route add default via 10.1.0.254\n\
         route add ::/0 via fd00:1::fe",
        mac = mac_text(GATEWAY_MAC),
    );
    let back = Side::Back.interface();
    for number in 0..SERVERS {
        let mac = mac_text(server_mac(number));
        for family in [Family::V4, Family::V6] {
            let address = server(family, number);
            let _infallible = writeln!(
                text,
                "neigh replace {address} lladdr {mac} nud permanent dev {back}"
            );
        }
    }
    text
}

/// What `ip -batch` puts a scenario's VIPs up with (`add`), or takes them down (`del`).
pub fn vip_commands(verb: &str, scenario: u32) -> String {
    let front = Side::Front.interface();
    let mut text = String::new();
    for number in 0..VIPS {
        let _infallible = writeln!(
            text,
            "addr {verb} {}/32 dev {front}\naddr {verb} {}/128 dev {front}",
            vip(Family::V4, scenario, number),
            vip(Family::V6, scenario, number),
        );
    }
    text
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_scenarios_share_an_address() {
        let (mut seen, mut marks) = (BTreeSet::new(), BTreeSet::new());
        for scenario in [0, 1, 2, 63, 64, 255, 256, 65_535] {
            for family in [Family::V4, Family::V6] {
                for number in 0..VIPS {
                    assert!(seen.insert(vip(family, scenario, number)));
                }
                assert!(seen.insert(client(family, scenario, 9)));
                for number in 1..=MARKS {
                    let mark = mark(scenario, number);
                    assert!(family == Family::V4 || marks.insert(mark), "mark {mark}");
                }
                assert!(is_client_of(scenario, client(family, scenario, 9)));
                assert!(!is_client_of(scenario + 1, client(family, scenario, 9)));
            }
        }
    }
}

//! The network of most tests: a client, a director and real servers, dual stack.
//!
//! ```text
//!   client .100 ----+
//!                   |  lan 10.1.0.0/24, fd00:1::/64          inside 10.2.0.0/24, fd00:2::/64
//!   web1 .11 -------+
//!   web2 .12 -------+---- eth0 .1 director .1 eth1 ----+---- nat1 .11
//!     ...           |                                  +---- nat2 .12 ...
//!   VIPs .200 up ---+
//! ```
//!
//! Servers on the lan are for direct routing and tunnelling: they answer the client themselves.
//! Servers inside have the director as default gateway, as NAT needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;

use crate::{Host, Lab, LabError, Port, Switch};

/// How many hosts the network shall have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Real servers on the lan, at most 80.
    pub lan_servers: u8,
    /// Real servers inside, at most 80.
    pub inside_servers: u8,
    /// MTU of every link, in bytes of IP packet.
    pub mtu: u32,
}

impl Default for Plan {
    /// Three servers on each side, MTU 1500.
    fn default() -> Plan {
        Plan {
            lan_servers: 3,
            inside_servers: 3,
            mtu: 1500,
        }
    }
}

/// The network, up and reachable.
#[derive(Debug)]
pub struct OneArmed {
    /// Sends requests: 10.1.0.100, fd00:1::100.
    pub client: Host,
    /// Balances: `eth0` 10.1.0.1 and fd00:1::1 on the lan, `eth1` 10.2.0.1 and fd00:2::1 inside.
    /// Its kernel forwards, as a NAT director's must.
    pub director: Host,
    /// `web1`, `web2`, ... at 10.1.0.11, fd00:1::11 and up.
    pub lan_servers: Vec<Host>,
    /// `nat1`, `nat2`, ... at 10.2.0.11, fd00:2::11 and up.
    pub inside_servers: Vec<Host>,
    /// The lan.
    pub lan: Switch,
    /// The inside.
    pub inside: Switch,
    /// Owns it all; dropped last.
    pub lab: Lab,
}

/// The lan's number in its addresses.
const LAN: u8 = 1;
/// The inside's number in its addresses.
const INSIDE: u8 = 2;

/// An address of the lan, e.g. 11 gives 10.1.0.11.
pub fn lan_v4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, LAN, 0, host)
}

/// An address of the lan, e.g. 11 gives fd00:1::11: the digits read as in IPv4.
pub fn lan_v6(host: u8) -> Ipv6Addr {
    v6(LAN, host)
}

/// An address inside, e.g. 11 gives 10.2.0.11.
pub fn inside_v4(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, INSIDE, 0, host)
}

/// An address inside, e.g. 11 gives fd00:2::11.
pub fn inside_v6(host: u8) -> Ipv6Addr {
    v6(INSIDE, host)
}

/// Number of the director in both networks.
pub const DIRECTOR: u8 = 1;
/// Number of the first server; the next one has the next number.
pub const FIRST_SERVER: u8 = 11;
/// Number of the client.
pub const CLIENT: u8 = 100;
/// Number of the first VIP, on the lan.
pub const FIRST_VIP: u8 = 200;

/// How long a link may take to come up on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);

fn v6(network: u8, host: u8) -> Ipv6Addr {
    // 11 becomes the hexadecimal 0x11, so that both families read alike.
    let digits = u16::from(host);
    let alike = (digits / 100) * 256 + (digits / 10 % 10) * 16 + digits % 10;
    Ipv6Addr::new(0xfd00, u16::from(network), 0, 0, 0, 0, 0, alike)
}

/// The network with real servers on both sides: each can be reached by every forwarding method.
/// Its replies from its inside address go through the director, all others straight.
#[derive(Debug)]
pub struct TwoArmed {
    /// Sends requests: 10.1.0.100, fd00:1::100.
    pub client: Host,
    /// As in [`OneArmed`].
    pub director: Host,
    /// `web1`, `web2`, ...: `eth0` 10.1.0.11 and fd00:1::11 and up, `eth1` 10.2.0.11 and
    /// fd00:2::11 and up.
    pub servers: Vec<Host>,
    /// The lan.
    pub lan: Switch,
    /// The inside.
    pub inside: Switch,
    /// Owns it all; dropped last.
    pub lab: Lab,
}

impl TwoArmed {
    /// Builds the network in `lab` with so many servers, at most 80, and waits until each is in
    /// reach; `mtu` is that of every link, in bytes of IP packet.
    ///
    /// # Errors
    ///
    /// Reports what the system refused.
    pub fn build(mut lab: Lab, servers: u8, mtu: u32) -> Result<TwoArmed, LabError> {
        /// Any table that Linux does not use itself.
        const TABLE: u8 = 100;
        let lan = lab.switch("lan")?;
        let inside = lab.switch("inside")?;
        let port = |name: &str, network: u8, host: u8| {
            Port::new(name)
                .mtu(mtu)
                .address(format!("10.{network}.0.{host}/24"))
                .address(format!("{}/64", v6(network, host)))
        };
        let client = lab.host("client")?;
        client.connect(&lan, port("eth0", LAN, CLIENT))?;
        let director = lab.host("director")?;
        director.connect(&lan, port("eth0", LAN, DIRECTOR))?;
        director.connect(&inside, port("eth1", INSIDE, DIRECTOR))?;
        director.sysctl("net/ipv4/ip_forward", "1")?;
        director.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        let mut hosts = Vec::new();
        for number in 0..servers.min(80) {
            let server = lab.host(&format!("web{}", number + 1))?;
            let host = FIRST_SERVER + number;
            server.connect(&lan, port("eth0", LAN, host))?;
            server.connect(&inside, port("eth1", INSIDE, host))?;
            for (source, gateway) in [
                (IpAddr::V4(inside_v4(host)), IpAddr::V4(inside_v4(DIRECTOR))),
                (IpAddr::V6(inside_v6(host)), IpAddr::V6(inside_v6(DIRECTOR))),
            ] {
                server.add_route_from(IpNet::from(source), gateway, TABLE)?;
            }
            hosts.push(server);
        }
        wait_until_in_reach(&client, &[lan_v4(DIRECTOR).into(), lan_v6(DIRECTOR).into()])?;
        for (number, _) in (FIRST_SERVER..).zip(&hosts) {
            wait_until_in_reach(&director, &[lan_v4(number).into(), lan_v6(number).into()])?;
            wait_until_in_reach(
                &director,
                &[inside_v4(number).into(), inside_v6(number).into()],
            )?;
        }
        Ok(TwoArmed {
            client,
            director,
            servers: hosts,
            lan,
            inside,
            lab,
        })
    }
}

impl OneArmed {
    /// Builds the network in `lab`, and waits until every server is in reach of the director,
    /// and the director of the client.
    ///
    /// # Errors
    ///
    /// Reports what the system refused.
    pub fn build(mut lab: Lab, plan: Plan) -> Result<OneArmed, LabError> {
        let lan = lab.switch("lan")?;
        let inside = lab.switch("inside")?;
        let port = |name: &str, network: u8, host: u8| {
            Port::new(name)
                .mtu(plan.mtu)
                .address(format!("10.{network}.0.{host}/24"))
                .address(format!("{}/64", v6(network, host)))
        };
        let client = lab.host("client")?;
        client.connect(&lan, port("eth0", LAN, CLIENT))?;
        let director = lab.host("director")?;
        director.connect(&lan, port("eth0", LAN, DIRECTOR))?;
        director.connect(&inside, port("eth1", INSIDE, DIRECTOR))?;
        director.sysctl("net/ipv4/ip_forward", "1")?;
        director.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        let mut lan_servers = Vec::new();
        for number in 0..plan.lan_servers.min(80) {
            let server = lab.host(&format!("web{}", number + 1))?;
            server.connect(&lan, port("eth0", LAN, FIRST_SERVER + number))?;
            lan_servers.push(server);
        }
        let mut inside_servers = Vec::new();
        for number in 0..plan.inside_servers.min(80) {
            let server = lab.host(&format!("nat{}", number + 1))?;
            server.connect(&inside, port("eth0", INSIDE, FIRST_SERVER + number))?;
            for (destination, gateway) in [
                (default_route(false), IpAddr::V4(inside_v4(DIRECTOR))),
                (default_route(true), IpAddr::V6(inside_v6(DIRECTOR))),
            ] {
                server.add_route(destination, gateway)?;
            }
            inside_servers.push(server);
        }
        wait_until_in_reach(&client, &[lan_v4(DIRECTOR).into(), lan_v6(DIRECTOR).into()])?;
        for (number, _) in (FIRST_SERVER..).zip(&lan_servers) {
            wait_until_in_reach(&director, &[lan_v4(number).into(), lan_v6(number).into()])?;
        }
        for (number, _) in (FIRST_SERVER..).zip(&inside_servers) {
            wait_until_in_reach(
                &director,
                &[inside_v4(number).into(), inside_v6(number).into()],
            )?;
        }
        Ok(OneArmed {
            client,
            director,
            lan_servers,
            inside_servers,
            lan,
            inside,
            lab,
        })
    }
}

/// A link that just came up may need a moment, and a test's first packet must not pay for it.
fn wait_until_in_reach(from: &Host, addresses: &[IpAddr]) -> Result<(), LabError> {
    addresses
        .iter()
        .try_for_each(|address| from.wait_until_pings(*address, LIMIT))
}

/// `0.0.0.0/0` or `::/0`.
fn default_route(v6: bool) -> IpNet {
    if v6 {
        IpNet::V6(ipnet::Ipv6Net::default())
    } else {
        IpNet::V4(ipnet::Ipv4Net::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_read_alike() {
        assert_eq!(lan_v4(11).to_string(), "10.1.0.11");
        assert_eq!(lan_v6(11).to_string(), "fd00:1::11");
        assert_eq!(lan_v6(FIRST_VIP).to_string(), "fd00:1::200");
        assert_eq!(inside_v6(CLIENT).to_string(), "fd00:2::100");
    }
}

//! Two hosts on one wire: a director that checks, and a host that is all the servers.
//!
//! The servers' host takes every address of a network for its own, so that thousands of servers
//! cost one listener. What it receives is worked on by its own processor, and what the director
//! receives by the director's, as on two machines: without that the kernel would do the servers'
//! half of TCP on the processor that sent the packet, which is the one that is measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use caribe_lab::{Host, Lab};

use crate::processors::Sides;

/// The port of every server.
pub(crate) const PORT: u16 = 80;

/// A network of servers that answer, and one of servers that nobody is.
pub(crate) const ANSWERING: &str = "10.96.0.0/14";
const ABSENT: &str = "10.100.0.0/16";

/// The hosts.
pub(crate) struct Bed {
    pub(crate) director: Host,
    pub(crate) servers: Host,
    pub(crate) sides: Sides,
    // Last: it removes the hosts.
    pub(crate) lab: Lab,
}

impl Bed {
    pub(crate) fn build() -> Result<Bed> {
        let sides = Sides::choose()?;
        let mut lab = Lab::new("bench-monitors").context("cannot make a lab")?;
        let (director, servers) = (lab.host("director")?, lab.host("servers")?);
        let peer = servers.namespace();
        run(
            &director,
            &format!("ip link add eth0 type veth peer name eth0 netns {peer}"),
        )?;
        for (host, address) in [(&director, "10.95.0.1/30"), (&servers, "10.95.0.2/30")] {
            run(host, &format!("ip address add {address} dev eth0"))?;
            run(host, "ip link set eth0 up")?;
        }
        for network in [ANSWERING, ABSENT] {
            run(&director, &format!("ip route add {network} via 10.95.0.2"))?;
        }
        run(&servers, &format!("ip route add local {ANSWERING} dev lo"))?;
        // Without it the kernel would tell a client soon that nobody is there.
        run(&servers, &format!("ip route add blackhole {ABSENT}"))?;
        servers.sysctl("net/ipv4/tcp_max_syn_backlog", "65536")?;
        servers.sysctl("net/core/somaxconn", "65535")?;
        receive_on(&director, sides.measured)?;
        receive_on(&servers, sides.other)?;
        director.wait_until_pings(Ipv4Addr::new(10, 95, 0, 2).into(), Duration::from_secs(10))?;
        Ok(Bed {
            director,
            servers,
            sides,
            lab,
        })
    }
}

/// The address of an answering server, up to 262,143.
pub(crate) fn server(number: u32) -> SocketAddr {
    let network = u32::from(Ipv4Addr::new(10, 96, 0, 0));
    SocketAddr::from((Ipv4Addr::from(network | number), PORT))
}

/// The number of an answering server; other addresses have none.
pub(crate) fn number(address: Ipv4Addr) -> Option<u32> {
    const FIRST: u32 = u32::from_be_bytes([10, 96, 0, 0]);
    const HOSTS: u32 = 1 << (32 - 14);
    u32::from(address)
        .checked_sub(FIRST)
        .filter(|number| *number < HOSTS)
}

/// The address of a server that nobody is, up to 65,535: packets to it vanish.
pub(crate) fn absent(number: u32) -> SocketAddr {
    let network = u32::from(Ipv4Addr::new(10, 100, 0, 0));
    SocketAddr::from((Ipv4Addr::from(network | number), PORT))
}

/// Lets one processor work on what a host receives.
fn receive_on(host: &Host, processor: usize) -> Result<()> {
    // sysfs shows the interfaces of the namespace that it was mounted in.
    let mask = mask(processor);
    let shell = format!(
        "mount -t sysfs sysfs /sys && echo {mask} > /sys/class/net/eth0/queues/rx-0/rps_cpus"
    );
    host.command("unshare")
        .args(["--mount", "sh", "-c", &shell])
        .run()
        .context("cannot choose the processor for received packets (CONFIG_RPS)")?;
    Ok(())
}

/// A set with one processor, in the kernel's notation: words of 32 in hexadecimal, with commas.
fn mask(processor: usize) -> String {
    let rest = ",00000000".repeat(processor / 32);
    format!("{:x}{rest}", 1_u32 << (processor % 32))
}

fn run(host: &Host, line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    host.command(program).args(words).run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_in_the_kernels_notation() {
        assert_eq!(mask(0), "1");
        assert_eq!(mask(5), "20");
        assert_eq!(mask(33), "2,00000000");
    }

    #[test]
    fn a_server_is_known_by_its_address() {
        for this in [0, 255, 256, 200_000] {
            let SocketAddr::V4(address) = server(this) else {
                panic!("an IPv4 address");
            };
            assert_eq!(number(*address.ip()), Some(this));
        }
    }

    /// Checks of servers that are not there are seen on the wire, too, and are not to be counted
    /// among those of servers that answer.
    #[test]
    fn only_answering_servers_have_a_number() {
        for address in [absent(0), absent(65_535)] {
            let SocketAddr::V4(address) = address else {
                panic!("an IPv4 address");
            };
            assert_eq!(number(*address.ip()), None);
        }
        assert_eq!(number(Ipv4Addr::new(10, 95, 0, 2)), None);
        assert_eq!(number(Ipv4Addr::new(10, 99, 255, 255)), Some(262_143));
    }
}

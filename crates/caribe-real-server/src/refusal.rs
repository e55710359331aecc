//! What would take the machine off the network, or cannot work: judged before anything changes.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::facts::Facts;
use crate::request::{ArpMode, Method, Request};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No VIP is given.
    NoVip,
    /// The interface is `lo`.
    Loopback,
    /// There is no such interface.
    NoInterface {
        /// The name.
        interface: String,
    },
    /// The interface is down.
    Down {
        /// Its name.
        interface: String,
    },
    /// The interface has no Ethernet addresses.
    NotEthernet {
        /// Its name.
        interface: String,
    },
    /// The address cannot be a VIP.
    NotAVip {
        /// The address.
        vip: IpAddr,
        /// What it is instead.
        what: &'static str,
    },
    /// The VIP is how the machine itself is reached.
    OwnAddress {
        /// The VIP.
        vip: IpAddr,
        /// The interface that has it.
        interface: String,
    },
    /// The VIP is on an interface where everybody can see it.
    OnInterface {
        /// The VIP.
        vip: IpAddr,
        /// The interface that has it.
        interface: String,
    },
    /// The VIP is the machine's gateway.
    Gateway {
        /// The VIP.
        vip: IpAddr,
    },
    /// The machine is a director.
    Director {
        /// Where its data plane is pinned.
        pins: PathBuf,
    },
    /// Another XDP program is on the interface.
    OtherXdp {
        /// The interface.
        interface: String,
        /// The kernel's id of the program.
        program: u32,
    },
    /// There is no address to put in place of the VIP in ARP packets.
    NoOwnAddress {
        /// The interface.
        interface: String,
    },
    /// The machine is a real server already, in another way.
    Otherwise {
        /// The way, in words.
        how: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoVip => write!(f, "there is no VIP: give one with --vip"),
            Refusal::Loopback => write!(
                f,
                "interface `lo` carries no packets from a director: name the interface that \
                 they come in by"
            ),
            Refusal::NoInterface { interface } => write!(
                f,
                "there is no interface `{interface}`: `ip link` lists those that exist"
            ),
            Refusal::Down { interface } => {
                write!(f, "interface `{interface}` is down: set it up first")
            }
            Refusal::NotEthernet { interface } => write!(
                f,
                "interface `{interface}` is not an Ethernet interface: a director reaches real \
                 servers over Ethernet only"
            ),
            Refusal::NotAVip { vip, what } => write!(f, "{vip} cannot be a VIP: it is {what}"),
            Refusal::OwnAddress { vip, interface } => write!(
                f,
                "{vip} is this machine's own address on `{interface}`: silencing it would take \
                 the machine off the network"
            ),
            Refusal::OnInterface { vip, interface } => write!(
                f,
                "{vip} is on `{interface}`, where this machine would answer for it in the \
                 director's place: take it off first (`ip address del {vip} dev {interface}`)"
            ),
            Refusal::Gateway { vip } => write!(
                f,
                "{vip} is the gateway of a route: as a local address it would cut that route off"
            ),
            Refusal::Director { pins } => write!(
                f,
                "this machine is itself a director (its data plane is pinned in {}): it must go \
                 on answering for the VIPs",
                pins.display()
            ),
            Refusal::OtherXdp { interface, program } => write!(
                f,
                "another XDP program (id {program}) is on `{interface}`, and there is room for \
                 one: take it off first (`ip link set dev {interface} xdp off`)"
            ),
            Refusal::NoOwnAddress { interface } => write!(
                f,
                "`{interface}` has no IPv4 address besides the VIPs, to ask by ARP with: give it \
                 one, or use --arp sysctl"
            ),
            Refusal::Otherwise { how } => write!(
                f,
                "this machine is a real server already, {how}: run `caribe real-server down` \
                 first"
            ),
        }
    }
}

/// Everything that speaks against a request.
pub(crate) fn refusals(request: &Request, facts: &Facts) -> Vec<Refusal> {
    let mut refusals = of_machine(request, facts);
    if request.vips.is_empty() {
        refusals.push(Refusal::NoVip);
    }
    for vip in request.vips.keys() {
        refusals.extend(of_vip(*vip, request, facts));
    }
    refusals
}

fn of_machine(request: &Request, facts: &Facts) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let interface = || request.interface.clone();
    if let Some(pins) = &facts.director {
        refusals.push(Refusal::Director { pins: pins.clone() });
    }
    let Some(found) = &facts.interface else {
        refusals.push(Refusal::NoInterface {
            interface: interface(),
        });
        return refusals;
    };
    if found.loopback {
        refusals.push(Refusal::Loopback);
        return refusals;
    }
    if found.mac.is_none() {
        refusals.push(Refusal::NotEthernet {
            interface: interface(),
        });
    }
    if !found.up {
        refusals.push(Refusal::Down {
            interface: interface(),
        });
    }
    let tunnels = request
        .vips
        .values()
        .any(|method| *method == Method::Tunnel);
    if tunnels && !facts.decapsulates() {
        refusals.extend(found.xdp.map(|other| Refusal::OtherXdp {
            interface: interface(),
            program: other.program,
        }));
    }
    let masks = request.arp == ArpMode::Nftables && request.vips.keys().any(IpAddr::is_ipv4);
    if masks && facts.own_address(request).is_none() {
        refusals.push(Refusal::NoOwnAddress {
            interface: interface(),
        });
    }
    refusals
}

fn of_vip(vip: IpAddr, request: &Request, facts: &Facts) -> Option<Refusal> {
    if let Some(what) = unfit(vip) {
        return Some(Refusal::NotAVip { vip, what });
    }
    if facts.gateways.contains(&vip) {
        return Some(Refusal::Gateway { vip });
    }
    let owner = facts
        .owners(vip)
        .find(|owner| *owner != request.home(vip) || is_first(vip, owner, facts))?
        .to_owned();
    Some(if is_first(vip, &owner, facts) {
        Refusal::OwnAddress {
            vip,
            interface: owner,
        }
    } else {
        Refusal::OnInterface {
            vip,
            interface: owner,
        }
    })
}

/// True for the first address of its family on the interface that is not link-local: the one
/// that the machine is reached by.
fn is_first(vip: IpAddr, interface: &str, facts: &Facts) -> bool {
    /// RT_SCOPE_UNIVERSE.
    const GLOBAL: u8 = 0;
    let first = facts.addresses.get(interface).and_then(|all| {
        all.iter()
            .find(|each| each.address.is_ipv4() == vip.is_ipv4() && each.scope == GLOBAL)
    });
    first.is_some_and(|first| first.address == vip)
}

fn unfit(vip: IpAddr) -> Option<&'static str> {
    match vip {
        _ if vip.is_unspecified() => Some("the unspecified address"),
        _ if vip.is_loopback() => Some("a loopback address"),
        _ if vip.is_multicast() => Some("a multicast address"),
        IpAddr::V4(vip) if vip.is_broadcast() => Some("the broadcast address"),
        IpAddr::V4(vip) if vip.is_link_local() => Some("a link-local address"),
        IpAddr::V4(vip) if vip.octets()[0] == 0 || vip.octets()[0] >= 240 => {
            Some("a reserved address")
        }
        IpAddr::V6(vip) if vip.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(vip) if vip.to_ipv4_mapped().is_some() => {
            Some("an IPv4-mapped address (give the IPv4 address itself)")
        }
        _ => None,
    }
}

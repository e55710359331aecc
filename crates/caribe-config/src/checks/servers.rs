//! Real servers: can their service reach them, and once each.

mod sorry_server;
mod tunnel;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use caribe_model::{Family, Forwarding};

use crate::Mode;
use crate::config::{RealServer, VirtualService};
use crate::diagnostic::Report;
use crate::meaning::Meaning;
use crate::settings::Section;
use crate::source::Span;

pub(super) fn check(meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    let services = &meaning.config.services;
    let vips: HashSet<IpAddr> = services
        .iter()
        .filter(|service| service.active)
        .map(|service| service.address.address)
        .collect();
    for (service, origin) in services.iter().zip(&meaning.origins) {
        if !service.active {
            continue;
        }
        sorry_server::check(service, origin.section, &vips, report);
        let mut seen: HashMap<SocketAddr, Span> = HashMap::new();
        for (server, section) in service.servers.iter().zip(&origin.servers) {
            if server.active && section.knows(&["address"]) {
                address(server, section, &vips, report);
                family(service, server, section, report);
                port(service, server, section, origin.section, report);
                once(service, server, section, &mut seen, report);
            }
            if server.active {
                tunnel::check(server, section, report);
            }
            weight(server, section, report);
        }
    }
}

fn address(
    server: &RealServer,
    section: &Section<'_>,
    vips: &HashSet<IpAddr>,
    report: &mut Report<'_>,
) {
    let (name, address) = (&server.name, server.address);
    if section.get("address").is_none() {
        report
            .error(
                section.span(""),
                "missing-address",
                format!("server `{name}` is active but has no `address`"),
            )
            .hint("add `address = ...`, or set `active = 0`");
        return;
    }
    let Some(fault) = unusable(address, vips) else {
        return;
    };
    report
        .error(
            section.span("address"),
            "unusable-server",
            format!("the address {address} of server `{name}` {fault}"),
        )
        .hint("write the server's own address, or set `active = 0`");
}

fn unusable(address: IpAddr, vips: &HashSet<IpAddr>) -> Option<&'static str> {
    Some(match address {
        _ if address.is_unspecified() => "is no address",
        _ if address.is_multicast() => "is a multicast address",
        _ if address.is_loopback() => {
            "is the director itself: packets are forwarded, never delivered here"
        }
        IpAddr::V4(v4) if v4.is_broadcast() => "is the broadcast address",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            "is link-local: lvs.cf cannot say on which link"
        }
        _ if vips.contains(&address) => "is a VIP of this file: packets would come back",
        _ => return None,
    })
}

fn family(
    service: &VirtualService,
    server: &RealServer,
    section: &Section<'_>,
    report: &mut Report<'_>,
) {
    let vip = service.address.address;
    let (message, hint) = match (Family::from(vip), Family::from(server.address)) {
        (Family::V4, Family::V6) if server.forwarding != Forwarding::Tunnel => (
            format!(
                "server `{}` has an IPv6 address and its VIP {vip} an IPv4 one: `{}` cannot \
                 forward from one to the other",
                server.name, server.forwarding
            ),
            "set `forward = tunnel`, or write an IPv4 address",
        ),
        (Family::V6, Family::V4) if section.get("address").is_some() => (
            format!(
                "server `{}` has an IPv4 address and its VIP {vip} an IPv6 one: IPv6 in IPv4 is \
                 not in this release",
                server.name
            ),
            "write an IPv6 address of the server",
        ),
        _ => return,
    };
    report
        .error(section.span("address"), "mixed-families", message)
        .hint(hint);
}

fn port(
    service: &VirtualService,
    server: &RealServer,
    section: &Section<'_>,
    service_section: &Section<'_>,
    report: &mut Report<'_>,
) {
    if service.port == 0 && service.mark.is_none() && section.get("port").is_some() {
        report
            .warning(
                section.span("port"),
                "port-not-translated",
                format!(
                    "the port of server `{}` has no effect: `{}` is for all ports, and each stays \
                     as it is",
                    server.name, service.name
                ),
            )
            .hint("remove it");
        return;
    }
    if service.mark.is_some() || !service_section.knows(&["port", "fwmark"]) {
        return;
    }
    if server.forwarding == Forwarding::Nat {
        if server.port == 0 && service.port != 0 {
            report
                .error(
                    section.span("port"),
                    "port-zero",
                    format!("server `{}` has port 0", server.name),
                )
                .hint("write the port, or leave `port` out to take that of the service");
        }
    } else if server.port != service.port {
        report
            .error(
                section.span("port"),
                "port-not-translated",
                format!(
                    "server `{}` has port {} and its service `{}` port {}: `{}` leaves the port \
                     as it is",
                    server.name, server.port, service.name, service.port, server.forwarding
                ),
            )
            .hint("leave `port` out of the server, or set `forward = nat`");
    }
}

fn once(
    service: &VirtualService,
    server: &RealServer,
    section: &Section<'_>,
    seen: &mut HashMap<SocketAddr, Span>,
    report: &mut Report<'_>,
) {
    if section.get("address").is_none() {
        return;
    }
    let identity = SocketAddr::new(server.address, server.port);
    if let Some(first) = seen.get(&identity) {
        let line = report.line(*first);
        report
            .error(
                section.span("address"),
                "duplicate-server",
                format!(
                    "server `{}` is {identity}, which is in virtual service `{}` on line {line} \
                     already",
                    server.name, service.name
                ),
            )
            .hint("remove one of the two; for a larger share give it more `weight`");
    } else {
        seen.insert(identity, section.span(""));
    }
}

fn weight(server: &RealServer, section: &Section<'_>, report: &mut Report<'_>) {
    if server.weight == 0 && report.mode() == Mode::Strict && section.knows(&["weight"]) {
        report
            .warning(
                section.span("weight"),
                "strict-weight",
                format!(
                    "server `{}` has weight 0: old Piranha brings it up with weight 1",
                    server.name
                ),
            )
            .hint("set `active = 0` to keep it out of old Piranha's table");
    }
}

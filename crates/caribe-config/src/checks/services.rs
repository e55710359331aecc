//! Virtual services among each other, and each with its servers.

mod kind;
mod monitors;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use caribe_model::{Forwarding, ServiceKey};

use crate::config::VirtualService;
use crate::diagnostic::{Report, shown};
use crate::keys::Place;
use crate::meaning::{Meaning, Origin};
use crate::settings::Section;
use crate::source::Span;

/// Blocks with one name are separate blocks, for Piranha too; people confuse them.
pub(super) fn names(section: &Section<'_>, report: &mut Report<'_>) {
    let mut seen: HashMap<(Place, &str), Span> = HashMap::new();
    for child in &section.children {
        // Monitors are named after their kind, and there may be several of one.
        let Some(block) = child.block.filter(|_| child.place != Place::Monitor) else {
            continue;
        };
        if let Some(first) = seen.get(&(child.place, block.name()))
            && !block.name().is_empty()
        {
            let line = report.line(*first);
            report
                .warning(
                    block.name_span(),
                    "repeated-name",
                    format!(
                        "the name {} is used on line {line} already",
                        shown(block.name().as_bytes())
                    ),
                )
                .hint("give every block a name of its own, to tell them apart in messages");
        } else {
            seen.insert((child.place, block.name()), block.name_span());
        }
        names(child, report);
    }
}

pub(super) fn check(settings: &Section<'_>, meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    let has_virtual = settings
        .children
        .iter()
        .any(|child| child.place == Place::Virtual);
    if !has_virtual && !report.has_errors() {
        report
            .warning(
                Span::new(0, 0),
                "no-service",
                "the file has no virtual service: nothing will be balanced",
            )
            .hint("add a `virtual NAME {` block");
    }
    let active = || {
        meaning
            .config
            .services
            .iter()
            .map(Arc::as_ref)
            .zip(&meaning.origins)
            .filter(|(service, _)| service.active)
    };
    for (service, origin) in active() {
        one(service, origin, report);
        monitors::check(service, origin, report);
    }
    identities(active(), report);
    nat_router(settings, meaning, report);
}

fn one(service: &VirtualService, origin: &Origin<'_, '_>, report: &mut Report<'_>) {
    let section = origin.section;
    if let Some(what) = unusable_vip(service.address.address) {
        report
            .error(
                section.span("address"),
                "unusable-vip",
                format!("{what} cannot be a VIP: {}", service.address.address),
            )
            .hint("take an address that clients can reach, or set `active = 0`");
    }
    if !service.servers.iter().any(|server| server.active) && serves_completely(section) {
        report
            .warning(
                section.span(""),
                "no-server",
                format!("virtual service `{}` has no active server", service.name),
            )
            .hint("add a `server` block with `active = 1`, or set `active = 0` for the service");
    }
    kind::check(service, section, report);
    port_behind_servers(service, origin, report);
}

/// All servers of the block could be read.
fn serves_completely(section: &Section<'_>) -> bool {
    let cut_off = section.block.is_some_and(|block| block.cut_off);
    !section.faulty
        && !cut_off
        && section
            .children
            .iter()
            .all(|child| child.knows(&["active", "address", "port"]))
}

fn unusable_vip(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("an unspecified address"),
        _ if address.is_multicast() => Some("a multicast address"),
        _ if address.is_loopback() => Some("a loopback address"),
        IpAddr::V4(address) if address.is_broadcast() => Some("the broadcast address"),
        IpAddr::V6(address) if address.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    }
}

/// Piranha gave a server the port that it had read so far.
fn port_behind_servers(service: &VirtualService, origin: &Origin<'_, '_>, report: &mut Report<'_>) {
    let Some(port) = origin.section.get("port") else {
        return;
    };
    let early = origin.servers.iter().find(|server| {
        server.get("port").is_none()
            && server
                .block
                .is_some_and(|block| block.name_span().start < port.key_span.start)
    });
    let Some(server) = early else { return };
    report
        .warning(
            port.span,
            "late-port",
            format!(
                "`port` stands behind server `{}`, which is given port {}; old Piranha gives it \
                 port 80",
                server.name(),
                service.port
            ),
        )
        .hint("put `port` before the `server` blocks");
}

fn identities<'a>(
    services: impl Iterator<Item = (&'a VirtualService, &'a Origin<'a, 'a>)>,
    report: &mut Report<'_>,
) {
    let mut seen: HashMap<ServiceKey, (&str, Span)> = HashMap::new();
    for (service, origin) in services {
        let section = origin.section;
        if service.mark.is_some() || !section.knows(&["fwmark", "protocol", "port", "address"]) {
            continue;
        }
        let key = ServiceKey::Address {
            protocol: service.protocol,
            address: service.address.address,
            port: service.port,
        };
        if let Some((name, first)) = seen.get(&key) {
            let line = report.line(*first);
            report
                .error(
                    section.span("address"),
                    "duplicate-service",
                    format!(
                        "virtual service `{}` is {key}, and so is `{name}` on line {line}",
                        service.name
                    ),
                )
                .hint("two active services cannot have the same VIP, port and protocol");
        } else {
            seen.insert(key, (&service.name, section.span("")));
        }
    }
}

fn nat_router(settings: &Section<'_>, meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    if settings.get("nat_router").is_some() || !settings.knows(&["nat_router", "network"]) {
        return;
    }
    let services = &meaning.config.services;
    let at = services.iter().zip(&meaning.origins).find(|(service, _)| {
        service.active
            && service
                .servers
                .iter()
                .any(|server| server.active && server.forwarding == Forwarding::Nat)
    });
    if let Some((service, origin)) = at {
        report
            .warning(
                origin.section.span(""),
                "no-nat-router",
                format!(
                    "`{}` is forwarded by NAT, but there is no `nat_router`",
                    service.name
                ),
            )
            .hint(
                "servers behind NAT need an address of the director as their gateway: add \
                 `nat_router = ADDRESS INTERFACE`, or see to it by other means",
            );
    }
}

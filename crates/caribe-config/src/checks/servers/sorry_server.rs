//! The sorry server: it is forwarded to like any other.

use std::collections::HashSet;
use std::net::IpAddr;

use caribe_model::{Family, Forwarding};

use crate::config::VirtualService;
use crate::diagnostic::Report;
use crate::settings::Section;

use super::unusable;

pub(super) fn check(
    service: &VirtualService,
    section: &Section<'_>,
    vips: &HashSet<IpAddr>,
    report: &mut Report<'_>,
) {
    let Some(sorry) = &service.sorry_server else {
        return alone(section, report);
    };
    let address = sorry.address;
    if let Some(fault) = unusable(address, vips) {
        report
            .error(
                section.span("sorry_server"),
                "unusable-server",
                format!("the address {address} of `sorry_server` {fault}"),
            )
            .hint("write the server's own address, or remove the key");
    }
    let (vip, method) = (service.address.address, sorry.forwarding);
    if Family::from(vip) != Family::from(address)
        && (method != Forwarding::Tunnel || vip.is_ipv6())
        && section.knows(&["sorry_forward", "forward"])
    {
        report
            .error(
                section.span("sorry_server"),
                "mixed-families",
                format!("`{method}` cannot forward from VIP {vip} to the sorry server {address}"),
            )
            .hint("write an address of the VIP's family");
    }
    if method != Forwarding::Nat
        && sorry.port != service.port
        && service.mark.is_none()
        && section.knows(&["port", "fwmark", "sorry_forward", "forward"])
    {
        report
            .error(
                section.span("sorry_port"),
                "port-not-translated",
                format!(
                    "the sorry server has port {} and its service `{}` port {}: `{method}` leaves \
                     the port as it is",
                    sorry.port, service.name, service.port
                ),
            )
            .hint("leave `sorry_port` out, or set `sorry_forward = nat`");
    }
}

fn alone(section: &Section<'_>, report: &mut Report<'_>) {
    for key in ["sorry_port", "sorry_weight", "sorry_forward"] {
        if section.get(key).is_some() && section.knows(&["sorry_server"]) {
            report
                .warning(
                    section.span(key),
                    "sorry-key-alone",
                    format!("`{key}` has no effect without `sorry_server`"),
                )
                .hint("add `sorry_server`, or remove it");
        }
    }
}

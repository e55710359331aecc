//! What only some kinds of services can have: all ports, one-packet scheduling, MSS clamping.

use caribe_model::{MssClamp, Protocol};

use crate::config::VirtualService;
use crate::diagnostic::Report;
use crate::settings::Section;

pub(super) fn check(service: &VirtualService, section: &Section<'_>, report: &mut Report<'_>) {
    let name = &service.name;
    if service.port == 0
        && service.mark.is_none()
        && service.persistence.is_none()
        && section.knows(&["fwmark", "persistent"])
    {
        report
            .error(
                section.span("port"),
                "port-zero",
                format!(
                    "virtual service `{name}` has port 0, for all ports, and is not `persistent`: \
                     nothing would keep the connections of a client together"
                ),
            )
            .hint("add `persistent = 300`, as IPVS asks for, or name the port");
    }
    if service.one_packet
        && service.protocol != Protocol::Udp
        && service.mark.is_none()
        && section.knows(&["fwmark", "protocol"])
    {
        report
            .error(
                section.span("one_packet"),
                "one-packet-protocol",
                format!(
                    "one-packet scheduling is for UDP: `{name}` is a {} service",
                    service.protocol
                ),
            )
            .hint("remove `one_packet`, or set `protocol = udp`");
    }
    if service.policy.mss_clamp != MssClamp::Off
        && service.protocol != Protocol::Tcp
        && service.mark.is_none()
        && section.knows(&["fwmark", "protocol"])
    {
        report
            .warning(
                section.span("mss_clamp"),
                "mss-clamp-unused",
                format!(
                    "`mss_clamp` has no effect: `{name}` is a {} service, and only TCP has segments",
                    service.protocol
                ),
            )
            .hint("remove it");
    }
}

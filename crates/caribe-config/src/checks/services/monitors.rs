//! Whether servers are watched, and can be watched in the way that is asked for.

use caribe_model::{Family, Protocol};

use crate::config::{MonitorBlock, MonitorKind, RealServer, VirtualService};
use crate::diagnostic::Report;
use crate::keys::Place;
use crate::literal::regex_fault;
use crate::meaning::Origin;
use crate::settings::Section;

pub(super) fn check(service: &VirtualService, origin: &Origin<'_, '_>, report: &mut Report<'_>) {
    let section = origin.section;
    unmonitored(service, section, report);
    expression(service, section, report);
    let servers = || {
        let all = service.servers.iter().zip(&origin.servers);
        all.filter(|(server, _)| server.active)
    };
    for (block, at) in watched(&service.monitors, section) {
        timing(block, at, report);
        for (server, _) in servers() {
            if !fits(block, service, server, at, report) {
                break; // once is enough
            }
        }
    }
    for (server, server_section) in servers() {
        for (block, at) in watched(&server.monitors, server_section) {
            timing(block, at, report);
            fits(block, service, server, at, report);
        }
        piranha(service, server, section, report);
    }
}

/// What came of the blocks, each with its section. Of those among which one was refused nothing
/// is said.
fn watched<'s, 't>(
    monitors: &'s [MonitorBlock],
    section: &'s Section<'t>,
) -> impl Iterator<Item = (&'s MonitorBlock, &'s Section<'t>)> {
    let complete = blocks(section).count() == monitors.len();
    monitors
        .iter()
        .zip(blocks(section))
        .filter(move |_| complete)
}

fn blocks<'s, 't>(section: &'s Section<'t>) -> impl Iterator<Item = &'s Section<'t>> {
    section
        .children
        .iter()
        .filter(|child| child.place == Place::Monitor)
}

fn unmonitored(service: &VirtualService, section: &Section<'_>, report: &mut Report<'_>) {
    let is_watched = service.monitor.kind != MonitorKind::None
        || blocks(section).next().is_some()
        || section
            .children
            .iter()
            .any(|server| blocks(server).next().is_some());
    if is_watched
        || section.get("monitor").is_some()
        || !section.knows(&["monitor", "protocol", "port", "send_program", "expect"])
    {
        return;
    }
    let (key, what, hint) = match service.port {
        0 => (
            "port",
            "all-port",
            "add a `monitor tcp {` block with a `port`; `monitor = none` says that this is meant",
        ),
        _ => (
            "protocol",
            match service.protocol {
                Protocol::Udp => "UDP",
                Protocol::Sctp => "SCTP",
                Protocol::Tcp => "TCP",
            },
            "`monitor = none` says that this is meant; `monitor = tcp` watches the same port by \
             TCP, and `monitor` blocks know more ways",
        ),
    };
    report
        .warning(
            section.span(key),
            "unmonitored",
            format!(
                "the servers of {what} service `{}` are not watched: each is always taken as up",
                service.name
            ),
        )
        .hint(hint);
}

/// Piranha's monitor found every server bad by such an expression.
fn expression(service: &VirtualService, section: &Section<'_>, report: &mut Report<'_>) {
    let monitor = &service.monitor;
    if !monitor.use_regex || monitor.send_program.is_some() {
        return;
    }
    let Some(expect) = &monitor.expect else {
        return;
    };
    if let Some(fault) = regex_fault(expect) {
        report
            .error(
                section.span("expect"),
                "bad-regex",
                "with `use_regex`, `expect` takes a regular expression",
            )
            .hint(fault);
    }
}

/// A port to connect to.
fn piranha(
    service: &VirtualService,
    server: &RealServer,
    section: &Section<'_>,
    report: &mut Report<'_>,
) {
    let connects = match service.monitor.kind {
        MonitorKind::Tcp => true,
        MonitorKind::Piranha => service.monitor.send_program.is_none(),
        MonitorKind::None => false,
    };
    if connects && server.port == 0 && section.knows(&["port", "monitor"]) {
        report
            .error(
                section.span("monitor"),
                "monitor-port",
                format!("server `{}` has no port to connect to", server.name),
            )
            .hint("use a `monitor tcp {` block with a `port`, or `monitor = none`");
    }
}

fn timing(block: &MonitorBlock, section: &Section<'_>, report: &mut Report<'_>) {
    let timing = &block.timing;
    let Some(fast) = timing.fast_interval else {
        return;
    };
    if fast >= timing.interval && section.knows(&["interval"]) {
        report
            .warning(
                section.span("fast_interval"),
                "slow-fast-interval",
                format!(
                    "`fast_interval` ({fast:?}) is not shorter than `interval` ({:?})",
                    timing.interval
                ),
            )
            .hint("write a shorter one, or remove it");
    }
}

/// Whether a block can watch a server; tells why not.
fn fits(
    block: &MonitorBlock,
    service: &VirtualService,
    server: &RealServer,
    section: &Section<'_>,
    report: &mut Report<'_>,
) -> bool {
    let kind = block.probe.kind();
    if block.probe.needs_port() && block.port.is_none() && server.port == 0 {
        report
            .error(
                section.span(""),
                "monitor-port",
                format!(
                    "this `{kind}` monitor has no `port`, and neither has server `{}`",
                    server.name
                ),
            )
            .hint("add the `port` that is checked");
        return false;
    }
    if block.through_vip {
        return fits_through(block, service, server, section, report);
    }
    if let Some(source) = block.source
        && Family::from(source) != Family::from(server.address)
    {
        report
            .error(
                section.span("source"),
                "mixed-families",
                format!(
                    "the checks of server `{}`, {}, cannot come from {source}",
                    server.name, server.address
                ),
            )
            .hint("write an address of the same family, or leave it out");
        return false;
    }
    true
}

/// The same for a check that goes through the VIP.
fn fits_through(
    block: &MonitorBlock,
    service: &VirtualService,
    server: &RealServer,
    section: &Section<'_>,
    report: &mut Report<'_>,
) -> bool {
    let vip = service.address.address;
    if block.interface.is_some() {
        report
            .error(
                section.span("interface"),
                "through-interface",
                "a check with `through = vip` goes the way of the data, by no other interface",
            )
            .hint("remove `interface`, or check the server itself: `through = server`");
        return false;
    }
    let family = block.source.map_or(server.address, |source| source);
    if Family::from(family) == Family::from(vip) {
        return true;
    }
    match block.source {
        Some(source) => report.error(
            section.span("source"),
            "mixed-families",
            format!("checks through the VIP {vip} cannot come from {source}"),
        ),
        None => report.error(
            section.span("through"),
            "mixed-families",
            format!(
                "checks through the VIP {vip} need a `source` of its family: the way to server \
                 `{}`, {}, has one of the other",
                server.name, server.address
            ),
        ),
    }
    .hint("write an address of this machine of the VIP's family as `source`");
    false
}

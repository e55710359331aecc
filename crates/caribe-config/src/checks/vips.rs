//! One VIP has one interface, label and netmask; one alias has one VIP.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::FloatingAddress;
use crate::diagnostic::Report;
use crate::meaning::Meaning;
use crate::settings::Section;
use crate::source::Span;

/// Reports what differs, and gives every service the interface, label and netmask that the first
/// active service with its VIP has, as Piranha did.
pub(super) fn check(
    settings: &Section<'_>,
    meaning: &mut Meaning<'_, '_>,
    report: &mut Report<'_>,
) {
    aliases(settings, meaning, report);
    let mut first: HashMap<IpAddr, (FloatingAddress, bool, Span)> = HashMap::new();
    // Inactive services come second: they decide only when nobody else does.
    for active in [true, false] {
        let services = meaning.config.services.iter().zip(&meaning.origins);
        for (service, origin) in services.filter(|(service, _)| service.active == active) {
            let section = origin.section;
            let says_mask = section
                .mask("vip_nmask")
                .is_some_and(|mask| mask.length().is_some());
            let Some((settled, settled_mask, at)) = first.get_mut(&service.address.address) else {
                let settled = service.address.clone();
                first.insert(settled.address, (settled, says_mask, section.span("")));
                continue;
            };
            if says_mask && !*settled_mask {
                settled.prefix = service.address.prefix;
                *settled_mask = true;
            }
            if active {
                let line = report.line(*at);
                differences(&service.address, settled, says_mask, line, section, report);
            }
        }
    }
    for service in &mut meaning.config.services {
        if let Some((settled, _, _)) = first.get(&service.address.address) {
            Arc::make_mut(service).address = settled.clone();
        }
    }
}

fn differences(
    own: &FloatingAddress,
    settled: &FloatingAddress,
    says_mask: bool,
    line: usize,
    section: &Section<'_>,
    report: &mut Report<'_>,
) {
    let vip = own.address;
    if own.label != settled.label {
        let span = section
            .floating("address")
            .map_or(section.span("address"), |value| value.label_span);
        report
            .warning(
                span,
                "vip-on-two-aliases",
                format!(
                    "VIP {vip} is on `{}` here and on `{}` on line {line}: it is put on `{}`",
                    own.label, settled.label, settled.label
                ),
            )
            .hint("name the same interface in all services of a VIP");
    }
    if says_mask && own.prefix != settled.prefix {
        report
            .warning(
                section.span("vip_nmask"),
                "vip-with-two-netmasks",
                format!(
                    "VIP {vip} has prefix length {} here and {} on line {line}: it is put up with \
                     {}",
                    own.prefix, settled.prefix, settled.prefix
                ),
            )
            .hint("write the same `vip_nmask` in all services of a VIP");
    }
}

/// Piranha took an alias down as a whole, and so one VIP with the other.
fn aliases(settings: &Section<'_>, meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    let router = meaning
        .config
        .nat_router
        .iter()
        .map(|router| (router, settings, "nat_router"));
    let vips = meaning
        .config
        .services
        .iter()
        .zip(&meaning.origins)
        .filter(|(service, _)| service.active)
        .map(|(service, origin)| (&service.address, origin.section, "address"));
    let mut seen: HashMap<&str, (IpAddr, Span)> = HashMap::new();
    for (floating, section, key) in router.chain(vips) {
        // IPv6 addresses carry no label, and a plain interface may carry many addresses.
        if floating.address.is_ipv6() || !floating.label.contains(':') {
            continue;
        }
        let span = section
            .floating(key)
            .map_or(section.span(key), |value| value.label_span);
        let (first, at) = seen
            .entry(&floating.label)
            .or_insert((floating.address, span));
        if *first != floating.address {
            let line = report.line(*at);
            report
                .warning(
                    span,
                    "alias-with-two-vips",
                    format!(
                        "alias `{}` carries {first} (line {line}) and {} here",
                        floating.label, floating.address
                    ),
                )
                .hint("give every address an alias of its own, e.g. `eth0:2`");
        }
    }
}

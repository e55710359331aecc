//! Marks: the rules that give them, and the services that take them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use caribe_model::Family;

use crate::config::{Mark, VirtualService};
use crate::diagnostic::Report;
use crate::keys::Place;
use crate::meaning::{Meaning, Origin};
use crate::network::Network;
use crate::port_set::PortSet;
use crate::settings::Section;
use crate::source::Span;

/// Most active rules: a packet without a connection asks them one by one.
const MAX_RULES: usize = 4_096;

pub(super) fn check(settings: &Section<'_>, meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    for section in &settings.children {
        if section.place == Place::Mark && section.boolean("active") {
            complete(section, report);
        }
    }
    let services = meaning.config.services.iter().map(Arc::as_ref);
    let services = services.zip(&meaning.origins);
    shared(
        services.clone().filter(|(service, _)| service.active),
        report,
    );
    let rules = &meaning.config.marks;
    if rules.len() > MAX_RULES {
        report
            .error(
                meaning.mark_origins[MAX_RULES].span(""), // there is one more than that
                "too-many-marks",
                format!(
                    "there are {} active `mark` blocks: at most {MAX_RULES} are taken",
                    rules.len()
                ),
            )
            .hint("put ports of one address into one block: `port = 80,443,8000-8999`");
        return;
    }
    overlaps(meaning, report);
    if settings.faulty {
        return; // a rule or a service may be among what could not be read
    }
    unused(settings, meaning, report);
    for (service, origin) in services {
        if service.active && origin.section.knows(&["fwmark", "address"]) {
            fed(service, origin.section, settings, rules, report);
        }
    }
}

fn complete(section: &Section<'_>, report: &mut Report<'_>) {
    let examples = [
        ("mark", "missing-mark", "mark = 80"),
        ("address", "missing-address", "address = 192.0.2.80"),
    ];
    for (key, code, example) in examples {
        if section.get(key).is_none() && section.knows(&[key]) {
            report
                .error(
                    section.span(""),
                    code,
                    format!(
                        "mark rule `{}` is active but has no `{key}`",
                        section.name()
                    ),
                )
                .hint(format!("add `{example}` or the like, or set `active = 0`"));
        }
    }
}

/// Services that share a mark are one service for IPVS. Piranha's guide describes that, with
/// equal persistence.
fn shared<'a>(
    services: impl Iterator<Item = (&'a VirtualService, &'a Origin<'a, 'a>)>,
    report: &mut Report<'_>,
) {
    let mut seen: HashMap<(bool, u32), (&VirtualService, Span)> = HashMap::new();
    for (service, origin) in services {
        let Some(mark) = service.mark else { continue };
        let section = origin.section;
        let key = (service.address.address.is_ipv6(), mark.get());
        let Some((first, span)) = seen.get(&key) else {
            seen.insert(key, (service, section.span("")));
            continue;
        };
        let line = report.line(*span);
        if first.persistence != service.persistence && section.knows(&["persistent", "pmask"]) {
            let key = match section.get("persistent") {
                Some(_) => "persistent",
                None => "fwmark",
            };
            report
                .error(
                    section.span(key),
                    "mark-persistence",
                    format!(
                        "`{}` and `{}` on line {line} share mark {mark} but not `persistent` and \
                         `pmask`",
                        service.name, first.name
                    ),
                )
                .hint("services with one mark are one service: give them the same persistence");
        } else {
            report
                .warning(
                    section.span("fwmark"),
                    "shared-mark",
                    format!(
                        "mark {mark} is that of `{}` on line {line} too: both are one service",
                        first.name
                    ),
                )
                .hint("put all servers into one block, or use another mark");
        }
    }
}

/// Which of two rules counts is easily got wrong.
fn overlaps(meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    let marks = &meaning.config.marks;
    let takes: Vec<Takes> = meaning
        .mark_origins
        .iter()
        .map(|section| Takes::new(section))
        .collect();
    for (at, mark) in marks.iter().enumerate() {
        let earlier = (0..at).rev().find(|earlier| {
            marks[*earlier].rule.mark != mark.rule.mark && takes[*earlier].meets(&takes[at])
        });
        let Some(earlier) = earlier else { continue };
        let line = report.line(meaning.mark_origins[earlier].span(""));
        report
            .warning(
                meaning.mark_origins[at].span("address"),
                "overlapping-marks",
                format!(
                    "mark rule `{}` takes packets of `{}` on line {line}, which have mark {}: \
                     they get {}, as the last rule counts",
                    mark.name, marks[earlier].name, marks[earlier].rule.mark, mark.rule.mark
                ),
            )
            .hint("let the rules have no packet in common, or put the narrower one last");
    }
}

/// The packets of a rule.
struct Takes {
    network: Option<Network>,
    protocol: Option<&'static str>,
    ports: Option<PortSet>,
}

impl Takes {
    fn new(section: &Section<'_>) -> Self {
        Takes {
            network: section.network("address"),
            protocol: section.word("protocol").filter(|word| *word != "any"),
            ports: section.ports("port"),
        }
    }

    /// Some packet is of both; what is absent is everything.
    fn meets(&self, other: &Takes) -> bool {
        fn both<T>(one: &Option<T>, other: &Option<T>, meet: impl Fn(&T, &T) -> bool) -> bool {
            match (one, other) {
                (Some(one), Some(other)) => meet(one, other),
                _ => true,
            }
        }
        both(&self.network, &other.network, |one, other| {
            one.meets(*other)
        }) && both(&self.protocol, &other.protocol, |one, other| one == other)
            && both(&self.ports, &other.ports, PortSet::meets)
    }
}

fn unused(settings: &Section<'_>, meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    let services = &meaning.config.services;
    // A service that was refused may be the one.
    let blocks = settings
        .children
        .iter()
        .filter(|child| child.place == Place::Virtual);
    if blocks.count() != services.len()
        || meaning
            .origins
            .iter()
            .any(|origin| !origin.section.knows(&["fwmark", "active"]))
    {
        return;
    }
    let taken: HashSet<(Family, u32)> = services
        .iter()
        .filter(|service| service.active)
        .filter_map(|service| Some((family(service), service.mark?.get())))
        .collect();
    for (mark, section) in meaning.config.marks.iter().zip(&meaning.mark_origins) {
        let (family, number) = (mark.rule.family(), mark.rule.mark);
        if !taken.contains(&(family, number.get())) {
            report
                .warning(
                    section.span("mark"),
                    "unused-mark",
                    format!(
                        "no active service takes {} packets with mark {number}, which `{}` gives",
                        shown(family),
                        mark.name
                    ),
                )
                .hint(format!(
                    "set `fwmark = {number}` in a `virtual` block, or remove the rule"
                ));
        }
    }
}

fn fed(
    service: &VirtualService,
    section: &Section<'_>,
    settings: &Section<'_>,
    marks: &[Mark],
    report: &mut Report<'_>,
) {
    let Some(mark) = service.mark else { return };
    let family = family(service);
    let feeds = |other: &Mark| other.rule.mark == mark && other.rule.family() == family;
    let unread = settings
        .children
        .iter()
        .any(|child| child.place == Place::Mark && !child.knows(&["active", "mark", "address"]));
    if unread || marks.iter().any(feeds) {
        return;
    }
    let inactive = settings.children.iter().find(|child| {
        child.place == Place::Mark
            && !child.boolean("active")
            && child.optional_integer("mark") == Some(i64::from(mark.get()))
    });
    let hint = match inactive {
        Some(rule) => format!(
            "`mark {}` is not active: set `active = 1` in it",
            rule.name()
        ),
        None => format!(
            "add a block `mark NAME {{` with `active = 1`, `mark = {mark}`, `address = {}` and \
             `port`; `caribe import marks` makes them from netfilter's rules",
            service.address.address
        ),
    };
    report
        .warning(
            section.span("fwmark"),
            "unfed-mark",
            format!(
                "no `mark` block gives {} packets mark {mark}: virtual service `{}` gets none",
                shown(family),
                service.name
            ),
        )
        .hint(hint);
}

fn family(service: &VirtualService) -> Family {
    Family::from(service.address.address)
}

fn shown(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

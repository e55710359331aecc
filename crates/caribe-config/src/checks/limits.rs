//! What the file has must fit what it asks room for.

use crate::diagnostic::Report;
use crate::meaning::Meaning;
use crate::settings::Section;

pub(super) fn check(settings: &Section<'_>, meaning: &Meaning<'_, '_>, report: &mut Report<'_>) {
    let config = &meaning.config;
    let active = || config.services.iter().filter(|service| service.active);
    let servers = active()
        .map(|service| {
            let sorry = usize::from(service.sorry_server.is_some());
            sorry
                + service
                    .servers
                    .iter()
                    .filter(|server| server.active)
                    .count()
        })
        .sum();
    let kinds = [
        (
            "max_services",
            "virtual services",
            active().count(),
            config.limits.services,
        ),
        (
            "max_servers",
            "real servers",
            servers,
            config.limits.servers,
        ),
    ];
    for (key, what, found, limit) in kinds {
        if found > usize::try_from(limit).unwrap_or(usize::MAX) && settings.knows(&[key]) {
            report
                .error(
                    settings.span(key),
                    "too-many-for-the-limit",
                    format!("there are {found} active {what}, and room for {limit} (`{key}`)"),
                )
                .hint(format!("add `{key} = {}` outside all blocks", roomy(found)));
        }
    }
}

/// A round number with some room.
fn roomy(found: usize) -> usize {
    (found + found / 2).next_power_of_two()
}

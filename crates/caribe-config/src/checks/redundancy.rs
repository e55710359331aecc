//! The second director: its addresses and the times of the heartbeat.

use std::net::IpAddr;

use crate::config::Redundancy;
use crate::diagnostic::Report;
use crate::settings::Section;

pub(super) fn check(settings: &Section<'_>, redundancy: &mut Redundancy, report: &mut Report<'_>) {
    for key in ["primary", "primary_private"] {
        if settings
            .address(key)
            .is_some_and(|address| address.is_unspecified())
        {
            report
                .error(
                    settings.span(key),
                    "unspecified-address",
                    format!("`{key}` stands for no address"),
                )
                .hint("write the director's own address, or remove the key");
        }
    }
    if !redundancy.backup_active {
        return;
    }
    if redundancy.backup.is_none() {
        if settings.knows(&["backup"]) {
            // Piranha did the same.
            redundancy.backup_active = false;
            report
                .warning(
                    settings.span("backup_active"),
                    "no-backup",
                    "`backup_active` is 1 but `backup` has no address: taken as 0",
                )
                .hint("add `backup` with the address of the other director");
        }
        return;
    }
    addresses(settings, redundancy, report);
    if redundancy.deadtime <= redundancy.keepalive && settings.knows(&["deadtime", "keepalive"]) {
        report
            .error(
                settings.span(match settings.get("deadtime") {
                    Some(_) => "deadtime",
                    None => "keepalive",
                }),
                "deadtime",
                format!(
                    "`deadtime` ({} s) is not over `keepalive` ({} s): every director would take \
                     the other for dead between two heartbeats",
                    redundancy.deadtime.as_secs(),
                    redundancy.keepalive.as_secs()
                ),
            )
            .hint("let `deadtime` be some multiple of `keepalive`");
    }
}

fn addresses(settings: &Section<'_>, redundancy: &Redundancy, report: &mut Report<'_>) {
    if redundancy.primary.is_none()
        && settings.get("primary").is_none()
        && settings.knows(&["primary"])
    {
        report
            .error(
                settings.span("backup_active"),
                "missing-address",
                "`backup_active` is 1 but there is no `primary`",
            )
            .hint("add `primary` with the address of the primary director");
    }
    let pairs: [(&str, Option<IpAddr>, &str, Option<IpAddr>); 2] = [
        ("primary", redundancy.primary, "backup", redundancy.backup),
        (
            "primary_private",
            redundancy.primary_private,
            "backup_private",
            redundancy.backup_private,
        ),
    ];
    for (own_key, own, other_key, other) in pairs {
        if own.is_some() && own == other {
            report
                .error(
                    settings.span(other_key),
                    "same-director",
                    format!("`{other_key}` is the same address as `{own_key}`"),
                )
                .hint("the two directors are two machines with addresses of their own");
        }
    }
    let private = redundancy.primary_private;
    if private.is_some()
        && redundancy.backup_private.is_none()
        && settings.knows(&["backup_private"])
    {
        report
            .error(
                settings.span("primary_private"),
                "missing-address",
                "`primary_private` needs `backup_private`: a heartbeat has two ends",
            )
            .hint("add `backup_private`, or remove `primary_private`");
    }
    if private.is_none() && settings.knows(&["primary_private"]) {
        report
            .warning(
                settings.span("backup"),
                "public-heartbeat",
                "the public network is the only way of the heartbeat: a fault of it looks like a \
                 dead director",
            )
            .hint("add `primary_private` and `backup_private`, on another network");
    }
}

//! The second director.

use crate::keys::{Key, Kind, Topic};

use super::{SECONDS_FROM_ONE, global};

pub(super) const KEYS: &[Key] = &[
    global("primary", Kind::Host)
        .not_yet(Topic::Redundancy)
        .meaning("Own (not floating) address of the primary director. 0.0.0.0 is refused."),
    global("primary_private", Kind::Host)
        .not_yet(Topic::Redundancy)
        .meaning("Second heartbeat address of the primary director."),
    global("backup", Kind::Host)
        .default("0.0.0.0")
        .not_yet(Topic::Redundancy)
        .meaning("Own address of the backup director; 0.0.0.0 stands for none."),
    global("backup_private", Kind::Host)
        .not_yet(Topic::Redundancy)
        .neutral(&["0.0.0.0"])
        .meaning("Second heartbeat address of the backup director; needed with `primary_private`."),
    global("backup_active", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("1: there is a backup director."),
    global("heartbeat", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("Written as 1 by Piranha's web tool; its daemons never read it."),
    global(
        "heartbeat_port",
        Kind::Port {
            min: 1,
            piranha_takes_names: true,
        },
    )
    .default("539")
    .not_yet(Topic::Redundancy)
    .meaning("UDP port of the heartbeat, both ways."),
    global("keepalive", SECONDS_FROM_ONE)
        .default("2")
        .seconds()
        .not_yet(Topic::Redundancy)
        .meaning("Interval between heartbeats."),
    global("deadtime", SECONDS_FROM_ONE)
        .default("5")
        .seconds()
        .not_yet(Topic::Redundancy)
        .meaning("Silence after which the other director is taken for dead; over `keepalive`."),
    global("monitor_links", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("1: give up activity when an own interface loses its link."),
    global("syncdaemon", Kind::Boolean)
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("1: replicate connections to the other director."),
    global("syncd_iface", Kind::Interface)
        .default("eth0")
        .not_yet(Topic::Redundancy)
        .meaning("Interface on which connections are replicated."),
    global("syncd_id", Kind::Integer { min: 0, max: 255 })
        .default("0")
        .not_yet(Topic::Redundancy)
        .meaning("Identity of the replicating pair on its network."),
    global("active_cmd", Kind::Text)
        .not_yet(Topic::Redundancy)
        .meaning("Command that is started when the director becomes active."),
    global("inactive_cmd", Kind::Text)
        .not_yet(Topic::Redundancy)
        .meaning("Command that is started when the director becomes inactive, and at its start."),
];

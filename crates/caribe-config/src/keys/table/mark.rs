//! Rules that give packets a firewall mark, without netfilter: for services with `fwmark`.

use crate::keys::{Fallback, Key, Kind};

use super::in_mark;

pub(super) const KEYS: &[Key] = &[
    in_mark("active", Kind::Boolean)
        .default("0")
        .meaning("1: the rule counts. An inactive one is skipped."),
    in_mark(
        "mark",
        Kind::Integer {
            min: 1,
            max: u32::MAX as i64,
        },
    )
    .fallback(Fallback::Required)
    .meaning("The mark that packets get: the `fwmark` of the service that shall take them."),
    in_mark("address", Kind::Network)
        .fallback(Fallback::Required)
        .meaning(
            "Where the packets are addressed to: a VIP, or a network such as `192.0.2.0/24` or \
             `2001:db8::/64`.",
        ),
    in_mark("protocol", Kind::Word(&["tcp", "udp", "sctp", "any"]))
        .default("any")
        .meaning("Transport protocol of the packets; `any`: TCP, UDP and SCTP."),
    in_mark("port", Kind::Ports)
        .fallback(Fallback::Derived("all ports"))
        .meaning(
            "Ports that the packets are addressed to, such as `80,443` or `20-21,1024-65535`.",
        ),
];

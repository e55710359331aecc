//! Real servers.

use crate::keys::{Fallback, Key, Kind};

use super::{FORWARDING, INT_MAX, TUNNEL, TUNNEL_CHECKSUM, TUNNEL_PORT, in_server};

const THRESHOLD: Kind = Kind::Integer {
    min: 0,
    max: INT_MAX,
};

pub(super) const KEYS: &[Key] = &[
    in_server("address", Kind::Host)
        .default("0.0.0.0")
        .meaning("Address of the real server; an active one must have it."),
    in_server("active", Kind::Boolean)
        .default("0")
        .meaning("1: the server is watched and used."),
    in_server(
        "port",
        Kind::Port {
            min: 0,
            piranha_takes_names: false,
        },
    )
    .fallback(Fallback::Derived("the service's port"))
    .meaning("Port on the real server. Only NAT can change it."),
    in_server(
        "weight",
        Kind::Integer {
            min: 0,
            max: INT_MAX,
        },
    )
    .default("1")
    .meaning("Share of new connections; 0: none, while established ones go on."),
    in_server("forward", FORWARDING)
        .caribe()
        .fallback(Fallback::Derived("the service's"))
        .meaning("Forwarding method of this server."),
    in_server("upper_threshold", THRESHOLD)
        .caribe()
        .default("0")
        .unit("connections")
        .meaning(
            "With this many connections, active and inactive, the server gets no new ones; 0: no \
             limit.",
        ),
    in_server("lower_threshold", THRESHOLD)
        .caribe()
        .default("0")
        .unit("connections")
        .meaning(
            "When so few are left, it gets new ones again; at most `upper_threshold`. 0: three \
             quarters of that.",
        ),
    in_server("tunnel", TUNNEL)
        .caribe()
        .fallback(Fallback::Derived("the service's"))
        .meaning(
            "Kind of tunnel to this server: IP in IP, generic UDP encapsulation (with \
             `tunnel_port`) or GRE.",
        ),
    in_server("tunnel_port", TUNNEL_PORT)
        .caribe()
        .fallback(Fallback::Derived("the service's"))
        .meaning("UDP port on which the server takes GUE; 6080 is the registered one."),
    in_server("tunnel_checksum", TUNNEL_CHECKSUM)
        .caribe()
        .fallback(Fallback::Derived("the service's"))
        .meaning(
            "Checksum of the outer header: `none`, `full`, or for GUE `remote` (remote checksum \
             offload).",
        ),
    in_server("nmask", Kind::Anything)
        .misnomer("ignored")
        .meaning("Written by some versions of Piranha's web tool."),
];

//! How much a director holds. These are settled at its start: the data plane's memory is taken
//! then.

use crate::keys::{Fallback, Key, Kind};

use super::global;

/// Most connections that the table can be asked to hold, per address family.
const CONNECTIONS_MAX: i64 = 1 << 27;
/// Most services that can be asked for.
const SERVICES_MAX: i64 = 1 << 16;
/// Most real servers, counted in each service that has them.
const SERVERS_MAX: i64 = 1 << 20;
/// Far more new connections a second than a processor can make.
const FLOOD_GUARD_MAX: i64 = 100_000_000;

pub(super) const KEYS: &[Key] = &[
    global(
        "connections",
        Kind::Integer {
            min: 1,
            max: CONNECTIONS_MAX,
        },
    )
    .caribe()
    .fallback(Fallback::Derived("the data plane's own"))
    .meaning("Most connections that the table holds, for each address family."),
    global(
        "max_services",
        Kind::Integer {
            min: 1,
            max: SERVICES_MAX,
        },
    )
    .caribe()
    .default("1024")
    .meaning(
        "Most virtual services that the data plane has room for, those made by hand included. \
         Takes effect when the director starts.",
    ),
    global(
        "max_servers",
        Kind::Integer {
            min: 1,
            max: SERVERS_MAX,
        },
    )
    .caribe()
    .default("16384")
    .meaning(
        "Most real servers that the data plane has room for; a machine that serves in three \
         services counts three times, and a sorry server counts. Takes effect when the director \
         starts.",
    ),
    global(
        "flood_guard",
        Kind::Integer {
            min: 0,
            max: FLOOD_GUARD_MAX,
        },
    )
    .caribe()
    .default("200000")
    .unit("new connections a second on one processor")
    .meaning(
        "Above this rate a packet that would open a connection is scheduled and forwarded, but \
         not entered into the table, so that a flood neither fills it nor takes the processor \
         from established connections; 0: never. The default is some ten times what a busy \
         director sees, and entering as many takes about an eighth of a processor.",
    ),
];

//! How connections are kept, reused and dropped: what IPVS has as sysctls under
//! `net.ipv4.vs`, with its names and defaults. Where the key may stand in a `virtual` block too,
//! the service's value goes before that of the file.

use crate::keys::{Fallback, Key, Kind};

use super::{INT_MAX, TIMEOUT_MAX, global, in_virtual};

/// IPVS's modes: never, by itself (1 and 2), always.
const DEFENCE: Kind = Kind::Integer { min: 0, max: 3 };
/// Two bits.
const REUSE: Kind = Kind::Integer { min: 0, max: 3 };
const EXPIRATION: Kind = Kind::Integer {
    min: 1,
    max: TIMEOUT_MAX,
};
const DROP_RATE: Kind = Kind::Integer {
    min: 1,
    max: INT_MAX,
};

const fn for_the_file(name: &'static str, kind: Kind, default: &'static str) -> Key {
    global(name, kind).caribe().default(default)
}

const fn for_a_service(name: &'static str, kind: Kind) -> Key {
    in_virtual(name, kind)
        .caribe()
        .fallback(Fallback::Derived("that of the file"))
        .meaning("As outside all blocks, for this service alone.")
}

pub(super) const GLOBAL: &[Key] = &[
    for_the_file("expire_nodest_conn", Kind::Boolean, "0").meaning(
        "What happens to a connection whose server was removed. 0: its packets are dropped until \
         it times out, or the server is back. 1: it is ended, and its next packet finds another \
         server; better for UDP, whose clients never reconnect by themselves.",
    ),
    for_the_file("expire_quiescent_template", Kind::Boolean, "0").meaning(
        "What a client of a `persistent` service gets when its server is quiesced (weight 0). 0: \
         that server, for as long as the client comes back in time. 1: another one.",
    ),
    for_the_file("conn_reuse_mode", REUSE, "1").meaning(
        "What a SYN gets that meets an old connection of its client's address and port. 0: that \
         connection's server, even if it is quiesced. 1: when the old connection is over \
         (TIME_WAIT, CLOSE), it is given up and the SYN scheduled anew. 2 or 3: with direct \
         routing and tunnelling also when it is in FIN_WAIT.",
    ),
    for_the_file("sloppy_tcp", Kind::Boolean, "0").meaning(
        "1: any TCP packet but a RST opens a connection, not the SYN alone; a director that took \
         over without connection sync then goes on with what it finds.",
    ),
    for_the_file("sloppy_sctp", Kind::Boolean, "0")
        .meaning("1: any SCTP packet but an ABORT opens a connection, not the INIT alone."),
    for_the_file("secure_tcp", DEFENCE, "0").meaning(
        "A TCP connection counts as established, with the long timeout, only once the server's \
         packets say so, where they pass the director (NAT). 0: never; 1 or 2: while the table is \
         nearly full; 3: always.",
    ),
    for_the_file("drop_entry", DEFENCE, "0").meaning(
        "Connections that did little are dropped at random to make room. 0: never; 1 or 2: while \
         the table is nearly full; 3: always.",
    ),
    for_the_file("drop_packet", DEFENCE, "0").meaning(
        "Packets that would open a connection are dropped, one of so many. 0: never; 1 or 2: \
         while the table is nearly full, the more the fuller; 3: always, one of `am_droprate`.",
    ),
    for_the_file("am_droprate", DROP_RATE, "10")
        .meaning("With `drop_packet = 3`: one of this many is dropped; 1: all."),
    for_the_file("cache_bypass", Kind::Boolean, "0").meaning(
        "1: when no server of a service keyed by a mark (a transparent cache) can take a \
         connection, its packets go where they are addressed to instead of nowhere.",
    ),
    for_the_file("nat_icmp_send", Kind::Boolean, "0").meaning(
        "1: a packet from a NAT server's address and port that belongs to no connection and is \
         for no service is answered with port unreachable, so that the server forgets a \
         connection that the director knows no more.",
    ),
    for_the_file("schedule_icmp", Kind::Boolean, "0").meaning(
        "1: an ICMP error about a connection that is unknown is scheduled as a packet of that \
         connection would be, and makes the connection.",
    ),
    for_the_file("pmtu_disc", Kind::Boolean, "1").meaning(
        "1: a packet that is too big for the tunnel to its server and must not be fragmented is \
         answered with the size that fits. 0: it is not. The tunnel's IPv4 header allows fragments \
         then, which routers on the way may make; a packet that does not fit the director's own \
         link is dropped, and counted as `dropped_too_big`.",
    ),
    for_the_file("lblc_expiration", EXPIRATION, "86400")
        .seconds()
        .meaning("How long `lblc` remembers the server of a destination that nobody asks for."),
    for_the_file("lblcr_expiration", EXPIRATION, "86400")
        .seconds()
        .meaning("The same for `lblcr`."),
];

pub(super) const OF_A_SERVICE: &[Key] = &[
    for_a_service("expire_nodest_conn", Kind::Boolean),
    for_a_service("expire_quiescent_template", Kind::Boolean),
    for_a_service("conn_reuse_mode", REUSE),
    for_a_service("sloppy_tcp", Kind::Boolean),
    for_a_service("sloppy_sctp", Kind::Boolean),
    for_a_service("secure_tcp", DEFENCE),
    for_a_service("cache_bypass", Kind::Boolean),
    for_a_service("pmtu_disc", Kind::Boolean),
];

//! Every key of lvs.cf. Defaults, ranges and meaning of Piranha's keys are those of its 0.8.6
//! daemons; ranges that they did not check are those of IPVS.

mod failover;
mod file;
mod limits;
mod mark;
mod monitor;
mod monitoring;
mod obsolete;
mod policy;
mod redundancy;
mod server;
mod virtual_service;

use super::{Key, Kind, Place};

/// Largest C `int`: what Piranha could hold.
const INT_MAX: i64 = i32::MAX as i64;
/// IPVS refuses idle timeouts over `INT_MAX / HZ`; this is that bound at 1000 ticks a second.
const TIMEOUT_MAX: i64 = INT_MAX / 1_000;

const ANY_INTEGER: Kind = Kind::Integer {
    min: i64::MIN,
    max: i64::MAX,
};
const SECONDS: Kind = Kind::Integer {
    min: 0,
    max: INT_MAX,
};
const SECONDS_FROM_ONE: Kind = Kind::Integer {
    min: 1,
    max: INT_MAX,
};
const IDLE_TIMEOUT: Kind = Kind::Integer {
    min: 0,
    max: TIMEOUT_MAX,
};
const FORWARDING: Kind = Kind::Word(&["nat", "direct", "tunnel"]);
const TUNNEL: Kind = Kind::Word(&["ipip", "gue", "gre"]);
const TUNNEL_PORT: Kind = Kind::Integer {
    min: 1,
    max: u16::MAX as i64,
};
const TUNNEL_CHECKSUM: Kind = Kind::Word(&["none", "full", "remote"]);

const fn global(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Global, name, kind)
}

const fn in_virtual(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Virtual, name, kind)
}

const fn in_server(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Server, name, kind)
}

const fn in_mark(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Mark, name, kind).caribe()
}

const fn in_monitor(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Monitor, name, kind).caribe()
}

const fn in_failover(name: &'static str, kind: Kind) -> Key {
    Key::new(Place::Failover, name, kind)
}

/// The keys by topic, in the order of the reference.
const TOPICS: &[&[Key]] = &[
    file::KEYS,
    limits::KEYS,
    policy::GLOBAL,
    redundancy::KEYS,
    virtual_service::KEYS,
    policy::OF_A_SERVICE,
    monitoring::KEYS,
    obsolete::KEYS,
    server::KEYS,
    monitor::KEYS,
    mark::KEYS,
    failover::KEYS,
];

/// Every key; those of one place stand in the order of the reference.
pub static KEYS: &[Key] = &ALL;

static ALL: [Key; number(TOPICS)] = joined(TOPICS);

const fn number(topics: &[&[Key]]) -> usize {
    let mut number = 0;
    let mut topic = 0;
    while topic < topics.len() {
        number += topics[topic].len();
        topic += 1;
    }
    number
}

const fn joined<const N: usize>(topics: &[&[Key]]) -> [Key; N] {
    let mut all = [topics[0][0]; N];
    let (mut at, mut topic) = (0, 0);
    while topic < topics.len() {
        let mut key = 0;
        while key < topics[topic].len() {
            all[at] = topics[topic][key];
            at += 1;
            key += 1;
        }
        topic += 1;
    }
    all
}

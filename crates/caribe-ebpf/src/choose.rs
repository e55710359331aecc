//! Which server gets a new connection: each [`Choice`] among the slots of a service.
//!
//! Loops over slots are in global functions: the verifier checks such a function by itself, and so
//! follows its loop once, not once for every way that leads to it.

use aya_ebpf::helpers::bpf_get_prandom_u32;
use caribe_packet::hash::{
    BUCKETS, FALLBACK, MOST_PROBES, PORT, bucket, maglev_slot, next_bucket, next_maglev_slot,
    origin,
};
use caribe_packet::least::{Candidate, MOST_SLOTS, Rule, draw};
use caribe_packet::server::Load;
use caribe_packet::service::{Choice, MOST_TURNS, Service, Slot, further, rotate};

use crate::atomic;
use crate::clock::Moment;
use crate::explain::{explains, note};
use crate::family::Family;
use crate::maps::{CURSORS, LOADS, SLOTS};
use crate::packet::Packet;

/// Some of the choices: those of one chapter.
pub trait Choose {
    /// The server that the service's scheduler picks; 0 if none can take a connection.
    fn server<F: Family<WORDS>, const WORDS: usize>(
        service: &Service,
        packet: &Packet<F::Address>,
        moment: &Moment,
    ) -> u32;
}

/// By comparing all slots.
pub enum Comparing {}

impl Choose for Comparing {
    #[inline(always)]
    fn server<F: Family<WORDS>, const WORDS: usize>(
        service: &Service,
        _packet: &Packet<F::Address>,
        _moment: &Moment,
    ) -> u32 {
        let Service { base, length, .. } = *service;
        if length == 0 {
            0
        } else {
            least(base, length, rule(service.choice).0)
        }
    }
}

/// By a hash of the packet.
pub enum ByHash {}

impl Choose for ByHash {
    #[inline(always)]
    fn server<F: Family<WORDS>, const WORDS: usize>(
        service: &Service,
        packet: &Packet<F::Address>,
        _moment: &Moment,
    ) -> u32 {
        let Service { base, length, .. } = *service;
        let flags = service.flags as u32;
        if length == 0 {
            0
        } else if service.choice == Choice::DestinationHash as u8 {
            hashed(base, length, F::fold(packet.destination), 0)
        } else if service.choice == Choice::SourceHash as u8 {
            hashed(base, length, client::<F, WORDS>(service, packet), flags)
        } else {
            maglev(base, length, client::<F, WORDS>(service, packet), flags)
        }
    }
}

/// By a cursor that rotates, or by drawing two.
pub enum Drawn {}

impl Choose for Drawn {
    #[inline(always)]
    fn server<F: Family<WORDS>, const WORDS: usize>(
        service: &Service,
        _packet: &Packet<F::Address>,
        _moment: &Moment,
    ) -> u32 {
        let Service { base, length, .. } = *service;
        if length == 0 {
            0
        } else if service.choice == Choice::Rotate as u8 {
            rotated(base, length, service.cycle_start, service.cursor)
        } else {
            two_drawn(base, length)
        }
    }
}

/// What sh and mh hash of a packet.
#[inline(always)]
fn client<F: Family<WORDS>, const WORDS: usize>(
    service: &Service,
    packet: &Packet<F::Address>,
) -> u32 {
    let port = if service.flags & PORT != 0 {
        Some(packet.ports.source)
    } else {
        None
    };
    origin(F::fold(packet.source), port)
}

/// The rule of a choice by its number; wlc's for one that is none.
#[inline(always)]
fn rule(choice: u8) -> Rule {
    let known = if choice == Choice::Highest as u8 {
        Choice::Highest
    } else if choice == Choice::Overflow as u8 {
        Choice::Overflow
    } else if choice == Choice::ShortestDelay as u8 {
        Choice::ShortestDelay
    } else if choice == Choice::NeverQueue as u8 {
        Choice::NeverQueue
    } else {
        Choice::Overhead
    };
    match known.rule() {
        Some(rule) => rule,
        None => Rule::OVERHEAD,
    }
}

/// The next server of a rotation that is not overloaded; 0 for none.
///
/// Slots are passed over a server at a time. Having come round, the cursor stands where it stood.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn rotated(base: u32, length: u32, cycle_start: u32, cursor: u32) -> u32 {
    let Some(cursor) = CURSORS.get_ptr_mut(cursor) else {
        return 0;
    };
    // SAFETY: a word of a map.
    let picks = unsafe {
        if explains() {
            atomic::load(cursor)
        } else {
            atomic::fetch_add(cursor, 1)
        }
    };
    note(|trace| trace.picks = picks);
    let mut at = rotate(length, cycle_start, picks);
    let mut passed = 0;
    for _ in 0..MOST_TURNS {
        let Some(slot) = SLOTS.get(base.wrapping_add(at)) else {
            return 0;
        };
        let Some(load) = LOADS.get_ptr(slot.server) else {
            return slot.server;
        };
        // SAFETY: a word of a map.
        if Load(unsafe { atomic::load(load) }).overloaded() == 0 {
            return slot.server;
        }
        passed += slot.weight as u64;
        if passed >= length as u64 {
            return 0;
        }
        if !explains() {
            // SAFETY: a word of a map.
            unsafe { atomic::add(cursor, slot.weight as u64) };
        }
        note(|trace| trace.tried += 1);
        at = further(length, cycle_start, at, slot.weight);
    }
    0
}

/// The best server of a run of slots by a [`Rule`]; 0 for none.
#[inline(never)]
#[unsafe(no_mangle)]
pub(crate) extern "C" fn least(base: u32, length: u32, rule: u64) -> u32 {
    let rule = Rule(rule);
    let mut best = 0;
    let mut best_candidate = Candidate::NOBODY;
    for at in 0..MOST_SLOTS {
        if at >= length {
            break;
        }
        let Some((slot, load)) = loaded(base.wrapping_add(at)) else {
            break;
        };
        let candidate = rule.candidate(load, slot.weight);
        if candidate.beats(best_candidate) {
            best = slot.server;
            best_candidate = candidate;
        }
    }
    best
}

/// The less loaded of two servers that are drawn by weight; 0 for none.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn two_drawn(base: u32, length: u32) -> u32 {
    let sum = sum_of_weights(base, length);
    let (Some((first, first_load)), Some((second, second_load))) =
        (drawn(base, length, sum), drawn(base, length, sum))
    else {
        return 0;
    };
    let candidate = |slot: &Slot, load| Rule::OVERHEAD.candidate(load, slot.weight);
    note(|trace| trace.drawn = [first.server, second.server]);
    if candidate(second, second_load).beats(candidate(first, first_load)) {
        second.server
    } else {
        first.server
    }
}

/// A slot drawn by weight.
#[inline(always)]
fn drawn(base: u32, length: u32, sum: u64) -> Option<(&'static Slot, Load)> {
    // SAFETY: the helper has no precondition.
    let random = unsafe { bpf_get_prandom_u32() };
    let at = at_weight(base, length, draw(random, sum));
    if at == 0 {
        return None;
    }
    loaded(base.wrapping_add(at - 1))
}

/// Weights of a run of slots, added up.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn sum_of_weights(base: u32, length: u32) -> u64 {
    let mut sum = 0;
    for at in 0..MOST_SLOTS {
        if at >= length {
            break;
        }
        let Some((slot, load)) = loaded(base.wrapping_add(at)) else {
            break;
        };
        sum += open_weight(slot, load);
    }
    sum
}

/// The weight of a slot, 0 if its server is overloaded.
#[inline(always)]
fn open_weight(slot: &Slot, load: Load) -> u64 {
    slot.weight as u64 * (load.overloaded() ^ 1)
}

/// The place in a run of slots, counted from 1, at which the weights first add up to this number or
/// more; 0 for none. A slot without weight is passed over.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn at_weight(base: u32, length: u32, number: u64) -> u32 {
    let mut sum = 0;
    for at in 0..MOST_SLOTS {
        if at >= length {
            break;
        }
        let Some((slot, load)) = loaded(base.wrapping_add(at)) else {
            break;
        };
        let weight = open_weight(slot, load);
        sum += weight;
        if weight > 0 && sum >= number {
            return at + 1;
        }
    }
    0
}

/// The server of dh and sh, by the hash of a number; 0 for none.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn hashed(base: u32, length: u32, origin: u32, flags: u32) -> u32 {
    if length < BUCKETS {
        return 0;
    }
    let first = bucket(origin);
    note(|trace| (trace.origin, trace.first) = (origin, first));
    let server = open_server(base, length, first);
    if server != 0 || flags & FALLBACK as u32 == 0 {
        return server;
    }
    for tried in 0..BUCKETS {
        let server = open_server(base, length, next_bucket(first, tried));
        if server != 0 {
            note(|trace| trace.tried = tried + 1);
            return server;
        }
    }
    0
}

/// The server of mh, by the hash of a number; 0 for none.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn maglev(base: u32, length: u32, origin: u32, flags: u32) -> u32 {
    let first = maglev_slot(origin, length);
    note(|trace| (trace.origin, trace.first) = (origin, first));
    let server = open_server(base, length, first);
    if server != 0 || flags & FALLBACK as u32 == 0 {
        return server;
    }
    for tried in 0..MOST_PROBES {
        let at = next_maglev_slot(origin, first, tried, length);
        let server = open_server(base, length, at);
        if server != 0 {
            note(|trace| trace.tried = tried + 1);
            return server;
        }
    }
    0
}

/// The server of a slot of a hash's table, if it takes connections; 0 if not, or if there is no such
/// slot.
#[inline(always)]
fn open_server(base: u32, length: u32, at: u32) -> u32 {
    if at >= length {
        return 0;
    }
    match loaded(base.wrapping_add(at)) {
        // No branch: it would multiply the paths of a loop.
        Some((slot, load)) => slot.server * (is_set(slot.weight) & (load.overloaded() as u32 ^ 1)),
        None => 0,
    }
}

/// 1 for a weight above 0, else 0.
#[inline(always)]
fn is_set(weight: u32) -> u32 {
    (weight as u64).wrapping_neg() as u32 >> 31
}

/// A slot and the load of its server.
#[inline(always)]
pub fn loaded(at: u32) -> Option<(&'static Slot, Load)> {
    let slot = SLOTS.get(at)?;
    let load = LOADS.get_ptr(slot.server)?;
    // SAFETY: a word of a map.
    Some((slot, Load(unsafe { atomic::load(load) })))
}

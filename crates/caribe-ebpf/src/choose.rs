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
use caribe_packet::service::{Choice, Service, Slot, rotate};

use crate::atomic;
use crate::family::Family;
use crate::maps::{CURSORS, LOADS, SLOTS};
use crate::packet::Packet;

/// The server that the service's scheduler picks, if any can take a connection.
#[inline(always)]
pub fn server<F: Family<WORDS>, const WORDS: usize>(
    service: &Service,
    packet: &Packet<F::Address>,
) -> Option<u32> {
    let Service { base, length, .. } = *service;
    if length == 0 {
        return None;
    }
    if service.choice == Choice::Rotate as u8 {
        let cursor = CURSORS.get_ptr_mut(service.cursor)?;
        // SAFETY: a word of a map.
        let picks = unsafe { atomic::fetch_add(cursor, 1) };
        let slot = SLOTS.get(base.wrapping_add(rotate(service, picks)))?;
        return Some(slot.server);
    }
    let number = if service.choice == Choice::TwoDrawn as u8 {
        two_drawn(base, length)
    } else if service.choice == Choice::DestinationHash as u8 {
        hashed(base, length, F::fold(packet.destination), 0)
    } else if service.choice == Choice::SourceHash as u8 {
        hashed(
            base,
            length,
            client::<F, WORDS>(service, packet),
            service.flags as u32,
        )
    } else if service.choice == Choice::Maglev as u8 {
        maglev(
            base,
            length,
            client::<F, WORDS>(service, packet),
            service.flags as u32,
        )
    } else {
        least(base, length, rule(service.choice).0)
    };
    // No server has index 0.
    if number == 0 { None } else { Some(number) }
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

/// The best server of a run of slots by a [`Rule`]; 0 for none.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn least(base: u32, length: u32, rule: u64) -> u32 {
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
    loaded(base.wrapping_add(at))
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
        let Some(slot) = SLOTS.get(base.wrapping_add(at)) else {
            break;
        };
        sum += slot.weight as u64;
    }
    sum
}

/// The place in a run of slots at which the weights first add up to this number or more.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn at_weight(base: u32, length: u32, number: u64) -> u32 {
    let mut sum = 0;
    for at in 0..MOST_SLOTS {
        if at >= length {
            break;
        }
        let Some(slot) = SLOTS.get(base.wrapping_add(at)) else {
            break;
        };
        sum += slot.weight as u64;
        if sum >= number {
            return at;
        }
    }
    0
}

/// The server of dh and sh, by the hash of a number; 0 for none.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn hashed(base: u32, length: u32, origin: u32, flags: u32) -> u32 {
    let first = bucket(origin);
    let Some(slot) = slot_of(base, length, first) else {
        return 0;
    };
    if slot.weight > 0 {
        return slot.server;
    }
    if flags & FALLBACK as u32 == 0 {
        return 0;
    }
    for tried in 0..BUCKETS {
        let Some(slot) = slot_of(base, length, next_bucket(first, tried)) else {
            return 0;
        };
        if slot.weight > 0 {
            return slot.server;
        }
    }
    0
}

/// The server of mh, by the hash of a number; 0 for none.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn maglev(base: u32, length: u32, origin: u32, flags: u32) -> u32 {
    let first = maglev_slot(origin, length);
    let Some(slot) = slot_of(base, length, first) else {
        return 0;
    };
    if slot.weight > 0 {
        return slot.server;
    }
    if flags & FALLBACK as u32 == 0 {
        return 0;
    }
    for tried in 0..MOST_PROBES {
        let Some(slot) = slot_of(base, length, next_maglev_slot(origin, first, tried, length))
        else {
            return 0;
        };
        if slot.weight > 0 {
            return slot.server;
        }
    }
    0
}

/// A slot of a run that is a hash's table.
#[inline(always)]
fn slot_of(base: u32, length: u32, at: u32) -> Option<&'static Slot> {
    if at >= length {
        return None;
    }
    SLOTS.get(base.wrapping_add(at))
}

/// A slot and the load of its server.
#[inline(always)]
fn loaded(at: u32) -> Option<(&'static Slot, Load)> {
    let slot = SLOTS.get(at)?;
    let load = LOADS.get_ptr(slot.server)?;
    // SAFETY: a word of a map.
    Some((slot, Load(unsafe { atomic::load(load) })))
}

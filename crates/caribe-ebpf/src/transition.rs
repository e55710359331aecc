//! What a packet does to its connection: state, class, deadline.

use caribe_packet::connection::{
    Connection, Control, INACTIVE, Life, Meta, NO_OUTPUT, REPLIED, SECURE, TEMPLATE,
    TEMPLATE_ASSURED,
};
use caribe_packet::key::Key;
use caribe_packet::server::{Bounds, Load};
use caribe_packet::settings::DEADLINE_SLACK;
use caribe_packet::state::{STATES, is_active, is_established};
use caribe_packet::tcp_state::{State, Viewpoint, next, next_secure};
use caribe_packet::transport::{TCP, UDP};

use crate::atomic;
use crate::clock::Moment;
use crate::explain::explains;
use crate::family::Family;
use crate::find::Slot;
use crate::maps::{BOUNDS, LOADS};
use crate::sctp;

/// A packet, as the state machine sees it.
pub struct Event {
    /// IP protocol.
    pub protocol: u8,
    /// TCP flags, or the number of SCTP's event.
    pub flags: u8,
    /// From where the packet was seen.
    pub viewpoint: Viewpoint,
}

/// The state and flags after an event.
#[inline(always)]
pub fn after(state: u8, flags: u16, event: &Event) -> (u8, u16) {
    let flags = match event.viewpoint {
        Viewpoint::Output => flags & !NO_OUTPUT | REPLIED,
        Viewpoint::Input | Viewpoint::InputOnly => flags,
    };
    if event.protocol == UDP {
        return (State::Udp as u8, flags | INACTIVE);
    }
    let state = if event.protocol != TCP {
        sctp::after(state, event.viewpoint, event.flags)
    } else if flags & SECURE == 0 {
        next(state, event.viewpoint, event.flags)
    } else {
        next_secure(state, event.viewpoint, event.flags)
    };
    (
        state,
        if is_active(state) {
            flags & !INACTIVE
        } else {
            flags | INACTIVE
        },
    )
}

/// Ticks until a connection in a state expires.
#[inline(always)]
pub fn timeout(state: u8, moment: &Moment) -> u32 {
    moment.settings.timeouts[state as usize % STATES]
}

/// Moves a connection on. Most packets change nothing but the deadline, and most of those not
/// even that.
#[inline(always)]
pub fn transition<F: Family<WORDS>, const WORDS: usize>(
    slot: *mut Connection<Key<WORDS>, F::Address>,
    server: u32,
    event: &Event,
    moment: &Moment,
) {
    if explains() {
        return;
    }
    let word = Slot::meta_word(slot);
    // A second try is for the other direction's packet, which may come between.
    for _ in 0..2 {
        // SAFETY: a slot of a map.
        let old = Meta(unsafe { atomic::load(word) });
        let (state, flags) = after(old.state(), old.flags(), event);
        let deadline = moment.now.wrapping_add(timeout(state, moment));
        if state == old.state() && flags == old.flags() {
            if deadline.wrapping_sub(old.deadline()) >= DEADLINE_SLACK {
                // SAFETY: the upper half of the word, which is a deadline and nothing else.
                unsafe { word.cast::<u32>().add(1).write_volatile(deadline) };
            }
            return;
        }
        let new = Meta::new(Life::Alive, state, flags, deadline);
        // SAFETY: a slot of a map. A slot that is no longer alive differs from `old` or is left
        // alone, because `old` was alive.
        if !old.is_alive() || unsafe { atomic::compare_and_swap(word, old.0, new.0) } {
            if old.is_alive() && (old.flags() ^ flags) & INACTIVE != 0 {
                let moved = Load::one(flags & INACTIVE != 0)
                    .wrapping_sub(Load::one(old.flags() & INACTIVE != 0));
                add_load(server, moved);
            }
            if old.is_alive() && is_proof(event.protocol, new) {
                // SAFETY: a slot of a map. Its template changes only while it is not alive.
                assure::<F, WORDS>(Control(unsafe { (*slot).control }));
            }
            return;
        }
    }
}

/// True for a connection that is worth keeping its template for: an established one, or for UDP
/// one that was answered.
#[inline(always)]
pub fn is_proof(protocol: u8, meta: Meta) -> bool {
    if protocol == UDP {
        meta.flags() & REPLIED != 0
    } else {
        is_established(meta.state())
    }
}

/// Notes of a template that one of its connections was established.
#[inline(always)]
pub fn assure<F: Family<WORDS>, const WORDS: usize>(control: Control) {
    if !control.is_some() {
        return;
    }
    let Some(slot) = F::slot(control.slot()) else {
        return;
    };
    let word = Slot::meta_word(slot);
    // SAFETY: a slot of a map.
    let old = Meta(unsafe { atomic::load(word) });
    if old.is_alive() && old.flags() & TEMPLATE != 0 && old.state() != TEMPLATE_ASSURED {
        let new = Meta::new(Life::Alive, TEMPLATE_ASSURED, old.flags(), old.deadline());
        // SAFETY: a slot of a map. Should it fail, another packet was faster.
        unsafe { atomic::compare_and_swap(word, old.0, new.0) };
    }
}

/// Counts one more connection of a server, which may be overloaded by it.
#[inline(always)]
pub fn bind(server: u32, difference: u64) {
    let (Some(load), Some(bounds)) = (LOADS.get_ptr_mut(server), BOUNDS.get(server)) else {
        return;
    };
    // SAFETY: a word of a map.
    let before = unsafe { atomic::fetch_add(load, difference) };
    note_overload(load, Load(before.wrapping_add(difference)), Bounds(*bounds));
}

/// Marks a server as overloaded if a load overloads it.
#[inline(always)]
fn note_overload(word: *mut u64, load: Load, bounds: Bounds) {
    if bounds.overloads(load) && load.overloaded() == 0 {
        // SAFETY: a word of a map.
        unsafe { atomic::set_bits(word, Load::OVERLOADED) };
    }
}

/// Looks whether a server is overloaded, as IPVS does for every template that is made.
#[inline(always)]
pub fn look_at_load(server: u32) {
    if let (Some(load), Some(bounds)) = (LOADS.get_ptr_mut(server), BOUNDS.get(server)) {
        // SAFETY: a word of a map.
        let now = Load(unsafe { atomic::load(load) });
        note_overload(load, now, Bounds(*bounds));
    }
}

/// Looks whether a server is overloaded by a connection that ends at once: IPVS counts one for every
/// packet of one-packet scheduling.
#[inline(always)]
pub fn look_at_load_of_one_more(server: u32) {
    if let (Some(load), Some(bounds)) = (LOADS.get_ptr_mut(server), BOUNDS.get(server)) {
        let bounds = Bounds(*bounds);
        // SAFETY: a word of a map.
        let now = unsafe { atomic::load(load) };
        if !bounds.relieves(Load(now)) {
            note_overload(load, Load(now.wrapping_add(Load::one(true))), bounds);
        }
    }
}

/// Counts one connection of a server less, which may relieve it.
#[inline(always)]
pub fn unbind(server: u32, difference: u64) {
    let (Some(load), Some(bounds)) = (LOADS.get_ptr_mut(server), BOUNDS.get(server)) else {
        return;
    };
    // SAFETY: a word of a map.
    let before = unsafe { atomic::fetch_add(load, difference.wrapping_neg()) };
    let now = Load(before.wrapping_sub(difference));
    if now.overloaded() != 0 && Bounds(*bounds).relieves(now) {
        // SAFETY: a word of a map.
        unsafe { atomic::clear_bits(load, Load::OVERLOADED) };
    }
}

/// Adds to a server's load.
#[inline(always)]
pub fn add_load(server: u32, difference: u64) {
    if let Some(load) = LOADS.get_ptr_mut(server) {
        // SAFETY: a word of a map.
        unsafe { atomic::add(load, difference) };
    }
}

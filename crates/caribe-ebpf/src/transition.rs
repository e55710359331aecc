//! What a packet does to its connection: state, class, deadline.

use caribe_packet::connection::{Connection, INACTIVE, Life, Meta, NO_OUTPUT};
use caribe_packet::key::Key;
use caribe_packet::server::Load;
use caribe_packet::settings::DEADLINE_SLACK;
use caribe_packet::tcp_state::{State, Viewpoint, is_active, next};
use caribe_packet::transport::TCP;

use crate::atomic;
use crate::clock::Moment;
use crate::find::Slot;
use crate::maps::LOADS;

/// A packet, as the state machine sees it.
pub struct Event {
    /// IP protocol.
    pub protocol: u8,
    /// TCP flags.
    pub flags: u8,
    /// From where the packet was seen.
    pub viewpoint: Viewpoint,
}

/// The state and flags after an event.
#[inline(always)]
pub fn after(state: u8, flags: u16, event: &Event) -> (u8, u16) {
    let flags = match event.viewpoint {
        Viewpoint::Output => flags & !NO_OUTPUT,
        Viewpoint::Input | Viewpoint::InputOnly => flags,
    };
    if event.protocol != TCP {
        return (State::Udp as u8, flags | INACTIVE);
    }
    let state = next(state, event.viewpoint, event.flags);
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
    moment.settings.timeouts[(state & 15) as usize]
}

/// Moves a connection on. Most packets change nothing but the deadline, and most of those not
/// even that.
#[inline(always)]
pub fn transition<const WORDS: usize, A>(
    slot: *mut Connection<Key<WORDS>, A>,
    server: u32,
    event: &Event,
    moment: &Moment,
) {
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
            return;
        }
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

//! Defences against more new connections than can be served.

use caribe_packet::settings::{SECOND, Settings};

use crate::maps::COUNTERS;

/// True if a packet that would start a connection is to be dropped: one in so many
/// (IPVS: `drop_packet`).
#[inline(always)]
pub fn is_dropped(settings: &Settings) -> bool {
    if settings.drop_rate == 0 {
        return false;
    }
    let Some(own) = COUNTERS.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    let own = unsafe { &mut *own };
    own.drop_packets += 1;
    if own.drop_packets < settings.drop_rate {
        return false;
    }
    own.drop_packets = 0;
    true
}

/// Counts a packet that would start a connection; true while there are more of them on this
/// processor than the flood guard allows, and for eight seconds after, so that who began in a
/// flood can finish.
#[inline(always)]
pub fn is_flood(settings: &Settings, now: u32) -> bool {
    if settings.flood_guard == 0 {
        return false;
    }
    let Some(own) = COUNTERS.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    let own = unsafe { &mut *own };
    let window = now / SECOND;
    if own.flood_window != window {
        own.flood_window = window;
        own.flood_packets = 0;
    }
    own.flood_packets += 1;
    if own.flood_packets > settings.flood_guard {
        own.flood_last = window + 1;
        return true;
    }
    own.flood_last != 0 && (window + 1).wrapping_sub(own.flood_last) <= AFTERMATH
}

/// Windows for which a flood counts as one after it ended.
const AFTERMATH: u32 = 8;

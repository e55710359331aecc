//! Counting what became of a packet.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use caribe_packet::event::{EVENTS, Event};
use caribe_packet::settings::ICMP_WINDOW;
use caribe_packet::verdict::{COUNTERS as COUNTER_COUNT, Verdict};

use crate::explain::note;
use crate::maps::{COUNTERS, SETTINGS};

/// A packet's verdict, and the action that carries it out.
#[derive(Clone, Copy)]
pub struct Outcome {
    /// What to count: the number of a [`Verdict`]. Not the verdict itself: of that the compiler
    /// would know which numbers there are, and leave out the check that the verifier asks for.
    number: u32,
    /// What to tell the driver.
    pub action: u32,
}

impl Outcome {
    /// A verdict, and the action that carries it out.
    #[inline(always)]
    pub const fn new(verdict: Verdict, action: u32) -> Self {
        Outcome {
            number: verdict as u32,
            action,
        }
    }

    /// The same, with another verdict in the place of one.
    #[inline(always)]
    pub const fn instead_of(self, verdict: Verdict, other: Verdict) -> Self {
        if self.number == verdict as u32 {
            Outcome::new(other, self.action)
        } else {
            self
        }
    }

    /// As what a function of its own returns.
    #[inline(always)]
    pub const fn pack(self) -> u64 {
        self.number as u64 | (self.action as u64) << 32
    }

    /// The other way.
    #[inline(always)]
    pub const fn unpack(word: u64) -> Self {
        Outcome {
            number: word as u32,
            action: (word >> 32) as u32,
        }
    }
}

/// Leaves the packet to the kernel.
#[inline(always)]
pub fn pass(verdict: Verdict) -> Outcome {
    Outcome::new(verdict, XDP_PASS)
}

/// Drops the packet.
#[inline(always)]
pub fn drop(verdict: Verdict) -> Outcome {
    Outcome::new(verdict, XDP_DROP)
}

/// Counts the verdict; returns the action.
#[inline(always)]
pub fn count(outcome: Outcome) -> u32 {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        let index = outcome.number as usize;
        if index < COUNTER_COUNT {
            // SAFETY: the element belongs to this processor, and XDP does not nest on it.
            unsafe { (*counters).verdicts[index] += 1 };
        }
    }
    note(|trace| trace.verdict = outcome.number);
    outcome.action
}

/// Counts something that happened beside the verdict.
#[inline(always)]
pub fn count_event(event: Event) {
    if let Some(counters) = COUNTERS.get_ptr_mut(0) {
        // SAFETY: the element belongs to this processor, and XDP does not nest on it.
        unsafe { (*counters).events[event as usize % EVENTS] += 1 };
    }
}

/// True if this processor may send one more ICMP error now; counts it.
#[inline(always)]
pub fn may_send_icmp(now: u32) -> bool {
    let (Some(counters), Some(settings)) = (COUNTERS.get_ptr_mut(0), SETTINGS.get(0)) else {
        return false;
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    let counters = unsafe { &mut *counters };
    let window = now / ICMP_WINDOW;
    if counters.icmp_window != window {
        counters.icmp_window = window;
        counters.icmp_sent = 0;
    }
    if counters.icmp_sent >= settings.icmp_limit {
        return false;
    }
    counters.icmp_sent += 1;
    true
}

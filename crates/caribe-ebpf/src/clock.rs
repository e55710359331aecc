//! The time of a packet.

use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_coarse_ns};
use caribe_packet::settings::{Settings, ticks_of_nanoseconds};

use crate::maps::COUNTERS;

/// A moment of the packet path: the settings, and the coarse time in ticks.
pub struct Moment {
    /// What the director told us.
    pub settings: &'static Settings,
    /// Now.
    pub now: u32,
}

/// The coarse monotonic clock in ticks.
///
/// The clock moves once per timer interrupt, as the kernel's jiffies do, so what it said is good
/// for as long as they stand still. Jiffies are a load; the clock is a call, at a fifth of the
/// price of a packet.
#[inline(always)]
pub fn now() -> Option<u32> {
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    let own = unsafe { &mut *COUNTERS.get_ptr_mut(0)? };
    // SAFETY: a helper that any program may call.
    let jiffies = unsafe { bpf_jiffies64() };
    if own.clock_jiffies != jiffies {
        own.clock_jiffies = jiffies;
        // SAFETY: a helper that any program may call.
        own.clock_ticks = ticks_of_nanoseconds(unsafe { bpf_ktime_get_coarse_ns() });
    }
    Some(own.clock_ticks)
}

//! Telling what was done with a packet, in programs that are never on an interface.
//!
//! The director loads the same programs a second time to answer "which server would this packet
//! get?", on the same maps, with [`EXPLAIN`] set. Then everything is decided as ever, every step is
//! noted, and nothing is changed. On interfaces it is 0, which the verifier knows, as the constant
//! is frozen: it takes what stands under [`explains`] out of the program.

use caribe_packet::trace::Trace;

use crate::maps::TRACE;

/// 1 where packets are explained.
#[unsafe(no_mangle)]
static EXPLAIN: u32 = 0;

/// True where packets are explained: whatever would change a map that others see must not.
#[inline(always)]
pub fn explains() -> bool {
    // Volatile, or the compiler would take the value of here for the one that is loaded.
    // SAFETY: a static.
    unsafe { (&raw const EXPLAIN).read_volatile() != 0 }
}

/// Notes something of a packet that is explained.
#[inline(always)]
pub fn note(write: impl FnOnce(&mut Trace)) {
    if explains()
        && let Some(trace) = TRACE.get_ptr_mut(0)
    {
        // SAFETY: the element belongs to this processor, and XDP does not nest on it.
        write(unsafe { &mut *trace });
    }
}

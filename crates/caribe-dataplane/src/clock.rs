//! The clock of the packet path, for the shell.

use caribe_packet::settings::ticks_of_nanoseconds;
use nix::time::ClockId;

/// The kernel's coarse monotonic clock in ticks, the very clock by which packets set deadlines.
///
/// # Errors
///
/// None on Linux, where this clock always exists; what the kernel says, should it refuse.
pub(crate) fn now() -> nix::Result<u32> {
    let time = ClockId::CLOCK_MONOTONIC_COARSE.now()?;
    // Seconds since boot are not negative, and nanoseconds since boot last for 584 years.
    let nanoseconds = time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64;
    Ok(ticks_of_nanoseconds(nanoseconds))
}

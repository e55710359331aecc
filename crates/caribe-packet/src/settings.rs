//! What the director tells the packet path once, and how time is counted.

use crate::state::STATES;

/// Time is counted in ticks of 2^20 nanoseconds of the kernel's coarse monotonic clock, about
/// 1.05 ms: a shift instead of a division, and 32 bits last for 52 days.
pub const TICK_SHIFT: u32 = 20;

/// Nanoseconds as ticks, wrapping.
#[inline(always)]
pub const fn ticks_of_nanoseconds(nanoseconds: u64) -> u32 {
    (nanoseconds >> TICK_SHIFT) as u32
}

/// Seconds as ticks, rounded up, so that nothing expires early.
pub const fn ticks_of_seconds(seconds: u32) -> u32 {
    (seconds as u64 * 1_000_000_000).div_ceil(1 << TICK_SHIFT) as u32
}

/// The longest timeout in seconds: half of what wrapping ticks can tell apart, less a margin.
pub const LONGEST_TIMEOUT: u32 = 2_000_000;

/// Deadlines are stored anew only when they moved by this many ticks (67 ms), so that packets of
/// a busy connection on two processors do not fight for its cache line.
pub const DEADLINE_SLACK: u32 = 64;

/// Settings of the packet path: the one element of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Secret seed of the hash of requests.
    pub seed: [u64; 2],
    /// Secret seed of the hash of replies.
    pub reply_seed: [u64; 2],
    /// Buckets of the IPv4 table.
    pub buckets4: u32,
    /// Buckets of the IPv6 table.
    pub buckets6: u32,
    /// Idle timeouts in ticks, by the number of the state (see [`crate::state`]).
    pub timeouts: [u32; STATES],
    /// ICMP errors that one processor may send per [`ICMP_WINDOW`].
    pub icmp_limit: u32,
    /// New connections that one processor may make per [`SECOND`] before there is a flood; 0 for
    /// any number.
    pub flood_guard: u32,
    /// One in so many packets that would start a connection is dropped; 0 for none.
    pub drop_rate: u32,
    /// The bits below.
    pub flags: u32,
    /// Ports that a service may have beside the packet's own: [`ALL_PORTS`], [`FTP`].
    pub wide_services: u32,
    /// Ticks without a change after which a set of servers of lblcr loses one.
    pub lblcr_expiration: u32,
    /// Elements that each processor has in the arrays of traffic.
    pub row: u32,
    /// Version of this layout and of the others in this crate: [`LAYOUT`].
    pub layout: u32,
}

/// A bit of the flags: a NAT server's packet of no connection is answered by ICMP.
pub const NAT_ICMP_SEND: u32 = 1;
/// A bit of the flags: an ICMP error about no connection is scheduled like the packet it quotes.
pub const SCHEDULE_ICMP: u32 = 1 << 1;

/// A bit of the wide services: there is one that takes all ports.
pub const ALL_PORTS: u32 = 1;
/// A bit of the wide services: there is one of FTP's port, which takes data connections, too.
pub const FTP: u32 = 1 << 1;

/// Version of the maps' layouts. Pinned maps of another version are not adopted.
pub const LAYOUT: u32 = 4;

/// Ticks in a window of the ICMP limit (about a second).
pub const ICMP_WINDOW: u32 = 1 << 10;

/// Ticks in a window of the flood guard (about a second).
pub const SECOND: u32 = 1 << 10;

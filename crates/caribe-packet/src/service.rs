//! A virtual service as the packet path sees it.

use crate::least::Rule;

/// Key of an IPv4 service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct ServiceKey<A> {
    /// The VIP.
    pub address: A,
    /// The virtual port, network order.
    pub port: [u8; 2],
    /// IP protocol.
    pub protocol: u8,
    /// Zero.
    pub padding: u8,
}

/// Key of an IPv4 service, 8 bytes.
pub type ServiceKey4 = ServiceKey<[u8; 4]>;
/// Key of an IPv6 service, 20 bytes.
pub type ServiceKey6 = ServiceKey<[u8; 16]>;

const _: () = assert!(size_of::<ServiceKey4>() == 8);
const _: () = assert!(size_of::<ServiceKey6>() == 20);

/// How the kernel side picks a slot; user space lays the scheduler's own rules out as slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Choice {
    /// The next slot of a cycle: rr, wrr.
    Rotate = 0,
    /// The slot with the least load for its weight, by [`Rule::OVERHEAD`]: lc, wlc.
    Overhead = 1,
    /// By [`Rule::HIGHEST`]: fo.
    Highest = 2,
    /// By [`Rule::OVERFLOW`]: ovf.
    Overflow = 3,
    /// By [`Rule::SHORTEST_DELAY`]: sed.
    ShortestDelay = 4,
    /// By [`Rule::NEVER_QUEUE`]: nq.
    NeverQueue = 5,
    /// The less loaded of two that are drawn by weight: twos.
    TwoDrawn = 6,
    /// The slot of the packet's destination address: dh.
    DestinationHash = 7,
    /// The slot of the client's address: sh.
    SourceHash = 8,
    /// The slot of the client's address: mh.
    Maglev = 9,
    /// The server that is remembered for the packet's destination address, else by
    /// [`Rule::OVERHEAD`]: lblc.
    Locality = 10,
    /// The same with several servers for a destination: lblcr.
    Replicated = 11,
}

impl Choice {
    /// Every choice, at its number.
    pub const ALL: [Choice; 12] = [
        Choice::Rotate,
        Choice::Overhead,
        Choice::Highest,
        Choice::Overflow,
        Choice::ShortestDelay,
        Choice::NeverQueue,
        Choice::TwoDrawn,
        Choice::DestinationHash,
        Choice::SourceHash,
        Choice::Maglev,
        Choice::Locality,
        Choice::Replicated,
    ];

    /// The rule of a choice that scans all slots for the best.
    #[inline(always)]
    pub const fn rule(self) -> Option<Rule> {
        match self {
            Choice::Overhead => Some(Rule::OVERHEAD),
            Choice::Highest => Some(Rule::HIGHEST),
            Choice::Overflow => Some(Rule::OVERFLOW),
            Choice::ShortestDelay => Some(Rule::SHORTEST_DELAY),
            Choice::NeverQueue => Some(Rule::NEVER_QUEUE),
            Choice::Rotate
            | Choice::TwoDrawn
            | Choice::DestinationHash
            | Choice::SourceHash
            | Choice::Maglev
            | Choice::Locality
            | Choice::Replicated => None,
        }
    }
}

/// True for the number of a choice by which the same packet always gets the same server.
#[inline(always)]
pub const fn is_hash(choice: u8) -> bool {
    choice == Choice::DestinationHash as u8
        || choice == Choice::SourceHash as u8
        || choice == Choice::Maglev as u8
}

/// True for the number of a choice that remembers servers by destination.
#[inline(always)]
pub const fn remembers(choice: u8) -> bool {
    choice == Choice::Locality as u8 || choice == Choice::Replicated as u8
}

/// A service: one value of a hash map, so that a change replaces all of it at once and a packet
/// sees the old run of slots or the new one, never a mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Service {
    /// Index of the service, for its counters.
    pub id: u32,
    /// First slot of the run.
    pub base: u32,
    /// Slots in the run; 0 when no server can take a new connection.
    pub length: u32,
    /// Where the cycle of a rotation starts over; the slots before it are gone through once.
    pub cycle_start: u32,
    /// Index of the cursor of a rotation. A fresh run has a fresh cursor, at 0.
    pub cursor: u32,
    /// A number of [`Choice`].
    pub choice: u8,
    /// The director's number of the scheduler: the packet path does not read it, a director that
    /// adopts running maps does.
    pub scheduler: u8,
    /// The scheduler's flags 1 to 3 as IPVS numbers them, in the lowest bits: for a hash they are
    /// [`FALLBACK`](crate::hash::FALLBACK) and [`PORT`](crate::hash::PORT).
    pub flags: u8,
    /// Zero.
    pub padding: u8,
}

const _: () = assert!(size_of::<Service>() == 24);

/// A slot: a real server, with the weight that choices compare by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Slot {
    /// Index of the real server; 0 for an empty slot.
    pub server: u32,
    /// Weight; 0 only in the table of a hash, where a quiesced server keeps its slots. In a rotation
    /// it says how many slots further the next one of another server is.
    pub weight: u32,
}

/// Most servers in a row that a rotation passes over because they are overloaded: what every
/// supported kernel's verifier can follow.
pub const MOST_TURNS: u32 = 1024;

/// The slot of a rotation at a count of picks.
#[inline(always)]
pub const fn rotate(length: u32, cycle_start: u32, picks: u64) -> u32 {
    let (length, start) = (length as u64, cycle_start as u64);
    if picks < length {
        return picks as u32;
    }
    if start >= length {
        return 0;
    }
    (start + (picks - start) % (length - start)) as u32
}

/// The slot of a rotation that is a turn further than another one. A turn is no longer than the
/// cycle.
#[inline(always)]
pub const fn further(length: u32, cycle_start: u32, at: u32, turn: u32) -> u32 {
    let (next, length) = (at as u64 + turn as u64, length as u64);
    // 1 beyond the end: no branch, since this stands in a loop that the verifier follows.
    let is_over = (length.wrapping_sub(1).wrapping_sub(next)) >> 63;
    let cycle = length.saturating_sub(cycle_start as u64);
    (next - is_over * cycle) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_further_is_rotating_on() {
        for (length, start) in [(1, 0), (5, 0), (7, 3), (7, 6)] {
            for picks in 0..30 {
                for turn in 1..=length - start {
                    assert_eq!(
                        further(length, start, rotate(length, start, picks), turn),
                        rotate(length, start, picks + turn as u64),
                        "{picks} picks and {turn} in {length} from {start}"
                    );
                }
            }
        }
    }
}

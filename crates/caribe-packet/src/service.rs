//! A virtual service as the packet path sees it.

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
    /// The slot with the least load for its weight, the first of equals: lc, wlc.
    Least = 1,
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
    /// Zero.
    pub padding: [u8; 2],
}

const _: () = assert!(size_of::<Service>() == 24);

/// A slot: a real server, with the weight that *least* compares by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Slot {
    /// Index of the real server.
    pub server: u32,
    /// Weight, at least 1.
    pub weight: u32,
}

/// Most slots that *least* looks at: what every supported kernel's verifier can follow.
pub const MOST_LEAST_SLOTS: u32 = 1024;

/// The slot of a rotation at a count of picks.
#[inline(always)]
pub const fn rotate(service: &Service, picks: u64) -> u32 {
    let (length, start) = (service.length as u64, service.cycle_start as u64);
    if picks < length {
        return picks as u32;
    }
    if start >= length {
        return 0;
    }
    (start + (picks - start) % (length - start)) as u32
}

/// True when a candidate is less loaded for its weight than the best so far. Strict, so that of
/// equals the earlier one stays: the newest server.
#[inline(always)]
pub const fn is_less_loaded(
    (best_overhead, best_weight): (u64, u32),
    (overhead, weight): (u64, u32),
) -> bool {
    best_overhead.wrapping_mul(weight as u64) > overhead.wrapping_mul(best_weight as u64)
}

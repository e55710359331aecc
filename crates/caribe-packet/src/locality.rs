//! lblc and lblcr: which servers a service remembers for a destination address.
//!
//! lblc remembers one server for a destination, lblcr a set of them. A remembered server is asked
//! first; only if it has more active connections than weight, while another one has room to spare,
//! is the choice wlc's.

use crate::least::{Candidate, Rule};
use crate::server::Load;

/// What a service remembers servers for: the address that a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct DestinationKey {
    /// The address; IPv4 in the first four bytes. A service has one family.
    pub address: [u8; 16],
    /// Id of the service.
    pub service: u32,
}

const _: () = assert!(size_of::<DestinationKey>() == 20);

/// Most servers that are remembered for a destination. IPVS's lblcr knows no bound.
pub const MOST_MEMBERS: usize = 14;

/// Destinations for which servers are remembered, over all services. The one that was not asked
/// for the longest makes room.
pub const DESTINATIONS: u32 = 1 << 15;

/// The servers of a destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Destination {
    /// When a packet last asked for it, in ticks.
    pub last_use: u32,
    /// When a server last joined or left the set, in ticks.
    pub last_change: u32,
    /// Indexes of the servers, the last to join first; then zeros.
    pub members: [u32; MOST_MEMBERS],
}

const _: () = assert!(size_of::<Destination>() == 64);

impl Destination {
    /// A destination with one server.
    #[inline(always)]
    pub const fn new(server: u32, now: u32) -> Self {
        let mut members = [0; MOST_MEMBERS];
        members[0] = server;
        Destination {
            last_use: now,
            last_change: now,
            members,
        }
    }

    /// True when there is more than one server.
    #[inline(always)]
    pub const fn has_several(&self) -> bool {
        self.members[1] != 0
    }

    /// True when there is room for no more.
    #[inline(always)]
    pub const fn is_full(&self) -> bool {
        self.members[MOST_MEMBERS - 1] != 0
    }

    /// True when the set has several servers and did not change for longer than this many ticks:
    /// then its most loaded server leaves.
    #[inline(always)]
    pub const fn is_settled(&self, now: u32, expiration: u32) -> bool {
        self.has_several() && now.wrapping_sub(self.last_change) > expiration
    }

    /// The place of a server; [`MOST_MEMBERS`] if it is not there. It ends where it finds it: a
    /// loop that goes on with what it found would multiply the paths that the verifier follows.
    #[inline(always)]
    pub const fn place(&self, server: u32) -> usize {
        let mut at = 0;
        while at < MOST_MEMBERS {
            if self.members[at] == server {
                return at;
            }
            at += 1;
        }
        MOST_MEMBERS
    }

    /// Makes a server the first of the set. In a full one the last drops out, so somebody is to
    /// be removed before.
    #[inline(always)]
    pub const fn add(&mut self, server: u32, now: u32) {
        let mut at = MOST_MEMBERS - 1;
        while at > 0 {
            self.members[at] = self.members[at - 1];
            at -= 1;
        }
        self.members[0] = server;
        self.last_change = now;
    }

    /// Takes out the server at a place.
    #[inline(always)]
    pub const fn remove(&mut self, place: usize, now: u32) {
        let mut at = 0;
        while at + 1 < MOST_MEMBERS {
            if at >= place {
                self.members[at] = self.members[at + 1];
            }
            at += 1;
        }
        self.members[MOST_MEMBERS - 1] = 0;
        self.last_change = now;
    }
}

/// True when a server has more active connections than weight.
#[inline(always)]
pub const fn is_crowded(load: Load, weight: u32) -> bool {
    load.active() > weight
}

/// 1 for a server that could take twice the active connections that it has, else 0: then nobody
/// needs to stay with one that [is crowded](is_crowded). No branch, since it stands in a loop.
#[inline(always)]
pub const fn has_room_to_spare(load: Load, weight: u32) -> u64 {
    (load.active() as u64 * 2).wrapping_sub(weight as u64) >> 63
}

/// True when a member with this load and weight is more loaded than the most loaded so far, whom
/// `most` says; those without weight are left alone.
#[inline(always)]
pub const fn is_more_loaded(load: Load, weight: u32, most: Candidate) -> bool {
    if weight == 0 {
        return false;
    }
    // Whoever is the first with a weight is the most loaded so far.
    most.weight == 0
        || most.cost.wrapping_mul(weight as u64) < load.overhead().wrapping_mul(most.weight)
}

/// What a member is compared as, overloaded or not.
#[inline(always)]
pub const fn burden(load: Load, weight: u32) -> Candidate {
    Rule::OVERHEAD.candidate(Load(load.0 & !Load::OVERLOADED), weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn load(active: u32, inactive: u32) -> Load {
        Load((active as u64) << 32 | inactive as u64)
    }

    fn members(destination: &Destination) -> Vec<u32> {
        let set = destination.members.iter().copied();
        set.take_while(|member| *member != 0).collect()
    }

    #[test]
    fn the_newest_member_is_the_first() {
        let mut set = Destination::new(5, 100);
        assert!(!set.has_several() && !set.is_full());
        set.add(6, 200);
        set.add(7, 300);
        assert_eq!(members(&set), [7, 6, 5]);
        assert_eq!((set.last_use, set.last_change), (100, 300));
        assert!(set.has_several());
        assert_eq!([5, 7, 8].map(|it| set.place(it)), [2, 0, MOST_MEMBERS]);
    }

    #[test]
    fn who_leaves_leaves_no_gap() {
        for (place, leaving) in [7, 6, 5].into_iter().enumerate() {
            let mut set = Destination::new(5, 1);
            set.add(6, 1);
            set.add(7, 1);
            set.remove(place, 2);
            let expected: Vec<u32> = [7, 6, 5].into_iter().filter(|it| *it != leaving).collect();
            assert_eq!(members(&set), expected);
            assert_eq!(set.last_change, 2);
        }
    }

    #[test]
    fn a_full_set_loses_its_oldest() {
        let mut set = Destination::new(1, 0);
        for server in 2..=MOST_MEMBERS as u32 {
            assert!(!set.is_full());
            set.add(server, 0);
        }
        assert!(set.is_full());
        set.add(99, 0);
        assert_eq!(members(&set).len(), MOST_MEMBERS);
        assert_eq!([99, 2].map(|it| set.place(it)), [0, MOST_MEMBERS - 1]);
        assert_eq!(set.place(1), MOST_MEMBERS);
    }

    #[test]
    fn a_set_is_settled_after_its_time_across_the_end_of_the_clock() {
        let mut set = Destination::new(1, u32::MAX - 10);
        assert!(!set.is_settled(1000, 5), "one server cannot leave");
        set.add(2, u32::MAX - 10);
        assert!(!set.is_settled(89, 100));
        assert!(set.is_settled(90, 100));
    }

    #[test]
    fn crowded_and_with_room_to_spare() {
        assert!(!is_crowded(load(2, 9), 2));
        assert!(is_crowded(load(3, 0), 2));
        assert_eq!(has_room_to_spare(load(1, 99), 3), 1);
        assert_eq!(has_room_to_spare(load(1, 0), 2), 0);
        assert_eq!(has_room_to_spare(load(0, 0), 0), 0);
        let overloaded = Load(Load::OVERLOADED | load(1, 0).0);
        assert_eq!(has_room_to_spare(overloaded, 3), 1, "IPVS does not ask");
    }

    #[test]
    fn the_first_of_the_most_loaded_leaves() {
        let nobody = Candidate { cost: 0, weight: 0 };
        assert!(is_more_loaded(load(0, 0), 1, nobody));
        assert!(!is_more_loaded(load(9, 0), 0, nobody));
        let most = burden(load(2, 0), 2);
        assert!(!is_more_loaded(load(1, 0), 1, most));
        assert!(is_more_loaded(load(1, 1), 1, most));
        assert!(!is_more_loaded(load(9, 0), 0, most));
        let overloaded = burden(Load(Load::OVERLOADED | load(2, 0).0), 2);
        assert_eq!(overloaded, most);
    }
}

//! What lblc and lblcr remember, grown old: pure code.
//!
//! IPVS looks at the destinations of each service once a minute. As a rule it only looks whether
//! there are too many, and then forgets some that have been idle for six minutes, going round its
//! hash table. Every thirtieth time it forgets all that nobody asked for during
//! `lblc_expiration` or `lblcr_expiration`.

use std::collections::BTreeMap;

use caribe_packet::locality::{Destination, DestinationKey, MOST_MEMBERS};
use caribe_packet::settings::ticks_of_seconds;

/// Seconds between two looks at a service's destinations.
const PERIOD: u32 = 60;
/// The look of so many that is at all destinations.
const FULL: u32 = 30;
/// Destinations of a service from which on some are forgotten early.
const MANY: usize = 16 * 1024;
/// Seconds for which a destination is idle that may be forgotten early.
const IDLE: u32 = 360;
/// Buckets of IPVS's hash table, in whose order destinations are forgotten early.
const BUCKETS: u32 = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 10;

/// When the destinations of services were looked at.
#[derive(Debug, Default)]
pub(crate) struct Housekeeping {
    /// By id of the service.
    services: BTreeMap<u32, Rounds>,
}

/// The looks at one service's destinations.
#[derive(Debug)]
struct Rounds {
    /// When the last was, in ticks; at first, when the service was first seen.
    last: u32,
    /// Which the next one is; the one that is a multiple of [`FULL`] is at all destinations.
    next: u32,
    /// The bucket at which the last search for idle ones ended.
    rover: u32,
}

/// A destination as it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which.
    pub(crate) key: DestinationKey,
    /// When a packet last asked for it, in ticks.
    pub(crate) last_use: u32,
    /// What IPVS hashes of its address.
    pub(crate) folded: u32,
}

impl Housekeeping {
    /// Begins with services that are new and forgets those that are gone; true when the
    /// destinations of one are to be looked at now.
    pub(crate) fn is_due(&mut self, services: &BTreeMap<u32, u32>, now: u32) -> bool {
        self.services.retain(|id, _| services.contains_key(id));
        for id in services.keys() {
            self.services.entry(*id).or_insert(Rounds {
                last: now,
                next: 1,
                rover: 0,
            });
        }
        self.services.values().any(|rounds| rounds.is_due(now))
    }

    /// The destinations whose time is over, of all that there are. `services` says by id after how
    /// many seconds that is.
    pub(crate) fn over(
        &mut self,
        services: &BTreeMap<u32, u32>,
        seen: &[Seen],
        now: u32,
    ) -> Vec<DestinationKey> {
        let mut over = Vec::new();
        for (id, rounds) in &mut self.services {
            let Some(expiration) = services.get(id).filter(|_| rounds.is_due(now)) else {
                continue;
            };
            let own: Vec<&Seen> = seen.iter().filter(|one| one.key.service == *id).collect();
            over.extend(rounds.look(&own, ticks_of_seconds(*expiration), now));
        }
        over
    }
}

impl Rounds {
    fn is_due(&self, now: u32) -> bool {
        now.wrapping_sub(self.last) >= ticks_of_seconds(PERIOD)
    }

    fn look(&mut self, seen: &[&Seen], expiration: u32, now: u32) -> Vec<DestinationKey> {
        self.last = now;
        let idle_for = |ticks: u32| move |one: &Seen| now.wrapping_sub(one.last_use) >= ticks;
        if self.next.is_multiple_of(FULL) {
            self.next = 1;
            let is_over = idle_for(expiration);
            let over = seen.iter().filter(|one| is_over(one));
            return over.map(|one| one.key).collect();
        }
        if seen.len() <= MANY {
            self.next += 1;
            return Vec::new();
        }
        let goal = ((seen.len() - MANY) * 4 / 3).min(MANY / 2);
        let is_idle = idle_for(ticks_of_seconds(IDLE));
        let mut idle: BTreeMap<u32, Vec<DestinationKey>> = BTreeMap::new();
        for one in seen.iter().filter(|one| is_idle(one)) {
            idle.entry(bucket(one.folded)).or_default().push(one.key);
        }
        let mut over = Vec::new();
        for _ in 0..BUCKETS {
            self.rover = (self.rover + 1) % BUCKETS;
            over.extend(idle.remove(&self.rover).unwrap_or_default());
            if over.len() >= goal {
                break;
            }
        }
        over
    }
}

/// The bucket of IPVS's hash table.
fn bucket(folded: u32) -> u32 {
    folded.wrapping_mul(0x61c8_8647) >> (32 - BUCKET_BITS)
}

/// A destination without the servers whose index is given to others; `None` when nobody is left,
/// the same when nothing changes.
pub(crate) fn without(
    mut destination: Destination,
    is_gone: impl Fn(u32) -> bool,
    now: u32,
) -> Option<Destination> {
    // From the last: what comes before keeps its place.
    for at in (0..MOST_MEMBERS).rev() {
        let member = destination.members[at];
        if member != 0 && is_gone(member) {
            destination.remove(at, now);
        }
    }
    (destination.members[0] != 0).then_some(destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u32 = ticks_of_seconds(PERIOD);
    const DAY: u32 = 86_400;

    fn seen(service: u32, address: u32, last_use: u32) -> Seen {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&address.to_be_bytes());
        Seen {
            key: DestinationKey {
                address: bytes,
                service,
            },
            last_use,
            folded: address,
        }
    }

    /// Minutes from `start` in which a look is at all destinations.
    fn full_looks(start: u32, expiration: u32, one: Seen, minutes: u32) -> Vec<u32> {
        let services = BTreeMap::from([(one.key.service, expiration)]);
        let mut keeping = Housekeeping::default();
        assert!(!keeping.is_due(&services, start));
        let minute = |minute: u32| start.wrapping_add(minute * MINUTE);
        let looks = (1..=minutes).filter(|at| {
            assert!(!keeping.is_due(&services, minute(*at) - 1));
            assert!(keeping.is_due(&services, minute(*at)));
            !keeping.over(&services, &[one], minute(*at)).is_empty()
        });
        looks.collect()
    }

    #[test]
    fn every_thirtieth_look_is_at_all() {
        let start = u32::MAX - 40 * MINUTE; // The clock wraps around meanwhile.
        let one = seen(7, 1, start);
        assert_eq!(full_looks(start, 60, one, 95), [30, 60, 90]);
    }

    #[test]
    fn a_day_is_a_day() {
        let one = seen(7, 1, 1000);
        // Half an hour after a day has passed, at the latest. A minute of ticks is longer by less
        // than a tick, which adds up to more than one in a day.
        assert_eq!(full_looks(1000, DAY, one, 24 * 60), [24 * 60]);
        let later = seen(7, 1, 10_000);
        assert_eq!(full_looks(1000, DAY, later, 24 * 60 + 30), [24 * 60 + 30]);
    }

    #[test]
    fn too_many_are_thinned_by_a_third_more_than_there_are_too_many() {
        let services = BTreeMap::from([(7, DAY), (8, DAY)]);
        let mut keeping = Housekeeping::default();
        assert!(!keeping.is_due(&services, 0));
        let now = 7 * MINUTE;
        let excess = 3000;
        let of7 = (0..MANY as u32 + excess).map(|address| seen(7, address.wrapping_mul(977), 0));
        let all: Vec<Seen> = of7.chain([seen(8, 5, 0)]).collect();
        assert!(keeping.is_due(&services, now));
        let over = keeping.over(&services, &all, now);
        let goal = excess as usize * 4 / 3;
        // A bucket is gone through to its end.
        assert!((goal..goal + 100).contains(&over.len()), "{}", over.len());
        assert!(over.iter().all(|key| key.service == 7));
        // The next search goes on behind the last bucket.
        let rover = keeping.services[&7].rover;
        assert!(rover > 0);
        let again = keeping.over(&services, &all, now + MINUTE);
        let both: std::collections::BTreeSet<_> = over.iter().chain(&again).collect();
        assert_eq!(both.len(), over.len() + again.len());
    }

    #[test]
    fn who_is_not_idle_stays_however_many_there_are() {
        let services = BTreeMap::from([(7, DAY)]);
        let mut keeping = Housekeeping::default();
        assert!(!keeping.is_due(&services, 0));
        let busy = ticks_of_seconds(IDLE) - 1;
        let all: Vec<Seen> = (0..3 * MANY as u32).map(|it| seen(7, it, 0)).collect();
        assert_eq!(keeping.over(&services, &all, busy), []);
        let over = keeping.over(&services, &all, busy + MINUTE);
        assert!(over.len() >= MANY / 2 && over.len() < MANY / 2 + 200);
    }

    #[test]
    fn servers_whose_index_is_given_away_are_forgotten() {
        let mut destination = Destination::new(1, 0);
        destination.add(2, 0);
        destination.add(3, 0);
        let left = without(destination, |server| server == 2, 9).expect("two are left");
        assert_eq!(left.members[..3], [3, 1, 0]);
        assert_eq!(without(destination, |_| false, 9), Some(destination));
        assert_eq!(without(destination, |_| true, 9), None);
    }
}

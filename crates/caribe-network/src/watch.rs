//! When to look again, and when to believe that an address is lost: the watcher's judgement,
//! without sockets or clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use caribe_model::NextHop;

use crate::{Change, Way};

/// How long changes are gathered before looking: they come in bursts.
const GATHER: Duration = Duration::from_millis(20);
/// How often a known way is looked at again, which also has a stale neighbour confirmed.
const CONFIRM: Duration = Duration::from_secs(3);
/// How often a way that is not known is looked at.
const RETRY: Duration = Duration::from_secs(1);
/// How long the last way is kept while its neighbour does not answer. The kernel itself has
/// probed a known neighbour for about 3 s before it comes to this.
const GRACE: Duration = Duration::from_secs(3);

/// What happens to a watch.
#[derive(Debug)]
pub(crate) enum Event {
    /// The set of watched addresses is replaced.
    Wanted(BTreeSet<IpAddr>),
    /// Something changed in the network.
    Changed(Change),
    /// The answer to [`Effect::Look`].
    Seen(IpAddr, Way),
    /// The time of [`Watch::due`] has come.
    Due,
}

/// What a watch wants done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Look up the way to the address, and report it as [`Event::Seen`].
    Look(IpAddr),
    /// Tell the listener the new next hop.
    Tell(IpAddr, Option<NextHop>),
}

/// The state of all watched addresses.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    entries: BTreeMap<IpAddr, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// What the listener believes.
    told: Option<NextHop>,
    /// The neighbour that the way leads through; changes of other neighbours do not matter.
    neighbour: Option<IpAddr>,
    /// Since when the neighbour has not been known, while the last way is still kept.
    lost_since: Option<Instant>,
    /// When to look again.
    look_at: Instant,
}

impl Watch {
    /// Advances the watch.
    pub(crate) fn handle(&mut self, event: Event, now: Instant) -> VecDeque<Effect> {
        match event {
            Event::Wanted(addresses) => {
                self.replace(&addresses, now);
                self.look(now)
            }
            Event::Changed(change) => {
                self.note(&change, now);
                VecDeque::new()
            }
            Event::Seen(address, way) => self.see(address, &way, now).into_iter().collect(),
            Event::Due => self.look(now),
        }
    }

    /// When [`Event::Due`] should come; `None` when nothing is watched.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.entries.values().map(|entry| entry.look_at).min()
    }

    fn replace(&mut self, addresses: &BTreeSet<IpAddr>, now: Instant) {
        self.entries
            .retain(|address, _| addresses.contains(address));
        for address in addresses {
            self.entries.entry(*address).or_insert(Entry {
                told: None,
                neighbour: None,
                lost_since: None,
                look_at: now,
            });
        }
    }

    fn note(&mut self, change: &Change, now: Instant) {
        for (address, entry) in &mut self.entries {
            let concerns = match change {
                Change::Neighbour {
                    address: Some(neighbour),
                } => entry.neighbour.unwrap_or(*address) == *neighbour,
                Change::Neighbour { address: None }
                | Change::Link { .. }
                | Change::Address
                | Change::Route
                | Change::Lost => true,
            };
            if concerns {
                entry.look_at = entry.look_at.min(now + GATHER);
            }
        }
    }

    fn look(&mut self, now: Instant) -> VecDeque<Effect> {
        let mut effects = VecDeque::new();
        for (address, entry) in &mut self.entries {
            if entry.look_at <= now {
                // Holds also when the look fails; what is seen sets it anew.
                entry.look_at = now + RETRY;
                effects.push_back(Effect::Look(*address));
            }
        }
        effects
    }

    fn see(&mut self, address: IpAddr, way: &Way, now: Instant) -> Option<Effect> {
        // It may have left the set while it was looked up.
        let entry = self.entries.get_mut(&address)?;
        let believed = match way {
            Way::Resolved {
                next_hop,
                neighbour,
            } => {
                entry.neighbour = Some(*neighbour);
                entry.lost_since = None;
                entry.look_at = now + CONFIRM;
                Some(*next_hop)
            }
            Way::Pending { neighbour, .. } => {
                entry.neighbour = Some(*neighbour);
                entry.look_at = now + RETRY;
                let since = *entry.lost_since.get_or_insert(now);
                entry.told.filter(|_| now < since + GRACE)
            }
            Way::None(_) => {
                entry.neighbour = None;
                entry.lost_since = None;
                entry.look_at = now + RETRY;
                None
            }
        };
        if believed == entry.told {
            return None;
        }
        entry.told = believed;
        Some(Effect::Tell(address, believed))
    }
}

#[cfg(test)]
mod tests {
    use caribe_model::MacAddress;

    use super::*;
    use crate::NoWay;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn hop(mac: u8) -> NextHop {
        NextHop {
            interface: 2,
            source_mac: MacAddress([2, 0, 0, 0, 0, 1]),
            destination_mac: MacAddress([2, 0, 0, 0, 0, mac]),
            source_address: ip(1),
            mtu: 1500,
        }
    }

    fn resolved(mac: u8, neighbour: u8) -> Way {
        Way::Resolved {
            next_hop: hop(mac),
            neighbour: ip(neighbour),
        }
    }

    fn pending(neighbour: u8) -> Way {
        Way::Pending {
            neighbour: ip(neighbour),
            failed: true,
        }
    }

    /// A watch of one resolved address, and the time.
    fn watching() -> (Watch, Instant) {
        #[expect(clippy::disallowed_methods, reason = "an origin for simulated time")]
        let now = Instant::now();
        let mut watch = Watch::default();
        let effects = watch.handle(Event::Wanted(BTreeSet::from([ip(9)])), now);
        assert_eq!(effects, [Effect::Look(ip(9))]);
        let effects = watch.handle(Event::Seen(ip(9), resolved(9, 9)), now);
        assert_eq!(effects, [Effect::Tell(ip(9), Some(hop(9)))]);
        (watch, now)
    }

    #[test]
    fn what_is_known_is_told_once() {
        let (mut watch, now) = watching();
        assert_eq!(watch.handle(Event::Seen(ip(9), resolved(9, 9)), now), []);
        let effects = watch.handle(Event::Seen(ip(9), resolved(8, 9)), now);
        assert_eq!(effects, [Effect::Tell(ip(9), Some(hop(8)))]);
    }

    #[test]
    fn a_silent_neighbour_is_kept_for_the_grace_and_then_lost_once() {
        let (mut watch, start) = watching();
        for (after, told) in [
            (0, None),
            (1, None),
            (2, None),
            (3, Some(Effect::Tell(ip(9), None))),
            (4, None),
        ] {
            let now = start + Duration::from_secs(after);
            let effects = watch.handle(Event::Seen(ip(9), pending(9)), now);
            assert_eq!(effects.into_iter().next(), told, "after {after} s");
        }
    }

    #[test]
    fn an_answer_within_the_grace_is_as_if_nothing_had_been() {
        let (mut watch, start) = watching();
        assert_eq!(watch.handle(Event::Seen(ip(9), pending(9)), start), []);
        let later = start + Duration::from_secs(2);
        assert_eq!(watch.handle(Event::Seen(ip(9), resolved(9, 9)), later), []);
        // The grace starts anew.
        let later = start + Duration::from_secs(4);
        assert_eq!(watch.handle(Event::Seen(ip(9), pending(9)), later), []);
    }

    #[test]
    fn a_route_that_goes_is_told_at_once() {
        let (mut watch, now) = watching();
        let effects = watch.handle(Event::Seen(ip(9), Way::None(NoWay::Local)), now);
        assert_eq!(effects, [Effect::Tell(ip(9), None)]);
    }

    #[test]
    fn changes_are_gathered_and_only_those_of_the_neighbour_count() {
        let (mut watch, now) = watching();
        watch.handle(Event::Seen(ip(9), resolved(9, 254)), now);
        let quiet = now + CONFIRM;
        for other in [7, 9] {
            let address = Some(ip(other));
            watch.handle(Event::Changed(Change::Neighbour { address }), now);
            assert_eq!(watch.due(), Some(quiet), "{other} is not its neighbour");
        }
        let address = Some(ip(254));
        watch.handle(Event::Changed(Change::Neighbour { address }), now);
        assert_eq!(watch.due(), Some(now + GATHER));
        watch.handle(Event::Changed(Change::Route), now + GATHER / 2);
        assert_eq!(
            watch.due(),
            Some(now + GATHER),
            "a burst does not put it off"
        );
        assert_eq!(watch.handle(Event::Due, now + GATHER / 2), []);
        let effects = watch.handle(Event::Due, now + GATHER);
        assert_eq!(effects, [Effect::Look(ip(9))]);
    }

    #[test]
    fn a_known_way_is_confirmed_and_an_unknown_one_retried() {
        let (mut watch, now) = watching();
        assert_eq!(watch.due(), Some(now + CONFIRM));
        watch.handle(Event::Seen(ip(9), pending(9)), now);
        assert_eq!(watch.due(), Some(now + RETRY));
    }

    #[test]
    fn an_address_that_left_is_not_told_of() {
        let (mut watch, now) = watching();
        assert_eq!(watch.handle(Event::Wanted(BTreeSet::new()), now), []);
        assert_eq!(watch.due(), None);
        assert_eq!(watch.handle(Event::Seen(ip(9), resolved(8, 9)), now), []);
    }
}

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

//! What the packet path leaves to the director: expired connections are removed, words of the
//! reply index that lead nowhere are cleared, counters of connections are compared with the
//! connections themselves, and removed servers that no connection refers to are forgotten.
//!
//! All this happens while packets flow. What a sweep sees may therefore be half of something; a
//! suspicion that is not certain at once must be seen again, unchanged, half a second later.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::atomic::Ordering;

use caribe_packet::connection::{INACTIVE, TEMPLATE, TEMPLATE_ASSURED};
use caribe_packet::server::{Bounds, Load, Server};
use caribe_packet::settings::{SECOND, Settings, ticks_of_seconds};
use caribe_packet::state::is_embryonic;
use caribe_packet::table::WAYS;
use caribe_packet::tcp_state::State;

use super::XdpDataplane;
use super::connection_table::{ConnectionTable, Family, Occupied};
use super::tuning::is_in_effect;
use crate::mapped::MappedArray;
use crate::{DataplaneError, Swept};

/// Ticks for which a suspicion must last.
const SUSPICION: u32 = 400;

/// Sweeps in which the whole reply index is looked at once.
const PARTS: u32 = 16;

/// Sweeps in a row in which a counter must be wrong by the same amount before it is corrected.
const PERSISTENT: u32 = 3;

/// Seconds by which a template is kept on that is over and still has connections.
const EXTENSION: u32 = 60;

/// What sweeps remember of each other.
#[derive(Debug, Default)]
pub(super) struct Audit {
    of4: Suspects,
    of6: Suspects,
    /// By how much a server's counters were wrong, and in how many sweeps in a row.
    drift: BTreeMap<u32, (u64, u32)>,
    /// The part of the reply index that is next.
    part: u32,
    /// The bucket up to which `drop_entry` came, and when.
    thinned_to: u32,
    thinned_until: u32,
}

/// What looks wrong in a table, since when.
#[derive(Debug, Default)]
struct Suspects {
    /// Slots that are neither free nor alive: slot to word of life and tick.
    stuck: HashMap<u32, (u64, u32)>,
    /// Words of the reply index that lead nowhere: bucket and way to word and tick.
    stale: HashMap<(u32, usize), (u64, u32)>,
}

/// What a walk over the tables counts.
struct Tally {
    /// [`Load`] by server.
    loads: Vec<u64>,
    /// Templates by server.
    templates: BTreeMap<u32, u32>,
    swept: Swept,
}

/// One sweep.
struct Sweep<'a> {
    settings: &'a Settings,
    loads: &'a MappedArray<u64>,
    bounds: &'a MappedArray<u64>,
    /// Removed servers whose connections are to be ended.
    doomed: &'a BTreeSet<u32>,
    /// The part of the reply index that it looks at.
    part: u32,
    /// Buckets of which connections that never got far are dropped, in defence.
    thinned: Range<u32>,
    now: u32,
}

impl XdpDataplane {
    /// One sweep.
    pub(super) fn sweep_tables(&mut self) -> Result<Swept, DataplaneError> {
        let now = super::now()?;
        self.follow_interfaces();
        self.live.end_grace(now);
        let settings = self.maps.settings.read(0);
        let mut tally = Tally {
            loads: vec![0; self.maps.loads.len() as usize],
            templates: BTreeMap::new(),
            swept: Swept::default(),
        };
        let doomed = self.live.trash.iter();
        let doomed = doomed
            .filter(|(_, discarded)| discarded.is_doomed)
            .map(|(index, _)| *index)
            .collect();
        let sweep = Sweep {
            settings: &settings,
            loads: &self.maps.loads,
            bounds: &self.maps.bounds,
            doomed: &doomed,
            part: self.audit.part,
            thinned: self.audit.thinned(
                is_in_effect(self.tuning.drop_entry, self.alive, self.capacity()),
                self.maps.sizes.buckets,
                now,
            ),
            now,
        };
        self.audit.part = (self.audit.part + 1) % PARTS;
        sweep.of(&self.maps.connections4, &mut self.audit.of4, &mut tally);
        sweep.of(&self.maps.connections6, &mut self.audit.of6, &mut tally);
        self.correct_drift(&tally);
        self.empty_trash(&tally, now)?;
        self.alive = tally.swept.alive;
        self.persistent = tally.templates;
        self.put_tuning();
        self.tidy_destinations(now)?;
        Ok(tally.swept)
    }

    /// Corrects counters that have been wrong by the same amount for some sweeps: those that a
    /// director left wrong which was killed between two writes. Amounts that vary are merely
    /// packets that came while we counted.
    fn correct_drift(&mut self, tally: &Tally) {
        let mut drift = BTreeMap::new();
        for (server, counted) in (0..).zip(&tally.loads) {
            let load = self.maps.loads.word(server);
            let wrong = counted.wrapping_sub(load.load(Ordering::Acquire) & !Load::OVERLOADED);
            if wrong == 0 {
                continue;
            }
            let times = match self.audit.drift.get(&server) {
                Some((before, times)) if *before == wrong => times + 1,
                _ => 1,
            };
            if times < PERSISTENT {
                drift.insert(server, (wrong, times));
                continue;
            }
            load.fetch_add(wrong, Ordering::AcqRel);
            tracing::info!(server, "corrected the number of connections");
        }
        self.audit.drift = drift;
    }

    /// Compares all counters with the connections, at once: for the start.
    pub(super) fn recount(&mut self) {
        let differences = |dataplane: &XdpDataplane| -> Vec<u64> {
            let loads = &dataplane.maps.loads;
            let mut counted = vec![0; loads.len() as usize];
            count(&dataplane.maps.connections4, &mut counted);
            count(&dataplane.maps.connections6, &mut counted);
            let wrong = (0..).zip(counted).map(|(server, counted): (u32, u64)| {
                counted.wrapping_sub(loads.word(server).load(Ordering::Acquire) & !Load::OVERLOADED)
            });
            wrong.collect()
        };
        let (first, second) = (differences(self), differences(self));
        for (server, (first, second)) in (0..).zip(first.into_iter().zip(second)) {
            if first == second && first != 0 {
                self.maps
                    .loads
                    .word(server)
                    .fetch_add(first, Ordering::AcqRel);
                tracing::info!(server, "corrected the number of connections");
            }
        }
    }

    fn empty_trash(&mut self, tally: &Tally, now: u32) -> Result<(), DataplaneError> {
        let loads = &self.maps.loads;
        let referenced = |index: u32| {
            tally
                .loads
                .get(index as usize)
                .is_some_and(|load| *load != 0)
                || tally.templates.contains_key(&index)
                || loads.word(index).load(Ordering::Acquire) & !Load::OVERLOADED != 0
        };
        for index in self.live.empty_trash(&referenced, now) {
            let service = self
                .live
                .trash
                .get(&index)
                .and_then(|discarded| discarded.service);
            let service = service.and_then(|key| Some(self.live.services.get(&key)?.id));
            self.close_traffic(index, service);
            self.maps.servers.write(index, &Server::default());
            self.maps.roster.write(index, &0);
            self.maps.bounds.write(index, &0);
            self.live.forget(index);
        }
        Ok(())
    }
}

/// Counts the living connections by server.
fn count<F: Family>(table: &ConnectionTable<F>, loads: &mut [u64]) {
    let connections = table
        .occupied()
        .filter(|occupied| occupied.meta.is_alive() && occupied.meta.flags() & TEMPLATE == 0);
    for occupied in connections {
        let server = F::server(&table.slots.read(occupied.slot));
        if let Some(load) = loads.get_mut(server as usize) {
            *load += Load::one(occupied.meta.flags() & INACTIVE != 0);
        }
    }
}

impl Audit {
    /// The buckets of which connections are dropped by `drop_entry`, while that is in effect: a
    /// 32nd of the table in a second.
    fn thinned(&mut self, in_effect: bool, buckets: u32, now: u32) -> Range<u32> {
        let since = std::mem::replace(&mut self.thinned_until, now);
        if !in_effect {
            return 0..0;
        }
        let elapsed = now.wrapping_sub(since).min(SECOND);
        let count = (u64::from(buckets) * u64::from(elapsed)).div_ceil(u64::from(SECOND) * 32);
        let start = if self.thinned_to >= buckets {
            0
        } else {
            self.thinned_to
        };
        // A 32nd of a u32 at most.
        let end = start.saturating_add(count as u32).min(buckets);
        self.thinned_to = end;
        start..end
    }
}

impl Sweep<'_> {
    /// Sweeps the table of one address family.
    fn of<F: Family>(
        &self,
        table: &ConnectionTable<F>,
        suspects: &mut Suspects,
        tally: &mut Tally,
    ) {
        let stuck_before = std::mem::take(&mut suspects.stuck);
        // Templates that have connections.
        let mut controlling = HashSet::new();
        let mut templates = Vec::new();
        for seen in table.occupied() {
            if seen.meta.is_alive() {
                let slot = table.slots.read(seen.slot);
                let server = F::server(&slot);
                if self.doomed.contains(&server) {
                    self.remove(table, &seen, tally);
                } else if seen.meta.flags() & TEMPLATE != 0 {
                    templates.push((seen, table.control_of(seen.slot, &slot, self.settings)));
                } else if seen.meta.is_expired(self.now) || self.is_thinned(&seen) {
                    self.remove(table, &seen, tally);
                } else {
                    tally.swept.alive += 1;
                    let inactive = seen.meta.flags() & INACTIVE != 0;
                    if let Some(load) = tally.loads.get_mut(server as usize) {
                        *load += Load::one(inactive);
                    }
                    if F::control(&slot).is_some() {
                        controlling.insert(F::control(&slot).0);
                    }
                }
                continue;
            }
            // Someone fills or frees it right now, or died while doing so. Its counters are
            // corrected by the count.
            let first = match stuck_before.get(&seen.slot) {
                Some((meta, since)) if *meta == seen.meta.0 => *since,
                _ => self.now,
            };
            if self.now.wrapping_sub(first) < SUSPICION {
                suspects.stuck.insert(seen.slot, (seen.meta.0, first));
            } else {
                self.remove(table, &seen, tally);
            }
        }
        for (seen, control) in templates {
            let has_connections = controlling.contains(&control.0);
            let is_thinned = self.is_thinned(&seen) && !has_connections;
            if is_thinned || seen.meta.is_expired(self.now) && !has_connections {
                self.remove(table, &seen, tally);
                continue;
            }
            if seen.meta.is_expired(self.now) {
                table.extend(&seen, self.now.wrapping_add(ticks_of_seconds(EXTENSION)));
            }
            tally.swept.alive += 1;
            let server = F::server(&table.slots.read(seen.slot));
            *tally.templates.entry(server).or_default() += 1;
        }
        audit_replies(table, suspects, self);
    }

    /// Takes an entry out of the table, if it still is as seen: a packet may have been faster, and
    /// another connection may have its slot.
    fn remove<F: Family>(&self, table: &ConnectionTable<F>, seen: &Occupied, tally: &mut Tally) {
        let Some(slot) = table.claim(seen) else {
            return;
        };
        if seen.meta.is_alive() {
            let server = F::server(&slot);
            if seen.meta.flags() & TEMPLATE == 0 && server < self.loads.len() {
                self.unbind(server, Load::one(seen.meta.flags() & INACTIVE != 0));
            }
            tally.swept.removed += 1;
        }
        table.unindex_reply(seen.slot, &slot, seen.meta, self.settings);
        table.free(seen);
    }

    /// Counts one connection of a server less, which may relieve it.
    fn unbind(&self, server: u32, difference: u64) {
        let word = self.loads.word(server);
        let now = Load(
            word.fetch_sub(difference, Ordering::AcqRel)
                .wrapping_sub(difference),
        );
        let bounds = Bounds(self.bounds.read(server));
        if now.overloaded() != 0 && bounds.relieves(now) {
            word.fetch_and(!Load::OVERLOADED, Ordering::AcqRel);
        }
    }

    /// True for what `drop_entry` drops of the buckets whose turn it is: connections of TCP and
    /// SCTP that are not established yet, and templates none of whose connections ever were.
    fn is_thinned(&self, seen: &Occupied) -> bool {
        self.thinned.contains(&(seen.slot / WAYS))
            && if seen.meta.flags() & TEMPLATE != 0 {
                seen.meta.state() != TEMPLATE_ASSURED
            } else {
                let state = seen.meta.state();
                is_embryonic(state) || state == State::SynAck as u8
            }
    }
}

/// Looks through a part of the reply index for words that lead nowhere: those of a connection
/// whose slot was taken over by the same flow's next one, with another server.
fn audit_replies<F: Family>(
    table: &ConnectionTable<F>,
    suspects: &mut Suspects,
    sweep: &Sweep<'_>,
) {
    let settings = sweep.settings;
    let buckets = table.replies.len();
    let size = buckets.div_ceil(PARTS);
    let start = (size * sweep.part).min(buckets);
    for bucket in start..(start + size).min(buckets) {
        for (way, word) in table.replies.words(bucket).iter().enumerate() {
            let entry = word.load(Ordering::Acquire);
            let key = (bucket, way);
            if entry == 0 || table.is_reply_word_good(bucket, entry, settings) {
                suspects.stale.remove(&key);
                continue;
            }
            let first = match suspects.stale.get(&key) {
                Some((before, since)) if *before == entry => *since,
                _ => sweep.now,
            };
            if sweep.now.wrapping_sub(first) < SUSPICION {
                suspects.stale.insert(key, (entry, first));
                continue;
            }
            suspects.stale.remove(&key);
            // Fails when a packet was faster, and then the word is good.
            let _ = word.compare_exchange(entry, 0, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}

//! What the packet path leaves to the director: expired connections are removed, words of the
//! reply index that lead nowhere are cleared, counters of connections are compared with the
//! connections themselves, and removed servers that no connection refers to are forgotten.
//!
//! All this happens while packets flow. What a sweep sees may therefore be half of something; a
//! suspicion that is not certain at once must be seen again, unchanged, half a second later.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use caribe_packet::connection::INACTIVE;
use caribe_packet::server::{Load, Server};
use caribe_packet::settings::Settings;

use super::XdpDataplane;
use super::connection_table::{ConnectionTable, Family};
use crate::mapped::MappedArray;
use crate::{DataplaneError, Swept};

/// Ticks for which a suspicion must last.
const SUSPICION: u32 = 400;

/// Sweeps in which the whole reply index is looked at once.
const PARTS: u32 = 16;

/// Sweeps in a row in which a counter must be wrong by the same amount before it is corrected.
const PERSISTENT: u32 = 3;

/// What sweeps remember of each other.
#[derive(Debug, Default)]
pub(super) struct Audit {
    of4: Suspects,
    of6: Suspects,
    /// By how much a server's counters were wrong, and in how many sweeps in a row.
    drift: BTreeMap<u32, (u64, u32)>,
    /// The part of the reply index that is next.
    part: u32,
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
    swept: Swept,
}

/// The part of the reply index that a sweep looks at.
#[derive(Clone, Copy)]
struct Part {
    number: u32,
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
            swept: Swept::default(),
        };
        let part = Part {
            number: self.audit.part,
            now,
        };
        self.audit.part = (self.audit.part + 1) % PARTS;
        let loads = &self.maps.loads;
        sweep(
            &self.maps.connections4,
            &mut self.audit.of4,
            &settings,
            loads,
            part,
            &mut tally,
        );
        sweep(
            &self.maps.connections6,
            &mut self.audit.of6,
            &settings,
            loads,
            part,
            &mut tally,
        );
        self.correct_drift(&tally);
        self.empty_trash(&tally, now)?;
        Ok(tally.swept)
    }

    /// Corrects counters that have been wrong by the same amount for some sweeps: those that a
    /// director left wrong which was killed between two writes. Amounts that vary are merely
    /// packets that came while we counted.
    fn correct_drift(&mut self, tally: &Tally) {
        let mut drift = BTreeMap::new();
        for (server, counted) in (0..).zip(&tally.loads) {
            let load = self.maps.loads.word(server);
            let wrong = counted.wrapping_sub(load.load(Ordering::Acquire));
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
                counted.wrapping_sub(loads.word(server).load(Ordering::Acquire))
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
                || loads.word(index).load(Ordering::Acquire) != 0
        };
        for index in self.live.empty_trash(&referenced, now) {
            let service = self
                .live
                .trash
                .get(&index)
                .and_then(|discarded| discarded.service);
            let service = service.and_then(|key| Some(self.live.services.get(&key)?.id));
            self.maps.close_traffic(index, service)?;
            self.maps.servers.write(index, &Server::default());
            self.maps.roster.write(index, &0);
            self.live.forget(index);
        }
        Ok(())
    }
}

/// Counts the living connections by server.
fn count<F: Family>(table: &ConnectionTable<F>, loads: &mut [u64]) {
    for occupied in table.occupied().filter(|occupied| occupied.meta.is_alive()) {
        let server = F::server(&table.slots.read(occupied.slot));
        if let Some(load) = loads.get_mut(server as usize) {
            *load += Load::one(occupied.meta.flags() & INACTIVE != 0);
        }
    }
}

/// Sweeps the table of one address family.
fn sweep<F: Family>(
    table: &ConnectionTable<F>,
    suspects: &mut Suspects,
    settings: &Settings,
    loads: &MappedArray<u64>,
    part: Part,
    tally: &mut Tally,
) {
    let now = part.now;
    let stuck_before = std::mem::take(&mut suspects.stuck);
    for seen in table.occupied() {
        let inactive = seen.meta.flags() & INACTIVE != 0;
        if seen.meta.is_alive() && !seen.meta.is_expired(now) {
            tally.swept.alive += 1;
            let server = F::server(&table.slots.read(seen.slot));
            if let Some(load) = tally.loads.get_mut(server as usize) {
                *load += Load::one(inactive);
            }
            continue;
        }
        if !seen.meta.is_alive() {
            // Someone fills or frees it right now, or died while doing so. Its counters are
            // corrected by the count.
            let first = match stuck_before.get(&seen.slot) {
                Some((meta, since)) if *meta == seen.meta.0 => *since,
                _ => now,
            };
            if now.wrapping_sub(first) < SUSPICION {
                suspects.stuck.insert(seen.slot, (seen.meta.0, first));
                continue;
            }
        }
        // Fails when a packet was faster: a new connection took the slot over.
        let Some(slot) = table.claim(&seen) else {
            continue;
        };
        if seen.meta.is_alive() && F::server(&slot) < loads.len() {
            loads
                .word(F::server(&slot))
                .fetch_sub(Load::one(inactive), Ordering::AcqRel);
            tally.swept.removed += 1;
        }
        table.unindex_reply(seen.slot, &slot, seen.meta, settings);
        table.free(&seen);
    }
    audit_replies(table, suspects, settings, part);
}

/// Looks through a part of the reply index for words that lead nowhere: those of a connection
/// whose slot was taken over by the same flow's next one, with another server.
fn audit_replies<F: Family>(
    table: &ConnectionTable<F>,
    suspects: &mut Suspects,
    settings: &Settings,
    part: Part,
) {
    let buckets = table.replies.len();
    let size = buckets.div_ceil(PARTS);
    let start = (size * part.number).min(buckets);
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
                _ => part.now,
            };
            if part.now.wrapping_sub(first) < SUSPICION {
                suspects.stale.insert(key, (entry, first));
                continue;
            }
            suspects.stale.remove(&key);
            // Fails when a packet was faster, and then the word is good.
            let _ = word.compare_exchange(entry, 0, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}

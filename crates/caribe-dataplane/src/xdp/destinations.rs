//! What lblc and lblcr remember, in the kernel: forgotten when it is old, or when it would be about
//! another service or server than it was.

use std::collections::{BTreeMap, BTreeSet};

use caribe_model::{Scheduler, ServiceKey};
use caribe_packet::hash::{fold4, fold6};
use caribe_packet::locality::{Destination, DestinationKey, MOST_MEMBERS};

use super::XdpDataplane;
use crate::DataplaneError;
use crate::destinations::{Seen, without};
use crate::table::{LiveService, Plan, Step};

/// A key as the words of its map.
pub(super) type KeyWords = [u32; 5];
/// A value as the words of its map.
pub(super) type Words = [u32; 2 + MOST_MEMBERS];

/// A key's words.
fn key_words(key: &DestinationKey) -> KeyWords {
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(key.address.chunks_exact(4)) {
        *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    words[4] = key.service;
    words
}

/// The other way.
fn key_of_words(words: KeyWords) -> DestinationKey {
    let mut address = [0; 16];
    for (bytes, word) in address.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
    DestinationKey {
        address,
        service: words[4],
    }
}

fn words(destination: &Destination) -> Words {
    let mut words = [0; 2 + MOST_MEMBERS];
    (words[0], words[1]) = (destination.last_use, destination.last_change);
    words[2..].copy_from_slice(&destination.members);
    words
}

fn of_words(words: Words) -> Destination {
    let mut members = [0; MOST_MEMBERS];
    members.copy_from_slice(&words[2..]);
    Destination {
        last_use: words[0],
        last_change: words[1],
        members,
    }
}

/// The scheduler of services that remember, by id, with the service.
fn remembering<'a>(
    services: impl Iterator<Item = (&'a ServiceKey, &'a LiveService)>,
) -> BTreeMap<u32, (ServiceKey, Scheduler)> {
    let services = services.map(|(key, service)| {
        let scheduler = service.schedule.scheduler();
        (service.id, (*key, scheduler))
    });
    services
        .filter(|(_, (_, scheduler))| matches!(scheduler, Scheduler::Lblc | Scheduler::Lblcr))
        .collect()
}

impl XdpDataplane {
    /// Forgets destinations that nobody has asked for in a long time.
    pub(super) fn tidy_destinations(&mut self, now: u32) -> Result<(), DataplaneError> {
        let services = remembering(self.live.services.iter());
        let expirations = services
            .iter()
            .map(|(id, (_, scheduler))| match scheduler {
                Scheduler::Lblc => (*id, self.tuning.lblc_expiration),
                _ => (*id, self.tuning.lblcr_expiration),
            })
            .collect();
        if !self.housekeeping.is_due(&expirations, now) {
            return Ok(());
        }
        let seen: Vec<Seen> = self
            .maps
            .destinations
            .all()?
            .into_iter()
            .map(|(key, value)| seen(&services, key_of_words(key), &of_words(value)))
            .collect();
        for key in self.housekeeping.over(&expirations, &seen, now) {
            self.maps.destinations.delete(&key_words(&key))?;
        }
        Ok(())
    }

    /// Before a change: forgets what services remember whose scheduler comes, goes or changes, and
    /// all that is remembered of servers whose index is about to be another's.
    pub(super) fn forget_destinations(&mut self, plan: &Plan) -> Result<(), DataplaneError> {
        let changes = &plan.difference.services;
        let before = changes
            .keys()
            .filter_map(|key| self.live.services.get_key_value(key));
        let after = changes
            .iter()
            .filter_map(|(key, after)| Some((key, after.as_ref()?)));
        let (before, after) = (remembering(before), remembering(after));
        let changed: BTreeSet<u32> = before
            .keys()
            .chain(after.keys())
            .filter(|id| before.get(id) != after.get(id))
            .copied()
            .collect();
        let fresh: BTreeSet<u32> = plan
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::PutServer {
                    index, fresh: true, ..
                } => Some(*index),
                _ => None,
            })
            .collect();
        if changed.is_empty() && fresh.is_empty() {
            return Ok(());
        }
        let now = super::now()?;
        for (key, value) in self.maps.destinations.all()? {
            let destination = of_words(value);
            let left = if changed.contains(&key[4]) {
                None
            } else {
                without(destination, |server| fresh.contains(&server), now)
            };
            match left {
                Some(left) if left == destination => {}
                Some(left) => self.maps.destinations.put(&key, &words(&left))?,
                None => self.maps.destinations.delete(&key)?,
            }
        }
        Ok(())
    }
}

fn seen(
    services: &BTreeMap<u32, (ServiceKey, Scheduler)>,
    key: DestinationKey,
    destination: &Destination,
) -> Seen {
    let is_ipv6 = services
        .get(&key.service)
        .is_some_and(|(service, _)| service.family() == caribe_model::Family::V6);
    let [a, b, c, d, ..] = key.address;
    Seen {
        key,
        last_use: destination.last_use,
        folded: if is_ipv6 {
            fold6(key.address)
        } else {
            fold4([a, b, c, d])
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_come_back_as_they_were() {
        let key = DestinationKey {
            address: std::array::from_fn(|at| at as u8 * 7),
            service: 0x0102_0304,
        };
        assert_eq!(key_of_words(key_words(&key)), key);
        let mut destination = Destination::new(5, 77);
        destination.add(6, 78);
        assert_eq!(of_words(words(&destination)), destination);
    }
}

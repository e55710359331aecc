//! A map as a plan sees it: what is there, and what the plan makes different.
//!
//! So a plan costs what it changes, and nothing is copied that it does not touch.

use std::collections::BTreeMap;

/// Differences from a map.
#[derive(Debug)]
pub(super) struct Overlay<'a, K, V> {
    base: &'a BTreeMap<K, V>,
    /// `None` is gone.
    changes: BTreeMap<K, Option<V>>,
}

impl<'a, K: Ord + Copy, V: Clone> Overlay<'a, K, V> {
    /// No differences yet.
    pub(super) fn new(base: &'a BTreeMap<K, V>) -> Self {
        Overlay {
            base,
            changes: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self.changes.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.base.get(key),
        }
    }

    pub(super) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// For a change: copies the value, once.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let base = self.base;
        let changed = self.changes.entry(*key);
        changed.or_insert_with(|| base.get(key).cloned()).as_mut()
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        self.changes.insert(key, Some(value));
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let before = match self.changes.get_mut(key) {
            Some(changed) => changed.take(),
            None => self.base.get(key).cloned(),
        };
        if before.is_some() {
            self.changes.insert(*key, None);
        }
        before
    }

    /// All values, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let left = self.base.iter();
        let left = left.filter(|(key, _)| !self.changes.contains_key(key));
        let changed = self.changes.iter();
        left.chain(changed.filter_map(|(key, value)| Some((key, value.as_ref()?))))
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// What is different; `None` is gone.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&K, Option<&V>)> {
        let changes = self.changes.iter();
        changes.map(|(key, value)| (key, value.as_ref()))
    }

    /// Gives what is different.
    pub(super) fn into_changes(self) -> BTreeMap<K, Option<V>> {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is done, it reads as a map to which the same is done, and its changes make the
        /// one of the other.
        #[test]
        fn it_reads_as_a_map_that_is_changed(
            base in prop::collection::btree_map(0u8..12, 0u32..5, 0..8),
            steps in prop::collection::vec((0u8..12, 0u32..5, 0u8..3), 0..30),
        ) {
            let mut plain = base.clone();
            let mut overlay = Overlay::new(&base);
            for (key, value, kind) in steps {
                match kind {
                    0 => {
                        plain.insert(key, value);
                        overlay.insert(key, value);
                    }
                    1 => prop_assert_eq!(overlay.remove(&key), plain.remove(&key)),
                    _ => {
                        let (one, other) = (overlay.get_mut(&key), plain.get_mut(&key));
                        prop_assert_eq!(&one, &other);
                        if let (Some(one), Some(other)) = (one, other) {
                            (*one, *other) = (value, value);
                        }
                    }
                }
                prop_assert_eq!(overlay.get(&key), plain.get(&key));
                prop_assert_eq!(overlay.len(), plain.len());
            }
            let read: BTreeMap<u8, u32> = overlay.iter().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(&read, &plain);
            let mut changed = base.clone();
            for (key, value) in overlay.into_changes() {
                match value {
                    Some(value) => changed.insert(key, value),
                    None => changed.remove(&key),
                };
            }
            prop_assert_eq!(changed, plain);
        }
    }
}

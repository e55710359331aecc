//! Who uses which part of a big array: runs of slots, first fit, with neighbours joined again
//! when they are freed.

use std::collections::BTreeMap;

/// A part of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    /// First element.
    pub(crate) base: u32,
    /// Number of elements.
    pub(crate) length: u32,
}

/// The free parts of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FreeRuns {
    /// Length by base; no two touch.
    free: BTreeMap<u32, u32>,
}

impl FreeRuns {
    /// An array of `capacity` elements, all free.
    pub(crate) fn new(capacity: u32) -> Self {
        let mut free = BTreeMap::new();
        if capacity > 0 {
            free.insert(0, capacity);
        }
        FreeRuns { free }
    }

    /// Takes `length` elements from the first part that has as many; a run of no elements is
    /// always to be had, at 0.
    pub(crate) fn take(&mut self, length: u32) -> Option<Run> {
        if length == 0 {
            return Some(Run { base: 0, length: 0 });
        }
        let (base, room) = self
            .free
            .iter()
            .map(|(base, room)| (*base, *room))
            .find(|(_, room)| *room >= length)?;
        self.free.remove(&base);
        if room > length {
            self.free.insert(base + length, room - length);
        }
        Some(Run { base, length })
    }

    /// Takes exactly this run, which a director before us chose; false when part of it is taken.
    pub(crate) fn take_exactly(&mut self, run: Run) -> bool {
        if run.length == 0 {
            return true;
        }
        let Some((base, room)) = self
            .free
            .range(..=run.base)
            .next_back()
            .map(|(base, room)| (*base, *room))
        else {
            return false;
        };
        let (end, run_end) = (
            u64::from(base) + u64::from(room),
            u64::from(run.base) + u64::from(run.length),
        );
        if run_end > end {
            return false;
        }
        self.free.remove(&base);
        if run.base > base {
            self.free.insert(base, run.base - base);
        }
        if end > run_end {
            // Both lie inside an array whose length is a u32.
            self.free.insert(run_end as u32, (end - run_end) as u32);
        }
        true
    }

    /// Gives a run back.
    pub(crate) fn give_back(&mut self, run: Run) {
        if run.length == 0 {
            return;
        }
        let mut joined = run;
        if let Some((base, length)) = self
            .free
            .range(..run.base)
            .next_back()
            .map(|(base, length)| (*base, *length))
            && base + length == run.base
        {
            self.free.remove(&base);
            joined = Run {
                base,
                length: length + run.length,
            };
        }
        if let Some(length) = self.free.remove(&(run.base + run.length)) {
            joined.length += length;
        }
        self.free.insert(joined.base, joined.length);
    }

    /// Elements that are free.
    pub(crate) fn room(&self) -> usize {
        self.free.values().map(|length| *length as usize).sum()
    }
}

/// Things that nothing points to any more, but that a packet in flight may still read: they are
/// reused only after a grace period.
#[derive(Debug, Clone)]
pub(crate) struct Retired<T> {
    /// Oldest first, with the tick of retirement.
    things: Vec<(u32, T)>,
}

/// Ticks (a bit over a second) after which no packet in flight can be using what was retired.
/// The kernel runs a program to its end within a few microseconds; a second is far beyond.
pub(crate) const GRACE: u32 = 1000;

impl<T> Retired<T> {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Retired { things: Vec::new() }
    }

    /// Retires a thing.
    pub(crate) fn push(&mut self, now: u32, thing: T) {
        self.things.push((now, thing));
    }

    /// Takes what was retired long enough ago.
    pub(crate) fn take_expired(&mut self, now: u32) -> Vec<T> {
        let count = self
            .things
            .iter()
            .take_while(|(then, _)| now.wrapping_sub(*then) >= GRACE)
            .count();
        self.things.drain(..count).map(|(_, thing)| thing).collect()
    }

    /// True when nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.things.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn first_fit_and_joining() {
        let mut free = FreeRuns::new(100);
        let [a, b, c] = [10, 20, 30].map(|length| free.take(length).expect("room"));
        assert_eq!((a.base, b.base, c.base), (0, 10, 30));
        assert_eq!(free.take(41), None);
        free.give_back(a);
        assert_eq!(free.take(11).expect("room").base, 60);
        free.give_back(b);
        assert_eq!(free.take(30).expect("a and b were joined").base, 0);
    }

    #[test]
    fn nothing_is_reused_within_the_grace_period() {
        let mut retired = Retired::new();
        let start = u32::MAX - 10; // Ticks wrap.
        retired.push(start, 'a');
        retired.push(start.wrapping_add(500), 'b');
        assert_eq!(retired.take_expired(start.wrapping_add(GRACE - 1)), []);
        assert_eq!(retired.take_expired(start.wrapping_add(GRACE)), ['a']);
        assert!(!retired.is_empty());
        assert_eq!(retired.take_expired(start.wrapping_add(500 + GRACE)), ['b']);
        assert!(retired.is_empty());
    }

    proptest! {
        /// Runs never overlap, and what is given back can be taken again as one piece.
        #[test]
        fn runs_never_overlap(steps in prop::collection::vec((any::<bool>(), 0u32..40), 1..200)) {
            let mut free = FreeRuns::new(500);
            let mut taken: Vec<Run> = Vec::new();
            for (give_back, number) in steps {
                if give_back && !taken.is_empty() {
                    let run = taken.swap_remove(number as usize % taken.len());
                    free.give_back(run);
                } else if let Some(run) = free.take(number) {
                    for other in taken.iter().filter(|_| run.length > 0) {
                        let apart = run.base + run.length <= other.base
                            || other.base + other.length <= run.base;
                        prop_assert!(apart || other.length == 0, "{run:?} and {other:?}");
                    }
                    taken.push(run);
                }
                let used: u32 = taken.iter().map(|run| run.length).sum();
                prop_assert_eq!(free.room() as u32, 500 - used);
            }
            // An adopting director finds the same picture from the runs alone.
            let mut adopted = FreeRuns::new(500);
            for run in &taken {
                prop_assert!(adopted.take_exactly(*run));
                prop_assert!(run.length == 0 || !adopted.take_exactly(*run));
            }
            prop_assert_eq!(&adopted, &free);
            for run in taken {
                free.give_back(run);
            }
            prop_assert_eq!(free, FreeRuns::new(500));
        }
    }
}

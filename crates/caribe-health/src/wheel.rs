//! A hierarchical timing wheel: when each of a hundred thousand monitors probes next.
//!
//! Six levels of 64 slots; a slot of the lowest level is a millisecond, one of the next 64 of
//! them, and so on (Varghese and Lauck's scheme 7). Setting a timer is a push, and the work of
//! its expiry is bounded by the number of levels, however many timers there are. A timer that is
//! no longer wanted is not searched for: its owner ignores it when it expires.

use std::time::Duration;

use caribe_model::Monotonic;

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 6;
/// Ticks that fit: about two years. Later ones are set again when they come.
const SPAN: u64 = 1 << (BITS * LEVELS as u32);

/// Timers that carry a `T`.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    /// Every tick up to this one has been expired.
    now: u64,
    levels: [Level<T>; LEVELS],
    /// Set for a time that has passed: they expire at the next call.
    overdue: Vec<(u64, T)>,
}

#[derive(Debug)]
struct Level<T> {
    /// A bit per slot that holds something.
    occupied: u64,
    slots: Vec<Vec<(u64, T)>>,
}

/// A slot, and the tick at which it comes up.
struct Turn {
    level: usize,
    slot: usize,
    tick: u64,
}

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        let level = || Level {
            occupied: 0,
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
        };
        Wheel {
            now: 0,
            levels: std::array::from_fn(|_| level()),
            overdue: Vec::new(),
        }
    }

    /// Sets a timer; it expires in the first millisecond that begins at `when` or later.
    pub(crate) fn set(&mut self, when: Monotonic, item: T) {
        let tick = when.since(Monotonic::ORIGIN).as_nanos().div_ceil(1_000_000);
        self.place(u64::try_from(tick).unwrap_or(u64::MAX), item);
    }

    /// When [`Wheel::expire`] should be called at the latest; it may turn out that nothing
    /// expires then. `None` when no timer is set.
    pub(crate) fn next(&self) -> Option<Monotonic> {
        let tick = if self.overdue.is_empty() {
            self.next_turn()?.tick
        } else {
            self.now
        };
        Some(Monotonic::after_origin(Duration::from_millis(tick)))
    }

    /// Takes out every timer up to `now`, the earlier millisecond first.
    pub(crate) fn expire(&mut self, now: Monotonic, mut take: impl FnMut(T)) {
        self.overdue.drain(..).for_each(|(_, item)| take(item));
        let now = now.since(Monotonic::ORIGIN).as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        while let Some(Turn { level, slot, tick }) = self.next_turn()
            && tick <= now
        {
            self.now = tick;
            self.levels[level].occupied &= !(1 << slot);
            let mut items = std::mem::take(&mut self.levels[level].slots[slot]);
            for (due, item) in items.drain(..) {
                if due <= tick {
                    take(item);
                } else {
                    self.place(due, item);
                }
            }
            // Its memory serves the next round, unless a timer was set there meanwhile.
            let emptied = &mut self.levels[level].slots[slot];
            if emptied.is_empty() {
                *emptied = items;
            }
        }
        self.now = self.now.max(now);
    }

    fn place(&mut self, tick: u64, item: T) {
        if tick <= self.now {
            self.overdue.push((tick, item));
            return;
        }
        // What lies beyond the last level waits in its furthest slot.
        let within = tick.min(self.now + SPAN / 2);
        let level = level_of(self.now, within);
        let slot = slot_of(within, level);
        self.levels[level].occupied |= 1 << slot;
        self.levels[level].slots[slot].push((tick, item));
    }

    /// The slot that comes up next. A lower level's slots all come before a higher one's.
    fn next_turn(&self) -> Option<Turn> {
        (0..LEVELS).find_map(|level| {
            let occupied = self.levels[level].occupied;
            if occupied == 0 {
                return None;
            }
            let here = slot_of(self.now, level);
            // Slots are looked at from the present one on, round the level.
            let ahead = occupied.rotate_right(here as u32).trailing_zeros() as usize;
            let slot = (here + ahead) % SLOTS;
            let width = 1_u64 << (BITS * level as u32);
            let round = width * SLOTS as u64;
            let mut tick = (self.now & !(round - 1)) + slot as u64 * width;
            if tick <= self.now {
                tick += round;
            }
            Some(Turn { level, slot, tick })
        })
    }
}

/// The level for a tick: the highest group of bits in which it differs from now.
fn level_of(now: u64, tick: u64) -> usize {
    let differing = (now ^ tick) | (SLOTS as u64 - 1);
    let highest = 63 - differing.leading_zeros();
    ((highest / BITS) as usize).min(LEVELS - 1)
}

fn slot_of(tick: u64, level: usize) -> usize {
    (tick >> (BITS * level as u32)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(millisecond: u64) -> Monotonic {
        Monotonic::after_origin(Duration::from_millis(millisecond))
    }

    fn expired(wheel: &mut Wheel<u32>, millisecond: u64) -> Vec<u32> {
        let mut items = Vec::new();
        wheel.expire(at(millisecond), |item| items.push(item));
        items
    }

    #[test]
    fn timers_expire_in_their_millisecond_and_not_before() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.next(), None);
        wheel.set(at(100) + Duration::from_nanos(1), 1);
        wheel.set(at(5), 2);
        assert_eq!(wheel.next(), Some(at(5)));
        assert!(expired(&mut wheel, 4).is_empty());
        assert_eq!(expired(&mut wheel, 100), [2]);
        assert_eq!(expired(&mut wheel, 101), [1]);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn a_time_that_has_passed_comes_at_once() {
        let mut wheel = Wheel::new();
        assert!(expired(&mut wheel, 1000).is_empty());
        wheel.set(at(10), 1);
        assert_eq!(wheel.next(), Some(at(1000)));
        assert_eq!(expired(&mut wheel, 1000), [1]);
    }

    #[test]
    fn times_beyond_the_last_level_wait_their_turn() {
        let mut wheel = Wheel::new();
        let far = SPAN * 3 + 17;
        wheel.set(at(far), 1);
        let mut now = 0;
        while let Some(next) = wheel.next() {
            let next = u64::try_from(next.since(Monotonic::ORIGIN).as_millis()).expect("fits");
            assert!(next > now, "time goes on");
            now = next;
            let items = expired(&mut wheel, now);
            assert_eq!(items.is_empty(), now < far);
        }
        assert_eq!(now, far);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Set(u64),
        Pass(u64),
        PassToNext,
    }

    fn any_act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => (0u32..34, any::<u64>()).prop_map(|(bits, number)| Act::Set(number % (1 << bits))),
            2 => (0u32..24, any::<u64>()).prop_map(|(bits, number)| Act::Pass(number % (1 << bits))),
            1 => Just(Act::PassToNext),
        ]
    }

    proptest! {
        /// The same as a sorted set of times.
        #[test]
        fn agrees_with_a_sorted_set(acts in prop::collection::vec(any_act(), 1..200)) {
            let mut wheel = Wheel::new();
            let mut model = BTreeSet::new();
            let mut now = 0;
            for (number, act) in (0u32..).zip(acts) {
                match act {
                    Act::Set(ahead) => {
                        wheel.set(at(now + ahead), number);
                        model.insert((now + ahead, number));
                    }
                    Act::Pass(time) => now += time,
                    Act::PassToNext => {
                        let first = model.first().map(|(moment, _)| at(*moment));
                        let next = wheel.next();
                        prop_assert_eq!(next.is_some(), first.is_some());
                        prop_assert!(next <= first || first.is_none(), "a timer is overslept");
                        if let Some(next) = next {
                            let next = next.since(Monotonic::ORIGIN).as_millis();
                            now = now.max(u64::try_from(next).expect("fits"));
                        }
                    }
                }
                let mut items = expired(&mut wheel, now);
                items.sort_unstable();
                let later = model.split_off(&(now + 1, 0));
                let mut due: Vec<u32> = model.into_iter().map(|(_, number)| number).collect();
                due.sort_unstable();
                model = later;
                prop_assert_eq!(items, due);
            }
        }
    }
}

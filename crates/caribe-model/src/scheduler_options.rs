//! What can be said of a scheduler beyond its name.

use serde::{Deserialize, Serialize};

use crate::{Scheduler, UnknownWord};

/// Flags and sizes of a scheduler; the default is IPVS's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SchedulerOptions {
    /// IPVS's flags of schedulers.
    pub flags: SchedulerFlags,
    /// Slots of mh's table; others do not heed it.
    pub table_size: TableSize,
}

impl SchedulerOptions {
    /// No flags, and the size that IPVS is built with.
    pub const IPVS: SchedulerOptions = SchedulerOptions {
        flags: SchedulerFlags(0),
        table_size: TableSize::IPVS,
    };
}

/// IPVS's three flags, each of which means what the scheduler makes of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchedulerFlags(u8);

impl SchedulerFlags {
    /// Flag 1. sh, mh: clients of a server that takes no new connections are spread over others.
    pub const FALLBACK: SchedulerFlags = SchedulerFlags(1);
    /// Flag 2. sh, mh: the client's port counts, too.
    pub const PORT: SchedulerFlags = SchedulerFlags(2);
    /// Flag 3, which no scheduler knows.
    pub const THIRD: SchedulerFlags = SchedulerFlags(4);

    /// From bits, of which flag 1 is the lowest; `None` if there are others than three.
    pub const fn from_bits(bits: u8) -> Option<SchedulerFlags> {
        if bits < 8 {
            Some(SchedulerFlags(bits))
        } else {
            None
        }
    }

    /// As bits; flag 1 is the lowest.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// True if all of `other` are set.
    pub const fn contains(self, other: SchedulerFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// With those of `other`.
    #[must_use]
    pub const fn with(self, other: SchedulerFlags) -> SchedulerFlags {
        SchedulerFlags(self.0 | other.0)
    }

    /// The flags that a scheduler has, by name.
    pub const fn of(scheduler: Scheduler) -> &'static [(&'static str, SchedulerFlags)] {
        match scheduler {
            Scheduler::Sh => &[
                ("sh-fallback", SchedulerFlags::FALLBACK),
                ("sh-port", SchedulerFlags::PORT),
            ],
            Scheduler::Mh => &[
                ("mh-fallback", SchedulerFlags::FALLBACK),
                ("mh-port", SchedulerFlags::PORT),
            ],
            _ => &[],
        }
    }

    /// The names of every scheduler's flags.
    pub const NAMES: [&str; 4] = ["sh-fallback", "sh-port", "mh-fallback", "mh-port"];

    /// The flag of a scheduler with this name.
    ///
    /// # Errors
    ///
    /// When the scheduler has no such flag.
    pub fn named(scheduler: Scheduler, word: &str) -> Result<SchedulerFlags, UnknownWord> {
        let flags = SchedulerFlags::of(scheduler);
        let found = flags.iter().find(|(name, _)| *name == word);
        found.map(|(_, flag)| *flag).ok_or(UnknownWord {
            what: "flag of the scheduler",
            word: word.to_owned(),
            expected: match scheduler {
                Scheduler::Sh => "sh-fallback, sh-port",
                Scheduler::Mh => "mh-fallback, mh-port",
                _ => "none: it has no flags",
            },
        })
    }
}

/// Slots of mh's table: one of ten primes, as IPVS can be built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct TableSize {
    index: u8,
}

/// The primes below powers of two, from 2^8 on.
const PRIMES: [u32; 10] = [
    251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071,
];
const FIRST_INDEX: u8 = 8;

impl TableSize {
    /// What IPVS is built with unless it is told otherwise.
    pub const IPVS: TableSize = TableSize { index: 12 };

    /// The sizes as they are written, smallest first.
    pub const WORDS: [&str; 10] = [
        "251", "509", "1021", "2039", "4093", "8191", "16381", "32749", "65521", "131071",
    ];

    /// Number of slots.
    pub const fn slots(self) -> u32 {
        PRIMES[(self.index - FIRST_INDEX) as usize]
    }

    /// The power of two above it, 8 to 17: IPVS's `CONFIG_IP_VS_MH_TAB_INDEX`.
    pub const fn index(self) -> u32 {
        self.index as u32
    }
}

impl Default for TableSize {
    /// 4093, IPVS's default.
    fn default() -> Self {
        TableSize::IPVS
    }
}

impl TryFrom<u32> for TableSize {
    type Error = UnknownWord;

    fn try_from(slots: u32) -> Result<Self, UnknownWord> {
        PRIMES
            .iter()
            .zip(FIRST_INDEX..)
            .find(|(prime, _)| **prime == slots)
            .map(|(_, index)| TableSize { index })
            .ok_or_else(|| UnknownWord {
                what: "size of mh's table",
                word: slots.to_string(),
                expected: "251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071",
            })
    }
}

impl From<TableSize> for u32 {
    fn from(size: TableSize) -> u32 {
        size.slots()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_back_as_they_were() {
        for (word, index) in TableSize::WORDS.into_iter().zip(8..) {
            let slots: u32 = word.parse().expect("a number");
            let size = TableSize::try_from(slots).expect("a size");
            assert_eq!((size.slots(), size.index()), (slots, index));
            assert!(slots < 1 << index && slots > 1 << (index - 1));
            assert!(
                (2..)
                    .take_while(|at| at * at <= slots)
                    .all(|at| !slots.is_multiple_of(at))
            );
        }
        TableSize::try_from(4096).expect_err("no prime");
        assert_eq!(TableSize::default().slots(), 4093);
    }

    #[test]
    fn every_flag_has_its_name() {
        for scheduler in Scheduler::ALL {
            for (name, flag) in SchedulerFlags::of(scheduler) {
                assert!(SchedulerFlags::NAMES.contains(name));
                assert_eq!(SchedulerFlags::named(scheduler, name), Ok(*flag));
                SchedulerFlags::named(Scheduler::Rr, name).expect_err("rr has no flags");
            }
        }
        let both = SchedulerFlags::PORT.with(SchedulerFlags::FALLBACK);
        assert!(both.contains(SchedulerFlags::PORT) && !both.contains(SchedulerFlags::THIRD));
        assert_eq!(SchedulerFlags::from_bits(both.bits()), Some(both));
        assert_eq!(SchedulerFlags::from_bits(8), None);
    }
}

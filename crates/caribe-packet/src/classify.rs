//! Firewall marks without a firewall: which mark does a packet get?
//!
//! The director resolves the rules beforehand. For each network that a rule names, and for each
//! protocol, it lays out what the ports of the network's addresses get: *intervals*, each from its
//! first port to that of the next, that cover all ports. So of nested networks the smallest one
//! that holds an address answers for all of them.
//!
//! There are two *generations* of everything, of which one is in force: a change writes the other
//! one and then switches, so that a packet sees the old rules or the new ones, never a mix.

/// Most intervals of a generation.
pub const INTERVALS: u32 = 1 << 16;

/// What the ports of a network get, in the array of intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Ports {
    /// The first interval, which begins at port 0.
    pub base: u32,
    /// How many there are, 1 to [`INTERVALS`].
    pub length: u32,
}

/// A network of destinations, less its length: what a trie of prefixes is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Destination<A> {
    /// 0 or 1.
    pub generation: u8,
    /// IP protocol.
    pub protocol: u8,
    /// Zero.
    pub padding: [u8; 2],
    /// The address.
    pub address: A,
}

const _: () = assert!(size_of::<Destination<[u8; 4]>>() == 8);
const _: () = assert!(size_of::<Destination<[u8; 16]>>() == 20);

/// Bits of a [`Destination`] before its address: all of them always count.
pub const HEAD_BITS: u32 = 32;

/// An interval of ports as a word: where it begins, and the mark of its packets; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Interval(pub u64);

impl Interval {
    /// The ports from `first` on get `mark`.
    pub const fn new(first: u16, mark: u32) -> Self {
        Interval(first as u64 | (mark as u64) << 32)
    }

    /// Its first port.
    #[inline(always)]
    pub const fn first(self) -> u32 {
        self.0 as u32 & 0xffff
    }

    /// The mark of its packets.
    #[inline(always)]
    pub const fn mark(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What tells which generation is in force, in a word: 0 while there are no rules.
#[inline(always)]
pub const fn generation_in_force(word: u64) -> Option<u8> {
    match word {
        1 => Some(0),
        2 => Some(1),
        _ => None,
    }
}

/// The other way.
pub const fn word_of_generation(generation: u8) -> u64 {
    generation as u64 + 1
}

/// The mark of a port among `length` intervals, the first of which begins at port 0; `None` when
/// `interval` has none. `interval` is also asked for what is beyond the last one.
///
/// Each of the sixteen steps is free of branches: the verifier follows one path, not 2^16.
#[inline(always)]
pub fn mark_at(length: u32, port: u32, interval: impl Fn(u32) -> Option<Interval>) -> Option<u32> {
    let mut at = 0;
    let mut width = INTERVALS >> 1;
    while width > 0 {
        let next = at + width;
        let candidate = interval(next)?;
        // The sign of a difference, as the lowest bit: 1 for yes.
        let is_there = next.wrapping_sub(length) >> 31;
        let is_not_after = candidate.first().wrapping_sub(port + 1) >> 31;
        at += width * (is_there & is_not_after);
        width >>= 1;
    }
    Some(interval(at)?.mark())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(intervals: &[Interval], port: u16) -> u32 {
        let length = intervals.len() as u32;
        let beyond = Interval::new(0, u32::MAX);
        let get = |at: u32| Some(intervals.get(at as usize).copied().unwrap_or(beyond));
        mark_at(length, port.into(), get).expect("every place has an interval")
    }

    #[test]
    fn every_port_is_in_its_interval() {
        let intervals = [
            Interval::new(0, 0),
            Interval::new(80, 1),
            Interval::new(81, 0),
            Interval::new(443, 2),
            Interval::new(65535, u32::MAX),
        ];
        for port in 0..=u16::MAX {
            let expected = match port {
                80 => 1,
                443..65535 => 2,
                65535 => u32::MAX,
                _ => 0,
            };
            assert_eq!(found(&intervals, port), expected, "{port}");
        }
    }

    #[test]
    fn one_interval_and_the_most_that_there_can_be() {
        for port in [0, 1, 65535] {
            assert_eq!(found(&[Interval::new(0, 7)], port), 7);
        }
        // On the heap: half a megabyte is too much for a test's stack.
        let all: std::vec::Vec<Interval> = (0..=u16::MAX)
            .map(|port| Interval::new(port, port.into()))
            .collect();
        assert_eq!(all.len(), INTERVALS as usize);
        for port in [0, 1, 2, 4096, 32767, 32768, 65534, 65535] {
            assert_eq!(found(&all, port), u32::from(port));
        }
    }

    #[test]
    fn an_array_that_is_too_short_gives_nothing() {
        assert_eq!(mark_at(3, 80, |_| None), None);
    }

    #[test]
    fn a_word_names_a_generation_or_none() {
        assert_eq!(generation_in_force(0), None);
        for generation in [0, 1] {
            let word = word_of_generation(generation);
            assert_eq!(generation_in_force(word), Some(generation));
        }
        assert_eq!(generation_in_force(3), None);
    }
}

//! A set of ports.

use std::fmt;
use std::ops::RangeInclusive;

use caribe_model::PortRange;

/// A set of ports, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PortSet {
    /// In order, none touching the next.
    ranges: Vec<RangeInclusive<u16>>,
}

impl PortSet {
    /// Most ranges that one rule of lvs.cf may have, joined ones counted once.
    pub(crate) const MAX_RANGES: usize = 64;

    /// The union of ranges; `None` when there is no port in them.
    pub(crate) fn new(ranges: impl IntoIterator<Item = RangeInclusive<u16>>) -> Option<Self> {
        let mut sorted: Vec<_> = ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .collect();
        sorted.sort_by_key(|range| *range.start());
        let mut joined: Vec<RangeInclusive<u16>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match joined.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => joined.push(range),
            }
        }
        (!joined.is_empty()).then_some(PortSet { ranges: joined })
    }

    /// The ranges, in order, with a gap between any two.
    pub(crate) fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.ranges
    }

    /// The ranges as a rule has them: none means all ports.
    pub(crate) fn of_a_rule(&self) -> Vec<PortRange> {
        if self.is_all() {
            return Vec::new();
        }
        let ranges = self.ranges.iter();
        ranges
            .filter_map(|range| PortRange::new(*range.start(), *range.end())) // none is empty
            .collect()
    }

    /// Whether these are all ports.
    pub(crate) fn is_all(&self) -> bool {
        self.ranges == [0..=u16::MAX]
    }

    /// Some port is in both.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        let (mut own, mut others) = (
            self.ranges.iter().peekable(),
            other.ranges.iter().peekable(),
        );
        while let (Some(one), Some(another)) = (own.peek(), others.peek()) {
            if one.end() < another.start() {
                own.next();
            } else if another.end() < one.start() {
                others.next();
            } else {
                return true;
            }
        }
        false
    }
}

impl fmt::Display for PortSet {
    /// As in lvs.cf: `80,443,1024-65535`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match range.start() == range.end() {
                true => write!(f, "{comma}{}", range.start())?,
                false => write!(f, "{comma}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_sets_are_in_order_and_joined() {
        let set = |ranges: &[RangeInclusive<u16>]| PortSet::new(ranges.iter().cloned());
        let web = set(&[443..=443, 80..=80, 81..=90, 85..=88]).expect("ports");
        assert_eq!(web.to_string(), "80-90,443");
        assert!(web.meets(&set(&[90..=100]).expect("ports")));
        assert!(!web.meets(&set(&[91..=442]).expect("ports")));
        assert!(set(&[0..=9, 10..=65535]).is_some_and(|set| set.is_all()));
        #[expect(clippy::reversed_empty_ranges, reason = "that is the question")]
        let none = set(&[9..=8]);
        assert_eq!(none, None);
    }
}

//! Rules for firewall marks, resolved into what the packet path looks up: pure code.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use caribe_model::{Family, MarkRule, Protocol};
use caribe_packet::classify::{INTERVALS, Interval};

/// Networks of each family that there is room for, both generations together: 4,096 rules for
/// three protocols.
pub(crate) const NETWORKS: u32 = 2 * 3 * 4096;

/// What every port of a network's addresses gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    /// First address.
    pub(crate) address: IpAddr,
    /// Leading bits.
    pub(crate) prefix: u8,
    /// Transport protocol.
    pub(crate) protocol: Protocol,
    /// Cover all ports; the first begins at 0.
    pub(crate) intervals: Vec<Interval>,
}

/// Rules, resolved: of nested networks each tells of all that hold it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout(pub(crate) Vec<Network>);

/// Rules for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// What ran out, in the plural.
    pub(crate) what: &'static str,
    /// How many are needed.
    pub(crate) needed: usize,
    /// How many there may be.
    pub(crate) room: usize,
}

impl Layout {
    /// Resolves rules, of which the last one that matches a packet counts.
    ///
    /// # Errors
    ///
    /// [`TooMany`].
    pub(crate) fn of(rules: &[MarkRule]) -> Result<Self, TooMany> {
        let mut networks = Vec::new();
        let all: BTreeSet<(IpAddr, u8)> = rules
            .iter()
            .map(|rule| (first(rule.address, rule.prefix), rule.prefix))
            .collect();
        let mut intervals = 0;
        for (address, prefix) in all {
            // Only a rule whose network holds this one matches all of its addresses.
            let holding = rules.iter().filter(|rule| {
                rule.prefix <= prefix
                    && Family::from(address) == rule.family()
                    && first(address, rule.prefix) == first(rule.address, rule.prefix)
            });
            let holding: Vec<&MarkRule> = holding.collect();
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                let network = Network {
                    address,
                    prefix,
                    protocol,
                    intervals: paint(&holding, protocol),
                };
                intervals += network.intervals.len();
                networks.push(network);
            }
        }
        let family = |family| {
            let of = networks.iter();
            of.filter(|network: &&Network| Family::from(network.address) == family)
                .count()
        };
        let rooms = [
            ("intervals of ports with a mark", intervals, INTERVALS),
            (
                "IPv4 networks with a mark",
                family(Family::V4),
                NETWORKS / 2,
            ),
            (
                "IPv6 networks with a mark",
                family(Family::V6),
                NETWORKS / 2,
            ),
        ];
        for (what, needed, room) in rooms {
            let room = room as usize;
            if needed > room {
                return Err(TooMany { what, needed, room });
            }
        }
        Ok(Layout(networks))
    }
}

/// The intervals that rules leave when one after the other has been applied to all ports.
fn paint(rules: &[&MarkRule], protocol: Protocol) -> Vec<Interval> {
    // From each port on, the mark; the end of the ports is 65,536.
    let mut marks: BTreeMap<u32, u32> = BTreeMap::from([(0, 0)]);
    let of_protocol = rules.iter().filter(|rule| {
        let own = rule.protocol;
        own.is_none_or(|own| own == protocol)
    });
    for rule in of_protocol {
        let mut put = |first: u32, end: u32| {
            let after = marks.range(..=end).next_back().map_or(0, |(_, mark)| *mark);
            let gone: Vec<u32> = marks.range(first..end).map(|(port, _)| *port).collect();
            for port in gone {
                marks.remove(&port);
            }
            marks.insert(first, rule.mark.get());
            if end <= u32::from(u16::MAX) {
                marks.entry(end).or_insert(after);
            }
        };
        if rule.ports.is_empty() {
            put(0, 1 << 16);
        }
        for range in &rule.ports {
            put(range.first().into(), u32::from(range.last()) + 1);
        }
    }
    let mut intervals: Vec<Interval> = Vec::new();
    for (first, mark) in marks {
        if intervals.last().is_none_or(|last| last.mark() != mark) {
            // Every key is a port.
            intervals.push(Interval::new(first as u16, mark));
        }
    }
    intervals
}

/// The first address of the network that an address is in.
fn first(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix));
            IpAddr::V4((address.to_bits() & mask.unwrap_or(0)).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix));
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask.unwrap_or(0)))
        }
    }
}

#[cfg(test)]
mod tests;

//! Domain types as the bytes of the maps, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::num::NonZeroU32;

use caribe_model::{
    Encapsulation, Family, Forwarding, GueChecksum, Protocol, Scheduler, ServerKey, ServiceKey,
    Thresholds, Timeouts,
};
use caribe_packet::server::{
    Bounds, DIRECT, ENCAPSULATION, GRE, GUE, IN_SERVICE, MASQUERADE, OUTER_IPV6, REMOTE_CHECKSUM,
    Server, TUNNEL, TUNNEL_CHECKSUM,
};
use caribe_packet::service::Service;
use caribe_packet::settings::{LONGEST_TIMEOUT, TICK_SHIFT, ticks_of_seconds};
use caribe_packet::state::{self, STATES};
use caribe_packet::tcp_state::State;

use crate::schedule::Weights;

/// Key of an IPv4 service, as bytes.
pub(super) type Key4 = [u8; 8];
/// Key of an IPv6 service, as bytes.
pub(super) type Key6 = [u8; 20];
/// A service, as words.
pub(super) type ServiceWords = [u32; 6];

/// A service's key for the map of its family.
pub(super) enum Key {
    /// For `SERVICES4`.
    V4(Key4),
    /// For `SERVICES6`.
    V6(Key6),
}

/// A service's key as bytes: address, port, protocol, zero. A firewall mark stands in the place of
/// the address, its highest byte first, and has neither port nor protocol.
pub(super) fn service_key(key: &ServiceKey) -> Key {
    let (address, port, protocol) = match key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => (*address, *port, protocol.number()),
        ServiceKey::Mark { family, mark } => {
            let first = mark.get().to_be_bytes();
            let address = match family {
                Family::V4 => IpAddr::from(first),
                Family::V6 => {
                    let mut bytes = [0; 16];
                    bytes[..4].copy_from_slice(&first);
                    IpAddr::from(bytes)
                }
            };
            (address, 0, 0)
        }
    };
    let [high, low] = port.to_be_bytes();
    let tail = [high, low, protocol, 0];
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&address.octets());
            bytes[4..].copy_from_slice(&tail);
            Key::V4(bytes)
        }
        IpAddr::V6(address) => {
            let mut bytes = [0; 20];
            bytes[..16].copy_from_slice(&address.octets());
            bytes[16..].copy_from_slice(&tail);
            Key::V6(bytes)
        }
    }
}

/// The other way; `None` for a protocol that is not balanced.
pub(super) fn key_from_parts(address: IpAddr, port: [u8; 2], protocol: u8) -> Option<ServiceKey> {
    if protocol == 0 {
        let first = match address {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(address) => {
                let [a, b, c, d, rest @ ..] = address.octets();
                if rest != [0; 12] {
                    return None;
                }
                [a, b, c, d]
            }
        };
        let mark = NonZeroU32::new(u32::from_be_bytes(first)).filter(|_| port == [0, 0])?;
        let family = Family::from(address);
        return Some(ServiceKey::Mark { family, mark });
    }
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|candidate| candidate.number() == protocol)?;
    Some(ServiceKey::Address {
        protocol,
        address,
        port: u16::from_be_bytes(port),
    })
}

/// A key of `SERVICES4`, read back.
pub(super) fn key_from4(bytes: Key4) -> Option<ServiceKey> {
    let [a, b, c, d, high, low, protocol, _] = bytes;
    key_from_parts(Ipv4Addr::new(a, b, c, d).into(), [high, low], protocol)
}

/// A key of `SERVICES6`, read back.
pub(super) fn key_from6(bytes: Key6) -> Option<ServiceKey> {
    let mut address = [0; 16];
    address.copy_from_slice(&bytes[..16]);
    key_from_parts(
        Ipv6Addr::from(address).into(),
        [bytes[16], bytes[17]],
        bytes[18],
    )
}

/// A service as the words of its map's value.
pub(super) fn service_words(service: &Service) -> ServiceWords {
    let last = u32::from_ne_bytes([service.choice, service.scheduler, service.flags, 0]);
    let Service {
        id,
        base,
        length,
        cycle_start,
        cursor,
        ..
    } = *service;
    [id, base, length, cycle_start, cursor, last]
}

/// The other way.
pub(super) fn service_from_words(words: ServiceWords) -> Service {
    let [id, base, length, cycle_start, cursor, last] = words;
    let [choice, scheduler, flags, _] = last.to_ne_bytes();
    Service {
        id,
        base,
        length,
        cycle_start,
        cursor,
        choice,
        scheduler,
        flags,
        padding: 0,
    }
}

/// The number under which a service remembers its scheduler: its place in the manual's order.
pub(super) fn scheduler_number(scheduler: Scheduler) -> u8 {
    // The list holds every scheduler and is far shorter than 256.
    Scheduler::ALL
        .iter()
        .position(|other| *other == scheduler)
        .map_or(u8::MAX, |at| at as u8)
}

/// The other way.
pub(super) fn scheduler_from_number(number: u8) -> Option<Scheduler> {
    Scheduler::ALL.get(usize::from(number)).copied()
}

/// A server's word of the roster: its place in the order of additions, and above it the last
/// weight above 0, which has 31 bits.
pub(super) fn roster_word(sequence: u64, weights: Weights) -> u64 {
    sequence & SEQUENCE | u64::from(weights.last) << SEQUENCE.count_ones()
}

/// The other way; the weight itself is in the server's entry.
pub(super) fn from_roster_word(word: u64, weight: u32) -> (u64, Weights) {
    let weights = Weights {
        now: weight,
        // What is left of 64 bits is 31 bits.
        last: (word >> SEQUENCE.count_ones()) as u32,
    };
    (word & SEQUENCE, weights)
}

/// Bits of the roster that count additions: a thousand a second for 99 days.
const SEQUENCE: u64 = (1 << 33) - 1;

/// A server's thresholds as a word.
pub(super) fn bounds(thresholds: Thresholds) -> Bounds {
    Bounds::new(thresholds.upper(), thresholds.lower())
}

/// The other way; `None` when the lower one is above the upper one.
pub(super) fn thresholds(bounds: Bounds) -> Option<Thresholds> {
    Thresholds::new(bounds.upper(), bounds.lower()).ok()
}

/// An address in 16 bytes, IPv4 in the first four.
pub(super) fn wide(address: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes = address.octets(),
    }
    bytes
}

/// An address as the packet path looks VIPs up: IPv4 as IPv4-mapped IPv6.
pub(super) fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// The other way.
pub(super) fn from_mapped(bytes: [u8; 16]) -> IpAddr {
    let address = Ipv6Addr::from(bytes);
    address
        .to_ipv4_mapped()
        .map_or(IpAddr::V6(address), IpAddr::V4)
}

/// An address out of 16 bytes, by the flag that tells its family.
pub(super) fn narrow(bytes: [u8; 16], is_ipv6: bool) -> IpAddr {
    if is_ipv6 {
        return Ipv6Addr::from(bytes).into();
    }
    let [a, b, c, d, ..] = bytes;
    Ipv4Addr::new(a, b, c, d).into()
}

/// IPVS's number of a forwarding method.
pub(super) fn forwarding_number(forwarding: Forwarding) -> u8 {
    match forwarding {
        Forwarding::Nat => MASQUERADE,
        Forwarding::Tunnel => TUNNEL,
        Forwarding::Direct => DIRECT,
    }
}

/// The other way.
pub(super) fn forwarding_from_number(number: u8) -> Option<Forwarding> {
    [Forwarding::Nat, Forwarding::Tunnel, Forwarding::Direct]
        .into_iter()
        .find(|forwarding| forwarding_number(*forwarding) == number)
}

/// How a tunnel wraps, as bits of a server's flags and its port.
pub(super) fn encapsulation_bits(encapsulation: Encapsulation) -> (u8, [u8; 2]) {
    match encapsulation {
        Encapsulation::Ipip => (0, [0; 2]),
        Encapsulation::Gue { port, checksum } => {
            let bits = match checksum {
                GueChecksum::None => GUE,
                GueChecksum::Full => GUE | TUNNEL_CHECKSUM,
                GueChecksum::Remote => GUE | TUNNEL_CHECKSUM | REMOTE_CHECKSUM,
            };
            (bits, port.get().to_be_bytes())
        }
        Encapsulation::Gre { checksum: false } => (GRE, [0; 2]),
        Encapsulation::Gre { checksum: true } => (GRE | TUNNEL_CHECKSUM, [0; 2]),
    }
}

/// The other way; `None` for bits that no director writes.
pub(super) fn encapsulation(server: &Server) -> Option<Encapsulation> {
    let port = NonZeroU16::new(u16::from_be_bytes(server.tunnel_port));
    let gue = |checksum| port.map(|port| Encapsulation::Gue { port, checksum });
    [
        Some(Encapsulation::Ipip),
        Some(Encapsulation::Gre { checksum: false }),
        Some(Encapsulation::Gre { checksum: true }),
        gue(GueChecksum::None),
        gue(GueChecksum::Full),
        gue(GueChecksum::Remote),
    ]
    .into_iter()
    .flatten()
    .find(|candidate| {
        encapsulation_bits(*candidate) == (server.flags & ENCAPSULATION, server.tunnel_port)
    })
}

/// The identity of a server's entry.
pub(super) fn server_key(server: &Server) -> ServerKey {
    ServerKey {
        address: narrow(server.address, server.flags & OUTER_IPV6 != 0),
        port: u16::from_be_bytes(server.port),
    }
}

/// Flags of a server in service whose way is not known yet.
pub(super) fn server_flags(key: &ServerKey) -> u8 {
    IN_SERVICE | if key.address.is_ipv6() { OUTER_IPV6 } else { 0 }
}

/// Timeouts in ticks by state. What a deadline can't hold is cut to 23 days.
pub(super) fn timeouts(timeouts: &Timeouts) -> [u32; STATES] {
    let ticks = |duration: std::time::Duration| {
        let ticks = duration.as_nanos().div_ceil(1 << TICK_SHIFT);
        u32::try_from(ticks)
            .unwrap_or(u32::MAX)
            .clamp(1, ticks_of_seconds(LONGEST_TIMEOUT))
    };
    let fixed = |number: usize| {
        let seconds = state::default_timeout(number as u8);
        ticks_of_seconds(seconds.unwrap_or(State::None.default_timeout()))
    };
    let mut by_state = core::array::from_fn(fixed);
    by_state[State::Established as usize] = ticks(timeouts.tcp);
    by_state[State::FinWait as usize] = ticks(timeouts.tcp_fin);
    by_state[State::Udp as usize] = ticks(timeouts.udp);
    by_state
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use caribe_packet::sctp_state;

    use super::*;

    fn there_and_back(key: &ServiceKey) -> Option<ServiceKey> {
        match service_key(key) {
            Key::V4(bytes) => key_from4(bytes),
            Key::V6(bytes) => key_from6(bytes),
        }
    }

    #[test]
    fn marks_come_back_as_they_were() {
        for family in [Family::V4, Family::V6] {
            for mark in [1, 7, 0x0102_0304, u32::MAX] {
                let mark = NonZeroU32::new(mark).expect("not zero");
                let key = ServiceKey::Mark { family, mark };
                assert_eq!(there_and_back(&key), Some(key));
            }
        }
        // What no director writes.
        assert_eq!(key_from4([0; 8]), None);
        assert_eq!(key_from4([0, 0, 0, 7, 0, 80, 0, 0]), None);
        let mut bytes = [0; 20];
        (bytes[3], bytes[15]) = (7, 1);
        assert_eq!(key_from6(bytes), None);
    }

    #[test]
    fn keys_come_back_as_they_were() {
        for text in ["192.0.2.1", "2001:db8::1"] {
            let key = ServiceKey::Address {
                protocol: Protocol::Udp,
                address: text.parse().expect("an address"),
                port: 0x1234,
            };
            assert_eq!(there_and_back(&key), Some(key));
            let address: IpAddr = text.parse().expect("an address");
            assert_eq!(from_mapped(mapped(address)), address);
            assert_eq!(narrow(wide(address), address.is_ipv6()), address);
        }
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        for scheduler in Scheduler::ALL {
            assert_eq!(
                scheduler_from_number(scheduler_number(scheduler)),
                Some(scheduler)
            );
        }
        assert_eq!(scheduler_from_number(200), None);
        for forwarding in [Forwarding::Nat, Forwarding::Direct, Forwarding::Tunnel] {
            assert_eq!(
                forwarding_from_number(forwarding_number(forwarding)),
                Some(forwarding)
            );
        }
        assert_eq!(forwarding_from_number(1), None);
    }

    #[test]
    fn encapsulations_come_back_as_they_were() {
        let port = NonZeroU16::new(6080).expect("not zero");
        let gue = |checksum| Encapsulation::Gue { port, checksum };
        for encapsulation in [
            Encapsulation::Ipip,
            gue(GueChecksum::None),
            gue(GueChecksum::Full),
            gue(GueChecksum::Remote),
            Encapsulation::Gre { checksum: false },
            Encapsulation::Gre { checksum: true },
        ] {
            let (bits, tunnel_port) = encapsulation_bits(encapsulation);
            let server = Server {
                flags: IN_SERVICE | OUTER_IPV6 | bits,
                tunnel_port,
                ..Server::default()
            };
            assert_eq!(super::encapsulation(&server), Some(encapsulation));
        }
        for (flags, tunnel_port) in [(GUE, [0; 2]), (GUE | GRE, [0, 1]), (0, [0, 1])] {
            let server = Server {
                flags,
                tunnel_port,
                ..Server::default()
            };
            assert_eq!(super::encapsulation(&server), None, "{flags:#x}");
        }
    }

    #[test]
    fn roster_words_come_back_as_they_were() {
        for (sequence, now, last) in [(1, 0, 0), (SEQUENCE, 0, i32::MAX as u32), (77, 5, 5)] {
            let weights = Weights { now, last };
            let word = roster_word(sequence, weights);
            assert_eq!(from_roster_word(word, now), (sequence, weights));
        }
    }

    #[test]
    fn timeouts_never_round_down_nor_wrap() {
        let times = Timeouts {
            tcp: Duration::from_secs(u64::MAX),
            tcp_fin: Duration::from_secs(120),
            udp: Duration::from_nanos(1),
        };
        let by_state = timeouts(&times);
        assert_eq!(
            by_state[State::Established as usize],
            ticks_of_seconds(LONGEST_TIMEOUT)
        );
        assert_eq!(by_state[State::FinWait as usize], ticks_of_seconds(120));
        assert_eq!(by_state[State::Udp as usize], 1);
        assert_eq!(by_state[State::Close as usize], ticks_of_seconds(10));
        // Those of SCTP are nobody's to set.
        let sctp = |state: sctp_state::State| by_state[state as usize];
        assert_eq!(sctp(sctp_state::State::Init1), ticks_of_seconds(4));
        assert_eq!(sctp(sctp_state::State::Established), ticks_of_seconds(900));
    }
}

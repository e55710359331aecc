//! Which service's firewall mark does a packet carry? Asked only of packets that belong to no
//! connection, and only while there are rules.

use caribe_packet::classify::{Destination, INTERVALS, Interval, generation_in_force, mark_at};
use caribe_packet::service::{Service, ServiceKey};

use crate::family::Family;
use crate::maps::{MARK_INTERVALS, MARK_RULES};
use crate::packet::Packet;

/// The service of a packet's mark, with the mark, if a rule gives it one for which there is a service. Such a
/// service comes before those of addresses.
#[inline(always)]
pub fn by_mark<F: Family<WORDS>, const WORDS: usize>(
    packet: &Packet<F::Address>,
) -> Option<(&'static Service, u32)> {
    let generation = generation_in_force(*MARK_RULES.get(0)?)?;
    let ports = F::marked_ports(Destination {
        generation,
        protocol: packet.protocol,
        padding: [0; 2],
        address: packet.destination,
    })?;
    let port = u16::from_be_bytes(packet.ports.destination);
    let mark = mark_of(ports.base, ports.length, port.into());
    if mark == 0 {
        return None;
    }
    let service = F::service(&ServiceKey {
        address: F::of_mark(mark),
        port: [0, 0],
        protocol: 0,
        padding: 0,
    })?;
    Some((service, mark))
}

/// The mark of a port among a run of intervals; 0 for none. The verifier checks this function by
/// itself.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn mark_of(base: u32, length: u32, port: u32) -> u32 {
    // Both generations lie in one array; what is read beyond a run is not used.
    let interval = |at: u32| {
        let place = base.wrapping_add(at) % (2 * INTERVALS);
        MARK_INTERVALS.get(place).copied().map(Interval)
    };
    mark_at(length, port & 0xffff, interval).unwrap_or(0)
}

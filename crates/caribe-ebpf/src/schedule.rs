//! A packet of no connection: is it for a service, and which server gets it?

use aya_ebpf::programs::XdpContext;
use caribe_packet::connection::Connection;
use caribe_packet::icmp::Problem;
use caribe_packet::key::Key;
use caribe_packet::server::{Load, REACHABLE};
use caribe_packet::service::{
    Choice, MOST_LEAST_SLOTS, Service, ServiceKey, is_less_loaded, rotate,
};
use caribe_packet::table::Place;
use caribe_packet::transport::{RST, SYN, TCP};
use caribe_packet::verdict::Verdict;

use crate::atomic;
use crate::create::{self, New};
use crate::find::Found;
use crate::flow::{Moment, count_in};
use crate::forward::{self, Forward, Rewrite};
use crate::maps::{CURSORS, LOADS, SERVERS, SLOTS};
use crate::parse::Packet;
use crate::verdict::{Outcome, drop, pass};

const FTP_DATA: [u8; 2] = 20u16.to_be_bytes();

/// Schedules a packet that belongs to no connection, if it is for a service and may start one.
#[inline(always)]
pub fn schedule<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
    key: &Key<WORDS>,
    place: &Place,
    found: &Found<Connection<Key<WORDS>, F::Address>>,
    moment: &Moment,
) -> Outcome {
    let Some(service) = F::service(&ServiceKey {
        address: packet.destination,
        port: packet.ports.destination,
        protocol: packet.protocol,
        padding: 0,
    }) else {
        return pass(Verdict::PassedNotOurs);
    };
    if packet.protocol == TCP && packet.flags & (RST | SYN) != SYN {
        return pass(Verdict::PassedNoConnection);
    }
    if packet.ports.source == FTP_DATA {
        return pass(Verdict::PassedFtpData);
    }
    let Some(number) = choose(service) else {
        return F::answer(context, packet, Problem::NoServer, moment);
    };
    let Some(server) = SERVERS.get(number) else {
        return drop(Verdict::DroppedInconsistent);
    };
    if server.flags & REACHABLE == 0 {
        return drop(Verdict::DroppedUnreachable);
    }
    let rewrite = Rewrite {
        address: F::server_address(&server.address),
        port: if server.port == [0, 0] {
            packet.ports.destination
        } else {
            server.port
        },
    };
    let new = New {
        key,
        server: number,
        forwarding: server.forwarding,
        rewrite: &rewrite,
    };
    if !create::connection::<F, WORDS>(context, packet, place, found, &new, moment) {
        return drop(Verdict::DroppedTableFull);
    }
    count_in(number, packet.length, 1);
    forward::to_server::<F, WORDS>(context, packet, server, server.forwarding, &rewrite, moment)
}

/// The server that the service's scheduler picks, if any can take a connection.
#[inline(always)]
fn choose(service: &Service) -> Option<u32> {
    if service.length == 0 {
        return None;
    }
    if service.choice == Choice::Rotate as u8 {
        let cursor = CURSORS.get_ptr_mut(service.cursor)?;
        // SAFETY: a word of a map.
        let picks = unsafe { atomic::fetch_add(cursor, 1) };
        let slot = SLOTS.get(service.base.wrapping_add(rotate(service, picks)))?;
        return Some(slot.server);
    }
    match least(service.base, service.length) {
        0 => None,
        server => Some(server),
    }
}

/// The server with the least load for its weight in a run of slots, the first of equals; 0 for
/// none (no server has index 0).
///
/// A global function: the verifier follows its loop once, not once for every way to it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn least(base: u32, length: u32) -> u32 {
    let mut best = 0;
    let mut best_load = (0, 0);
    for at in 0..MOST_LEAST_SLOTS {
        if at >= length {
            break;
        }
        let Some(slot) = SLOTS.get(base.wrapping_add(at)) else {
            break;
        };
        let Some(load) = LOADS.get_ptr(slot.server) else {
            break;
        };
        // SAFETY: a word of a map.
        let overhead = Load(unsafe { atomic::load(load) }).overhead();
        if best == 0 || is_less_loaded(best_load, (overhead, slot.weight)) {
            best = slot.server;
            best_load = (overhead, slot.weight);
        }
    }
    best
}

//! A packet of no connection: is it for a service, and which server gets it?

use aya_ebpf::programs::XdpContext;
use caribe_packet::connection::Connection;
use caribe_packet::icmp::Problem;
use caribe_packet::key::Key;
use caribe_packet::server::REACHABLE;
use caribe_packet::service::ServiceKey;
use caribe_packet::table::Place;
use caribe_packet::transport::{RST, SYN, TCP};
use caribe_packet::verdict::Verdict;

use crate::choose;
use crate::clock::Moment;
use crate::create::{self, New};
use crate::find::Found;
use crate::forward::{self, Forward};
use crate::maps::SERVERS;
use crate::packet::{Packet, Rewrite};
use crate::traffic::count_in;
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
    let Some(number) = choose::server::<F, WORDS>(service, packet) else {
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
    let to = (number, server);
    forward::to_server::<F, WORDS>(context, packet, to, server.forwarding, &rewrite, moment)
}

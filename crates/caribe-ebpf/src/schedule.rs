//! The chapter of packets that belong to no connection: which server gets them?

use aya_ebpf::programs::XdpContext;
use caribe_packet::icmp::Problem;
use caribe_packet::key::Endpoints;
use caribe_packet::server::REACHABLE;
use caribe_packet::transport::{RST, SYN, TCP};
use caribe_packet::verdict::Verdict;

use crate::choose;
use crate::clock::Moment;
use crate::create::{self, New};
use crate::find::{At, Found};
use crate::forward::{self, Forward};
use crate::maps::{SERVERS, SETTINGS};
use crate::packet::Rewrite;
use crate::traffic::count_in;
use crate::verdict::{Outcome, drop, pass};

const FTP_DATA: [u8; 2] = 20u16.to_be_bytes();

/// Takes up a packet that [`flow`](crate::flow) left, and schedules it if it may start a
/// connection.
#[inline(always)]
pub fn schedule<F: Forward<WORDS>, const WORDS: usize>(context: &XdpContext) -> Outcome {
    let (Some(pending), Some(settings)) = (F::pending(), SETTINGS.get(0)) else {
        return drop(Verdict::DroppedInconsistent);
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    let pending = unsafe { &*pending };
    let moment = &Moment {
        settings,
        now: pending.now,
    };
    let packet = &pending.packet();
    let service = &pending.service;
    if packet.protocol == TCP && packet.flags & (RST | SYN) != SYN {
        return pass(Verdict::PassedNoConnection);
    }
    if packet.ports.source == FTP_DATA {
        return pass(Verdict::PassedFtpData);
    }
    let Some(number) = choose::server::<F, WORDS>(service, packet) else {
        return F::answer(context, Problem::NoServer, moment);
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
    let key = F::key(
        packet.source,
        packet.destination,
        Endpoints {
            client_port: packet.ports.source,
            peer_port: packet.ports.destination,
            protocol: packet.protocol,
        },
    );
    let Some(slot) = F::slot(pending.slot) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let found = Found {
        answer: pending.answer,
        at: At {
            slot,
            number: pending.slot,
        },
    };
    let new = New {
        key: &key,
        server: number,
        forwarding: server.forwarding,
        rewrite: &rewrite,
    };
    if !create::connection::<F, WORDS>(context, packet, &pending.place, &found, &new, moment) {
        return drop(Verdict::DroppedTableFull);
    }
    count_in(number, packet.length, 1);
    let to = (number, server);
    forward::to_server::<F, WORDS>(context, packet, to, server.forwarding, &rewrite, moment)
}

//! The chapter of packets whose server is chosen: their connection is made, and they go there.

use aya_ebpf::programs::XdpContext;
use caribe_packet::connection::SECURE;
use caribe_packet::key::Endpoints;
use caribe_packet::policy::SECURE_TCP;
use caribe_packet::trace::STATELESS;
use caribe_packet::verdict::Verdict;

use crate::chapter;
use crate::clock::Moment;
use crate::create::{self, New};
use crate::explain::note;
use crate::find::{At, Found};
use crate::forward::{self, Forward};
use crate::maps::{SERVERS, SETTINGS};
use crate::packet::Rewrite;
use crate::pending::{Errand, Manner};
use crate::traffic::{count_connection, count_in};
use crate::verdict::{Outcome, drop};

/// Takes up a packet for which [`schedule`](crate::schedule) chose.
#[inline(always)]
pub fn open<F: Forward<WORDS>, const WORDS: usize>(context: &XdpContext) -> Outcome {
    let (Some(pending), Some(settings)) = (F::pending(), SETTINGS.get(0)) else {
        return drop(Verdict::DroppedInconsistent);
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    let pending = unsafe { &mut *pending };
    let moment = &Moment {
        settings,
        now: pending.now,
    };
    let packet = &pending.packet();
    let Some(server) = SERVERS.get(pending.server) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let rewrite = Rewrite {
        address: F::server_address(&server.address),
        port: pending.server_port,
    };
    if pending.manner == Manner::Stateless {
        note(|trace| trace.met |= STATELESS);
    } else {
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
            server: pending.server,
            forwarding: server.forwarding,
            rewrite: &rewrite,
            control: pending.control,
            flags: if pending.policy & SECURE_TCP != 0 {
                SECURE
            } else {
                0
            },
            is_untouched: pending.errand != Errand::Packet,
            displaces: pending.manner == Manner::Displacing,
        };
        if !create::connection::<F, WORDS>(context, packet, &pending.place, &found, &new, moment) {
            return drop(Verdict::DroppedTableFull);
        }
    }
    count_connection(pending.server);
    if pending.errand != Errand::Packet {
        // Its way goes on as that of an error about a connection that is known.
        pending.errand = Errand::Scheduled;
        return chapter::turn_to(context, F::ERRORS);
    }
    count_in(pending.server, packet.length);
    let to = (pending.server, server);
    forward::to_server::<F, WORDS>(context, packet, to, server.forwarding, &rewrite, moment)
}

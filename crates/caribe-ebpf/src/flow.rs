//! The way of a TCP or UDP packet: connection, reply, or new.

use aya_ebpf::programs::XdpContext;
use caribe_packet::connection::{Connection, FORWARDING_MASK, NO_OUTPUT};
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::filter::Bit;
use caribe_packet::key::{Endpoints, Key};
use caribe_packet::server::{IN_SERVICE, MASQUERADE};
use caribe_packet::service::ServiceKey;
use caribe_packet::table::Place;
use caribe_packet::tcp_state::{Viewpoint, is_over};
use caribe_packet::transport::{RST, SYN, TCP};
use caribe_packet::verdict::Verdict;

use crate::chapter;
use crate::classify;
use crate::clock::{self, Moment};
use crate::family::Family;
use crate::find::{self, Answer, Found, Slot};
use crate::forward::{self, Forward};
use crate::frame;
use crate::maps::{NAT_SERVERS, SERVERS, SETTINGS};
use crate::packet::{Packet, Rewrite};
use crate::pending::Pending;
use crate::traffic::{count_in, count_out};
use crate::transition::{Event, transition};
use crate::verdict::{Outcome, drop, pass};

/// Finds out what a packet is part of, and forwards it.
#[inline(always)]
pub fn follow<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
) -> Outcome {
    let Some(settings) = SETTINGS.get(0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let Some(now) = clock::now() else {
        return drop(Verdict::DroppedInconsistent);
    };
    let moment = Moment { settings, now };

    if may_be_reply::<F, WORDS>(packet.source) {
        let key = F::key(
            packet.destination,
            packet.source,
            Endpoints {
                client_port: packet.ports.destination,
                peer_port: packet.ports.source,
                protocol: packet.protocol,
            },
        );
        let place = Place::new(key.hash(settings.reply_seed), F::buckets(settings));
        if let Some(slot) = find::reply::<F, WORDS>(&key, &place, now) {
            return reply::<F, WORDS>(context, packet, slot, &moment);
        }
    }

    let key = F::key(
        packet.source,
        packet.destination,
        Endpoints {
            client_port: packet.ports.source,
            peer_port: packet.ports.destination,
            protocol: packet.protocol,
        },
    );
    let place = Place::new(key.hash(settings.seed), F::buckets(settings));
    let mut found = find::request::<F, WORDS>(&key, &place, now);
    if found.answer == Answer::Alive {
        // SAFETY: a slot of a map.
        let state = unsafe { Slot::meta(found.at.slot) }.state();
        if !reopens(packet.protocol, packet.flags, state) {
            return request::<F, WORDS>(context, packet, found.at.slot, &moment);
        }
        found.answer = Answer::Expired;
    }
    if packet.is_later_fragment {
        return drop(Verdict::DroppedFragment);
    }
    leave::<F, WORDS>(context, packet, &place, &found, now)
}

/// Leaves a packet of no connection to the chapter that schedules, if it is for a service.
#[inline(always)]
fn leave<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
    place: &Place,
    found: &Found<Connection<Key<WORDS>, F::Address>>,
    now: u32,
) -> Outcome {
    let service = match classify::by_mark::<F, WORDS>(packet) {
        Some((service, _)) => service,
        None => match F::service(&ServiceKey {
            address: packet.destination,
            port: packet.ports.destination,
            protocol: packet.protocol,
            padding: 0,
        }) {
            Some(service) => service,
            None => return pass(Verdict::PassedNotOurs),
        },
    };
    let Some(pending) = F::pending() else {
        return drop(Verdict::DroppedInconsistent);
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    unsafe {
        pending.write(Pending {
            packet: *packet,
            service: *service,
            place: *place,
            answer: found.answer,
            slot: found.at.number,
            now,
        });
    }
    chapter::turn_to(context, F::SCHEDULING)
}

/// True for the first packet of a new connection from a port that the client used before: the old
/// connection is over, and the new one is scheduled afresh (IPVS: `conn_reuse_mode` 1).
#[inline(always)]
fn reopens(protocol: u8, flags: u8, state: u8) -> bool {
    protocol == TCP && flags & (RST | SYN) == SYN && is_over(state)
}

/// False when no NAT connection was ever sent to an address.
#[inline(always)]
pub fn may_be_reply<F: Family<WORDS>, const WORDS: usize>(source: F::Address) -> bool {
    let Bit { word, mask } = F::bit(source);
    NAT_SERVERS.get(word).is_some_and(|word| word & mask != 0)
}

/// A client's packet of a known connection.
#[inline(always)]
fn request<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
    slot: *mut Connection<Key<WORDS>, F::Address>,
    moment: &Moment,
) -> Outcome {
    // SAFETY: a slot of a map. Its fields change only while it is not alive.
    let (number, rewrite) = unsafe {
        let rewrite = Rewrite {
            address: (*slot).server_address,
            port: (*slot).server_port,
        };
        ((*slot).server, rewrite)
    };
    let Some(server) = SERVERS.get(number) else {
        return drop(Verdict::DroppedInconsistent);
    };
    if server.flags & IN_SERVICE == 0 {
        return drop(Verdict::DroppedServerGone);
    }
    count_in(number, packet.length, 0);
    // SAFETY: a slot of a map.
    let flags = unsafe { Slot::meta(slot) }.flags();
    let viewpoint = if flags & NO_OUTPUT != 0 {
        Viewpoint::InputOnly
    } else {
        Viewpoint::Input
    };
    let event = Event {
        protocol: packet.protocol,
        flags: packet.flags,
        viewpoint,
    };
    if !packet.is_later_fragment {
        transition(slot, number, &event, moment);
    }
    let method = (flags & FORWARDING_MASK) as u8;
    if method == MASQUERADE {
        remember_client::<F, WORDS>(context, slot);
    }
    forward::to_server::<F, WORDS>(context, packet, (number, server), method, &rewrite, moment)
}

/// A NAT server's packet: it goes back the way by which the client's packets come.
#[inline(always)]
fn reply<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
    slot: *mut Connection<Key<WORDS>, F::Address>,
    moment: &Moment,
) -> Outcome {
    // SAFETY: a slot of a map. Its fields change only while it is not alive.
    let number = unsafe { (*slot).server };
    count_out(number, packet.length);
    let event = Event {
        protocol: packet.protocol,
        flags: packet.flags,
        viewpoint: Viewpoint::Output,
    };
    if !packet.is_later_fragment {
        transition(slot, number, &event, moment);
    }
    forward::to_client::<F, WORDS>(context, packet, slot, moment)
}

/// Notes from where the client's packets come, should that have changed: a router was replaced.
#[inline(always)]
fn remember_client<F: Family<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    slot: *mut Connection<Key<WORDS>, F::Address>,
) {
    let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) else {
        return;
    };
    let interface = context.ingress_ifindex() as u32;
    // SAFETY: a slot of a map. Two processors may write at once only if the client's packets
    // come by two ways at once; then either is right.
    unsafe {
        let slot = &mut *slot;
        if word(ethernet.source) != word(slot.client_mac)
            || word(ethernet.destination) != word(slot.own_mac)
            || slot.client_interface != interface
        {
            slot.client_mac = ethernet.source;
            slot.own_mac = ethernet.destination;
            slot.client_interface = interface;
        }
    }
}

#[inline(always)]
fn word(mac: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = mac;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

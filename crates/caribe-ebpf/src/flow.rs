//! The way of a TCP, UDP or SCTP packet: connection, reply, or new.

use aya_ebpf::programs::XdpContext;
use caribe_packet::connection::{Connection, Control, FORWARDING_MASK, NO_OUTPUT};
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::event;
use caribe_packet::filter::Bit;
use caribe_packet::key::{Endpoints, Key};
use caribe_packet::policy::{EXPIRE_NODEST_CONN, Policy, REUSE, REUSE_FIN_WAIT};
use caribe_packet::sctp_state;
use caribe_packet::server::{IN_SERVICE, MASQUERADE, Server};
use caribe_packet::service::{Choice, is_hash, remembers};
use caribe_packet::settings::NAT_ICMP_SEND;
use caribe_packet::state::is_over;
use caribe_packet::table::Place;
use caribe_packet::tcp_state::{State, Viewpoint};
use caribe_packet::trace::{CONNECTION, REOPENED, REPLY, SERVER_GONE};
use caribe_packet::transport::{RST, SCTP, SYN, TCP};
use caribe_packet::verdict::Verdict;

use crate::chapter;
use crate::clock::{self, Moment};
use crate::explain::{explains, note};
use crate::family::Family;
use crate::find::{self, Answer, Found, Slot};
use crate::forward::{self, Forward};
use crate::frame;
use crate::maps::{NAT_SERVERS, POLICIES, SERVERS, SETTINGS};
use crate::packet::{Packet, Rewrite};
use crate::pending::Errand;
use crate::service;
use crate::traffic::{count_in, count_out};
use crate::transition::{Event, transition};
use crate::verdict::{Outcome, count_event, drop, pass};

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
        let slot = found.at.slot;
        // SAFETY: a slot of a map. Its fields change only while it is not alive.
        let number = unsafe { (*slot).server };
        let Some(server) = SERVERS.get(number) else {
            return drop(Verdict::DroppedInconsistent);
        };
        note(|trace| {
            trace.met |= CONNECTION;
            trace.connection = found.at.number;
            trace.server = number;
        });
        match end_of(slot, server, packet) {
            End::NotYet => {
                return request::<F, WORDS>(context, packet, slot, (number, server), &moment);
            }
            End::Refused => return drop(Verdict::DroppedServerGone),
            End::ServerGone => {
                note(|trace| trace.met |= SERVER_GONE);
                count_event(event::Event::ExpiredServerGone);
            }
            End::Reopened => {
                note(|trace| trace.met |= REOPENED);
                count_event(event::Event::Reopened);
            }
        }
        if !explains() {
            expire(slot, now);
        }
        found.answer = Answer::Expired;
    }
    if packet.is_later_fragment {
        return drop(Verdict::DroppedFragment);
    }
    leave::<F, WORDS>(context, packet, &place, &found, &moment)
}

/// Leaves a packet of no connection to the chapter that schedules, if it is for a service, and with
/// `nat_icmp_send` to that of strays, if it is not.
#[inline(always)]
fn leave<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
    place: &Place,
    found: &Found<Connection<Key<WORDS>, F::Address>>,
    moment: &Moment,
) -> Outcome {
    let Some(pending) = F::pending() else {
        return drop(Verdict::DroppedInconsistent);
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    unsafe {
        (*pending).packet = *packet;
        (*pending).now = moment.now;
    }
    let Some(of) = service::of_packet::<F, WORDS>(packet, moment.settings) else {
        if moment.settings.flags & NAT_ICMP_SEND != 0 {
            return chapter::turn_to(context, F::STRAYS);
        }
        return pass(Verdict::PassedNotOurs);
    };
    // Field by field, since the whole would lie on the stack first.
    // SAFETY: as above.
    unsafe {
        (*pending).service = *of.service;
        (*pending).place = *place;
        (*pending).answer = found.answer;
        (*pending).slot = found.at.number;
        (*pending).mark = of.mark;
        (*pending).port = of.port;
        (*pending).control = Control::NONE;
        (*pending).errand = Errand::Packet;
    }
    turn_to_choice::<F, WORDS>(context, of.service.choice)
}

/// Goes on in the chapter that schedules by a way to choose.
#[inline(always)]
pub fn turn_to_choice<F: Family<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    choice: u8,
) -> Outcome {
    if is_hash(choice) {
        chapter::turn_to(context, F::HASHING)
    } else if choice == Choice::Rotate as u8 || choice == Choice::TwoDrawn as u8 {
        chapter::turn_to(context, F::DRAWING)
    } else if remembers(choice) {
        chapter::turn_to(context, F::REMEMBERING)
    } else {
        chapter::turn_to(context, F::COMPARING)
    }
}

/// What becomes of a connection when a client's packet comes.
#[derive(Clone, Copy)]
enum End {
    /// It goes on.
    NotYet,
    /// Its server is gone: the packet is dropped.
    Refused,
    /// Its server is gone or quiesced: it is over, and the packet may start another.
    ServerGone,
    /// The client uses the port anew: the packet starts another.
    Reopened,
}

/// Whether a packet ends the connection that it belongs to. Most do not, for which a flag of the
/// server and the packet's flags are enough to know.
#[inline(always)]
fn end_of<const WORDS: usize, A>(
    slot: *mut Connection<Key<WORDS>, A>,
    server: &Server,
    packet: &Packet<A>,
) -> End {
    let is_new = packet.protocol == TCP && packet.flags & (RST | SYN) == SYN
        || packet.protocol == SCTP && packet.flags == sctp_state::Event::Init as u8;
    let is_gone = server.flags & IN_SERVICE == 0;
    if !is_new && !is_gone {
        return End::NotYet;
    }
    let Some(policy) = POLICIES.get(server.service) else {
        return End::NotYet;
    };
    let forgets = policy.has(EXPIRE_NODEST_CONN);
    if is_new && forgets && server.weight == 0 {
        return End::ServerGone;
    }
    if is_new && reopens(slot, policy) {
        return End::Reopened;
    }
    match (is_gone, forgets) {
        (false, _) => End::NotYet,
        (true, false) => End::Refused,
        (true, true) => End::ServerGone,
    }
}

/// Whether a SYN makes an old connection's ports a new one's (`conn_reuse_mode`).
#[inline(always)]
fn reopens<const WORDS: usize, A>(slot: *mut Connection<Key<WORDS>, A>, policy: &Policy) -> bool {
    // SAFETY: a slot of a map. Its template changes only while it is not alive.
    let is_controlled = Control(unsafe { (*slot).control }).is_some();
    // SAFETY: a slot of a map.
    let meta = unsafe { Slot::meta(slot) };
    let is_half_seen = meta.state() == State::FinWait as u8 && meta.flags() & NO_OUTPUT != 0;
    !is_controlled
        && (policy.has(REUSE | REUSE_FIN_WAIT) && is_over(meta.state())
            || policy.has(REUSE_FIN_WAIT) && is_half_seen)
}

/// Makes a connection's time be over.
#[inline(always)]
fn expire<const WORDS: usize, A>(slot: *mut Connection<Key<WORDS>, A>, now: u32) {
    let word = Slot::meta_word(slot);
    // SAFETY: the upper half of the word, which is a deadline and nothing else.
    unsafe {
        word.cast::<u32>()
            .add(1)
            .write_volatile(now.wrapping_sub(1));
    };
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
    (number, server): (u32, &Server),
    moment: &Moment,
) -> Outcome {
    // SAFETY: a slot of a map. Its fields change only while it is not alive.
    let rewrite = unsafe {
        Rewrite {
            address: (*slot).server_address,
            port: (*slot).server_port,
        }
    };
    count_in(number, packet.length);
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
        transition::<F, WORDS>(slot, number, &event, moment);
    }
    let method = (flags & FORWARDING_MASK) as u8;
    if method == MASQUERADE && !explains() {
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
    note(|trace| {
        trace.met |= REPLY;
        trace.server = number;
    });
    // The packets of a server that was removed are let through, and not counted.
    if SERVERS
        .get(number)
        .is_some_and(|server| server.flags & IN_SERVICE != 0)
    {
        count_out(number, packet.length);
    }
    let event = Event {
        protocol: packet.protocol,
        flags: packet.flags,
        viewpoint: Viewpoint::Output,
    };
    if !packet.is_later_fragment {
        transition::<F, WORDS>(slot, number, &event, moment);
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

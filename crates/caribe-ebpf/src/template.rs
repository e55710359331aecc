//! Templates: which server do a persistent service's clients have?

use aya_ebpf::programs::XdpContext;
use caribe_packet::connection::{Control, Meta};
use caribe_packet::event::Event;
use caribe_packet::key::{Endpoints, Key};
use caribe_packet::policy::{EXPIRE_QUIESCENT_TEMPLATE, Policy};
use caribe_packet::server::{IN_SERVICE, Server};
use caribe_packet::settings::ticks_of_seconds;
use caribe_packet::table::Place;
use caribe_packet::trace::TEMPLATE;

use crate::atomic;
use crate::clock::Moment;
use crate::create::{self, New};
use crate::explain::{explains, note};
use crate::family::Family;
use crate::find::{self, Answer, Slot};
use crate::maps::SERVERS;
use crate::packet::{Packet, Rewrite};
use crate::pending::Pending;
use crate::service::FTP_PORT;
use crate::verdict::count_event;

/// What a template says.
pub struct Known {
    /// The client's server; 0 if no template tells.
    pub server: u32,
    /// The template.
    pub control: Control,
}

impl Known {
    /// No template.
    #[inline(always)]
    pub const fn nothing() -> Self {
        Known {
            server: 0,
            control: Control::NONE,
        }
    }
}

/// Ticks (two seconds) for which a template that is over may be used: the sweeper, which knows
/// whether there still are connections from it, has not seen it yet.
const UNSWEPT: u32 = 2000;

/// True for a packet to the very port of its service.
#[inline(always)]
fn is_own_port<A>(pending: &Pending<A>, packet: &Packet<A>) -> bool {
    pending.mark == 0 && packet.ports.destination == pending.port
}

/// The key of a packet's template: the client as far as the mask lets it count, and the service.
#[inline(always)]
fn key<F: Family<WORDS>, const WORDS: usize>(
    pending: &Pending<F::Address>,
    packet: &Packet<F::Address>,
    policy: &Policy,
) -> Key<WORDS> {
    let is_own = is_own_port(pending, packet) && pending.port != FTP_PORT;
    let (peer, protocol) = if pending.mark != 0 {
        (F::of_mark(pending.mark), 0)
    } else {
        (packet.destination, packet.protocol)
    };
    F::key(
        F::masked(packet.source, &policy.mask),
        peer,
        Endpoints {
            client_port: [0, 0],
            peer_port: if is_own { pending.port } else { [0, 0] },
            protocol,
        },
    )
    .into_template()
}

/// The server that a client's template names, whose time then begins anew.
#[inline(always)]
pub fn find<F: Family<WORDS>, const WORDS: usize>(
    pending: &Pending<F::Address>,
    packet: &Packet<F::Address>,
    policy: &Policy,
    moment: &Moment,
) -> Known {
    let key = key::<F, WORDS>(pending, packet, policy);
    let place = Place::new(key.hash(moment.settings.seed), F::buckets(moment.settings));
    let found = find::request::<F, WORDS>(&key, &place, moment.now);
    if found.answer == Answer::Nothing {
        return Known::nothing();
    }
    let slot = found.at.slot;
    // SAFETY: a slot of a map. Its fields change only while it is not alive.
    let number = unsafe { (*slot).server };
    let word = Slot::meta_word(slot);
    // SAFETY: a slot of a map.
    let old = Meta(unsafe { atomic::load(word) });
    let Some(server) = SERVERS.get(number) else {
        return Known::nothing();
    };
    let is_given_up = server.weight == 0 && policy.has(EXPIRE_QUIESCENT_TEMPLATE);
    if !old.is_alive()
        || old.is_expired(moment.now.wrapping_sub(UNSWEPT))
        || server.flags & IN_SERVICE == 0
        || is_given_up
    {
        return Known::nothing();
    }
    let deadline = moment.now.wrapping_add(ticks_of_seconds(policy.timeout));
    let new = old.with_deadline(deadline);
    // Fails if the sweeper or another packet was faster; then it is looked for in vain this once.
    if !explains()
        && old.deadline() != deadline
        // SAFETY: a slot of a map.
        && !unsafe { atomic::compare_and_swap(word, old.0, new.0) }
    {
        // SAFETY: a slot of a map.
        if !unsafe { Slot::meta(slot) }.is_alive() {
            return Known::nothing();
        }
    }
    note(|trace| {
        trace.met |= TEMPLATE;
        trace.template = found.at.number;
    });
    Known {
        server: number,
        control: Control::new(found.at.number, place.wide_tag),
    }
}

/// Makes a template for a client whose server was just chosen, in the place of the one that the
/// client had, if it cannot be used any more.
#[inline(always)]
pub fn make<F: Family<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    pending: &Pending<F::Address>,
    packet: &Packet<F::Address>,
    policy: &Policy,
    (number, server): (u32, &Server),
    moment: &Moment,
) -> Control {
    let key = key::<F, WORDS>(pending, packet, policy);
    let place = Place::new(key.hash(moment.settings.seed), F::buckets(moment.settings));
    let found = find::request::<F, WORDS>(&key, &place, moment.now);
    let is_own = is_own_port(pending, packet) && pending.port != FTP_PORT;
    let rewrite = Rewrite {
        address: F::server_address(&server.address),
        port: if is_own { server.port } else { [0, 0] },
    };
    let new = New {
        key: &key,
        server: number,
        forwarding: server.forwarding,
        rewrite: &rewrite,
        control: Control::NONE,
        flags: 0,
        is_untouched: false,
        displaces: false,
    };
    let deadline = moment.now.wrapping_add(ticks_of_seconds(policy.timeout));
    count_event(Event::TemplateMade);
    create::template::<F, WORDS>(context, &place, &found, &new, deadline)
}

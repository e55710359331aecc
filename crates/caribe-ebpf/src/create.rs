//! A new connection: claiming a slot, filling it, and indexing its replies.

use aya_ebpf::programs::XdpContext;
use caribe_packet::connection::{
    Connection, Control, FORWARDING_MASK, INACTIVE, Life, Meta, NO_OUTPUT, TEMPLATE, TEMPLATE_NONE,
};
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::event::Event;
use caribe_packet::filter::Bit;
use caribe_packet::key::{Endpoints, Key};
use caribe_packet::server::{Load, MASQUERADE};
use caribe_packet::settings::ticks_of_seconds;
use caribe_packet::state::{first, is_embryonic};
use caribe_packet::table::{Place, WAYS, Ways, is_used, prefer_secondary, reply_entry, set_tag};
use caribe_packet::tcp_state::{State, Viewpoint};
use caribe_packet::trace::{OPENED, TEMPLATE_MADE};

use crate::atomic;
use crate::clock::Moment;
use crate::explain::{explains, note};
use crate::family::{Family, ReplyBucket};
use crate::find::{Answer, At, Found, Slot};
use crate::frame;
use crate::maps::NAT_SERVERS;
use crate::packet::{Packet, Rewrite};
use crate::transition::{self, after, bind, look_at_load, timeout, unbind};
use crate::verdict::count_event;

/// What a new connection is.
pub struct New<'a, const WORDS: usize, A> {
    /// The flow.
    pub key: &'a Key<WORDS>,
    /// Index of its server.
    pub server: u32,
    /// Its forwarding method, which it keeps.
    pub forwarding: u8,
    /// What NAT puts into its packets.
    pub rewrite: &'a Rewrite<A>,
    /// Its template.
    pub control: Control,
    /// Flags that it begins with, beside those of its method.
    pub flags: u16,
    /// Whether it was scheduled for an ICMP error: no packet of its own has moved it yet.
    pub is_untouched: bool,
    /// Whether it may take the place of a connection that got no further than its SYN or
    /// INIT.
    pub displaces: bool,
}

/// For how long IPVS keeps a connection that no packet has moved.
const UNTOUCHED: u32 = ticks_of_seconds(3);

/// How often a slot is claimed anew when another processor was faster.
const TRIES: u32 = 3;

/// Enters a connection into the table; false if there is no room for it.
#[inline(always)]
pub fn connection<F: Family<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
    place: &Place,
    found: &Found<Connection<Key<WORDS>, F::Address>>,
    new: &New<'_, WORDS, F::Address>,
    moment: &Moment,
) -> bool {
    let mut claimed = if found.answer == Answer::Expired {
        take_over(found.at)
    } else {
        claim::<F, WORDS>(place)
    };
    if claimed.is_none() && new.displaces {
        claimed = displace::<F, WORDS>(place, moment);
    }
    let Some(At { slot, number }) = claimed else {
        return false;
    };
    let replies_come_here = new.forwarding == MASQUERADE;
    if explains() {
        note(|trace| trace.met |= OPENED);
        return !replies_come_here || index_reply::<F, WORDS>(new, number, moment);
    }
    // SAFETY: the slot is ours until its life says that it is alive.
    unsafe { fill::<F, WORDS>(context, slot, new) };

    let indexed = !replies_come_here || index_reply::<F, WORDS>(new, number, moment);
    let meta = if indexed {
        let viewpoint = if replies_come_here {
            Viewpoint::Input
        } else {
            Viewpoint::InputOnly
        };
        let event = transition::Event {
            protocol: packet.protocol,
            flags: packet.flags,
            viewpoint,
        };
        let output = if replies_come_here { 0 } else { NO_OUTPUT };
        let flags = new.forwarding as u16 | new.flags | output | INACTIVE;
        if new.is_untouched {
            let deadline = moment.now.wrapping_add(UNTOUCHED);
            Meta::new(Life::Alive, first(packet.protocol), flags, deadline)
        } else {
            let (state, flags) = after(State::None as u8, flags, &event);
            let deadline = moment.now.wrapping_add(timeout(state, moment));
            Meta::new(Life::Alive, state, flags, deadline)
        }
    } else {
        // Left to the sweeper, already expired.
        let flags = new.forwarding as u16 | INACTIVE;
        Meta::new(
            Life::Alive,
            State::None as u8,
            flags,
            moment.now.wrapping_sub(1),
        )
    };
    bind(new.server, Load::one(meta.flags() & INACTIVE != 0));
    let word = Slot::meta_word(slot);
    // An exchange rather than a store, so that the other fields are written before it.
    // SAFETY: the slot is ours; nobody else changes a slot that is being filled.
    unsafe { atomic::compare_and_swap(word, atomic::load(word), meta.0) };
    indexed
}

/// Enters a template into the table, for so many ticks; gives what its connections note of it,
/// which is nothing if there is no room.
#[inline(always)]
pub fn template<F: Family<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    place: &Place,
    found: &Found<Connection<Key<WORDS>, F::Address>>,
    new: &New<'_, WORDS, F::Address>,
    deadline: u32,
) -> Control {
    let claimed = if found.answer == Answer::Nothing {
        claim::<F, WORDS>(place)
    } else {
        take_over(found.at)
    };
    let Some(At { slot, number }) = claimed else {
        return Control::NONE;
    };
    if explains() {
        note(|trace| trace.met |= TEMPLATE_MADE);
        return Control::new(number, place.wide_tag);
    }
    // SAFETY: the slot is ours until its life says that it is alive.
    unsafe { fill::<F, WORDS>(context, slot, new) };
    let flags = new.forwarding as u16 | TEMPLATE;
    let meta = Meta::new(Life::Alive, TEMPLATE_NONE, flags, deadline);
    let word = Slot::meta_word(slot);
    // SAFETY: the slot is ours; nobody else changes a slot that is being filled.
    unsafe { atomic::compare_and_swap(word, atomic::load(word), meta.0) };
    look_at_load(new.server);
    Control::new(number, place.wide_tag)
}

/// Claims the slot of an expired connection of the same flow, in place of the sweeper.
#[inline(always)]
fn take_over<const WORDS: usize, A>(
    at: At<Connection<Key<WORDS>, A>>,
) -> Option<At<Connection<Key<WORDS>, A>>> {
    let word = Slot::meta_word(at.slot);
    // SAFETY: a slot of a map.
    let old = Meta(unsafe { atomic::load(word) });
    // SAFETY: a slot of a map.
    let server = unsafe { (*at.slot).server };
    if explains() {
        return if old.is_alive() { Some(at) } else { None };
    }
    if !old.is_alive()
        // SAFETY: a slot of a map.
        || !unsafe { atomic::compare_and_swap(word, old.0, old.with_life(Life::Filling).0) }
    {
        return None;
    }
    // A template is in no server's load.
    if old.flags() & TEMPLATE == 0 {
        unbind(server, Load::one(old.flags() & INACTIVE != 0));
    }
    Some(at)
}

/// Claims the slot of a connection in the flow's first bucket that got no further than its SYN or
/// INIT.
///
/// Its client, should there be one, opens its connection anew. Whatever got further stays.
#[inline(always)]
fn displace<F: Family<WORDS>, const WORDS: usize>(
    place: &Place,
    moment: &Moment,
) -> Option<At<Connection<Key<WORDS>, F::Address>>> {
    let tags = F::tags(place.primary)?;
    for way in 0..WAYS {
        let number = place.primary * WAYS + way;
        let slot = F::slot(number)?;
        // SAFETY: a slot of a map.
        let meta = unsafe { Slot::meta(slot) };
        if !meta.is_alive() || !is_embryonic(meta.state()) {
            continue;
        }
        let at = take_over(At { slot, number })?;
        if explains() {
            return Some(at);
        }
        if meta.flags() & FORWARDING_MASK == MASQUERADE as u16 {
            unindex_reply::<F, WORDS>(&at, moment);
        }
        // The tag is ours to change, as the slot is; its neighbours may change at the same time.
        for _ in 0..TRIES {
            // SAFETY: a word of a map.
            let word = unsafe { atomic::load(tags) };
            // SAFETY: a word of a map.
            if unsafe { atomic::compare_and_swap(tags, word, set_tag(word, way, place.tag)) } {
                count_event(Event::DisplacedEmbryonic);
                return Some(at);
            }
        }
        // Left as it is: to the sweeper, a slot whose filler died.
        return None;
    }
    None
}

/// Claims a free slot in one of the flow's buckets.
#[inline(always)]
fn claim<F: Family<WORDS>, const WORDS: usize>(
    place: &Place,
) -> Option<At<Connection<Key<WORDS>, F::Address>>> {
    let primary = F::tags(place.primary)?;
    let secondary = F::tags(place.secondary)?;
    for _ in 0..TRIES {
        // SAFETY: words of a map.
        let (first, second) = unsafe { (atomic::load(primary), atomic::load(secondary)) };
        let (bucket, tags, word) = if prefer_secondary(first, second) {
            (place.secondary, secondary, second)
        } else {
            (place.primary, primary, first)
        };
        let free = Ways::with_tag(word, 0);
        if free.is_empty() {
            return None;
        }
        let (way, _) = free.split();
        // SAFETY: a word of a map.
        if explains()
            || unsafe { atomic::compare_and_swap(tags, word, set_tag(word, way, place.tag)) }
        {
            let number = bucket * WAYS + way;
            return Some(At {
                slot: F::slot(number)?,
                number,
            });
        }
    }
    None
}

/// Writes everything but life, state and deadline.
///
/// # Safety
///
/// The slot is claimed by the caller.
#[inline(always)]
unsafe fn fill<F: Family<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    slot: *mut Connection<Key<WORDS>, F::Address>,
    new: &New<'_, WORDS, F::Address>,
) {
    // SAFETY: passed on to the caller.
    let slot = unsafe { &mut *slot };
    slot.meta = Meta::new(Life::Filling, 0, 0, 0).0;
    slot.key = *new.key;
    slot.server = new.server;
    slot.server_address = new.rewrite.address;
    slot.server_port = new.rewrite.port;
    slot.control = new.control.0;
    slot.client_interface = context.ingress_ifindex() as u32;
    if let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) {
        slot.client_mac = ethernet.source;
        slot.own_mac = ethernet.destination;
    }
}

/// Enters a slot into the reply index; false if there is no room for it.
#[inline(always)]
fn index_reply<F: Family<WORDS>, const WORDS: usize>(
    new: &New<'_, WORDS, F::Address>,
    number: u32,
    moment: &Moment,
) -> bool {
    let request = new.key.endpoints();
    let key = F::key(
        F::client(new.key),
        new.rewrite.address,
        Endpoints {
            peer_port: new.rewrite.port,
            ..request
        },
    );
    let place = Place::new(
        key.hash(moment.settings.reply_seed),
        F::buckets(moment.settings),
    );
    let entry = reply_entry(place.wide_tag, number);
    let (Some(primary), Some(secondary)) = (F::replies(place.primary), F::replies(place.secondary))
    else {
        return false;
    };
    if !explains() {
        expect_replies_from::<F, WORDS>(new.rewrite.address);
    }
    let bucket = if used(secondary) < used(primary) {
        secondary
    } else {
        primary
    };
    for way in 0..WAYS as usize {
        // SAFETY: `way` is inside the bucket.
        let word = unsafe { bucket.cast::<u64>().add(way) };
        // SAFETY: a word of a map.
        let found = unsafe { atomic::load(word) };
        // The entry may be there already, left over from an earlier life of its slot.
        if found == entry
            || found == 0
                // SAFETY: a word of a map.
                && (explains() || unsafe { atomic::compare_and_swap(word, 0, entry) })
        {
            return true;
        }
    }
    false
}

/// Takes a slot that is ours out of the reply index, before it becomes another connection's. What
/// is left there would soon fill the index in a flood.
#[inline(always)]
fn unindex_reply<F: Family<WORDS>, const WORDS: usize>(
    at: &At<Connection<Key<WORDS>, F::Address>>,
    moment: &Moment,
) {
    // SAFETY: a slot of a map, claimed by the caller.
    let slot = unsafe { &*at.slot };
    let key = F::key(
        F::client(&slot.key),
        slot.server_address,
        Endpoints {
            peer_port: slot.server_port,
            ..slot.key.endpoints()
        },
    );
    let place = Place::new(
        key.hash(moment.settings.reply_seed),
        F::buckets(moment.settings),
    );
    let entry = reply_entry(place.wide_tag, at.number);
    for bucket in [place.primary, place.secondary] {
        let Some(bucket) = F::replies(bucket) else {
            return;
        };
        for way in 0..WAYS as usize {
            // SAFETY: `way` is inside the bucket.
            let word = unsafe { bucket.cast::<u64>().add(way) };
            // SAFETY: a word of a map.
            unsafe {
                if atomic::load(word) == entry {
                    atomic::compare_and_swap(word, entry, 0);
                }
            }
        }
    }
}

/// Sets the address's bit among those of NAT servers. Servers are few, so it mostly is set.
#[inline(always)]
fn expect_replies_from<F: Family<WORDS>, const WORDS: usize>(server: F::Address) {
    let Bit { word, mask } = F::bit(server);
    let Some(word) = NAT_SERVERS.get_ptr_mut(word) else {
        return;
    };
    // SAFETY: a word of a map.
    unsafe {
        if atomic::load(word) & mask == 0 {
            atomic::set_bits(word, mask);
        }
    }
}

/// Words of a reply bucket that are in use.
#[inline(always)]
fn used(bucket: *mut ReplyBucket) -> u64 {
    let mut used = 0;
    for way in 0..WAYS as usize {
        // SAFETY: `way` is inside the bucket.
        let word = unsafe { atomic::load(bucket.cast::<u64>().add(way)) };
        used += is_used(word);
    }
    used
}

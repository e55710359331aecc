//! Second stage: is there a connection?

use caribe_packet::connection::Connection;
use caribe_packet::connection::FORWARDING_MASK;
use caribe_packet::key::Key;
use caribe_packet::server::MASQUERADE;
use caribe_packet::table::{Place, WAYS, Ways, reply_slot};

use crate::atomic;
use crate::family::Family;

/// A slot of the connection table, and its number.
pub struct At<C> {
    /// Where it is.
    pub slot: *mut C,
    /// Which it is.
    pub number: u32,
}

impl<C> Clone for At<C> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for At<C> {}

/// What the table says of a flow.
///
/// Every field always has a value: from an enum the compiler would copy the payload of a variant
/// that has none, and the verifier refuses to read what was never written.
pub struct Found<C> {
    /// What the rest means.
    pub answer: Answer,
    /// The slot, unless there is nothing.
    pub at: At<C>,
}

/// What a look-up found.
#[derive(Clone, Copy, PartialEq)]
#[repr(u32)]
pub enum Answer {
    /// A connection.
    Alive,
    /// A connection whose time is over but whose slot is not swept yet: no packet may use it, a
    /// new connection of the same flow takes it over.
    Expired,
    /// Nothing.
    Nothing,
}

impl<C> Found<C> {
    #[inline(always)]
    const fn nothing() -> Self {
        Found {
            answer: Answer::Nothing,
            at: At {
                slot: core::ptr::null_mut(),
                number: 0,
            },
        }
    }
}

/// The connection of a client's packet.
#[inline(always)]
pub fn request<F: Family<WORDS>, const WORDS: usize>(
    key: &Key<WORDS>,
    place: &Place,
    now: u32,
) -> Found<Connection<Key<WORDS>, F::Address>> {
    if let Some(at) = in_bucket::<F, WORDS>(key, place.primary, place.tag) {
        return alive_or_expired(at, now);
    }
    if let Some(at) = in_bucket::<F, WORDS>(key, place.secondary, place.tag) {
        return alive_or_expired(at, now);
    }
    Found::nothing()
}

/// The connection of a NAT server's packet: `key` has the server as its peer.
#[inline(always)]
pub fn reply<F: Family<WORDS>, const WORDS: usize>(
    key: &Key<WORDS>,
    place: &Place,
    now: u32,
) -> Option<*mut Connection<Key<WORDS>, F::Address>> {
    let at = match in_reply_bucket::<F, WORDS>(key, place.primary, place.wide_tag) {
        Some(at) => at,
        None => in_reply_bucket::<F, WORDS>(key, place.secondary, place.wide_tag)?,
    };
    let found = alive_or_expired(at, now);
    if found.answer == Answer::Alive {
        Some(found.at.slot)
    } else {
        None
    }
}

#[inline(always)]
fn in_bucket<F: Family<WORDS>, const WORDS: usize>(
    key: &Key<WORDS>,
    bucket: u32,
    tag: u8,
) -> Option<At<Connection<Key<WORDS>, F::Address>>> {
    // SAFETY: a word of a map, read once.
    let word = unsafe { atomic::load(F::tags(bucket)?) };
    let mut ways = Ways::with_tag(word, tag);
    for _ in 0..WAYS {
        if ways.is_empty() {
            return None;
        }
        let (way, rest) = ways.split();
        ways = rest;
        let number = bucket * WAYS + way;
        let slot = F::slot(number)?;
        // SAFETY: a slot of a map. Whether a slot that is being written matches is of no account:
        // it is not alive.
        if unsafe { (*slot).key.is(key) } {
            return Some(At { slot, number });
        }
    }
    None
}

#[inline(always)]
fn in_reply_bucket<F: Family<WORDS>, const WORDS: usize>(
    key: &Key<WORDS>,
    bucket: u32,
    wide_tag: u32,
) -> Option<At<Connection<Key<WORDS>, F::Address>>> {
    let entries = F::replies(bucket)?.cast::<u64>();
    for way in 0..WAYS as usize {
        // SAFETY: `way` is inside the bucket.
        let entry = unsafe { atomic::load(entries.add(way)) };
        let Some(number) = reply_slot(entry, wide_tag) else {
            continue;
        };
        let slot = F::slot(number)?;
        // SAFETY: a slot of a map.
        if unsafe { is_reply_of::<F, WORDS>(&*slot, key) } {
            return Some(At { slot, number });
        }
    }
    None
}

/// True when `key`, with the server as its peer, is the reply's side of a NAT connection.
#[inline(always)]
fn is_reply_of<F: Family<WORDS>, const WORDS: usize>(
    connection: &Connection<Key<WORDS>, F::Address>,
    key: &Key<WORDS>,
) -> bool {
    let (request, reply) = (connection.key.endpoints(), key.endpoints());
    connection.server_address == F::peer(key)
        && connection.server_port == reply.peer_port
        && request.client_port == reply.client_port
        && request.protocol == reply.protocol
        && F::client(&connection.key) == F::client(key)
        && connection.meta().flags() & FORWARDING_MASK == MASQUERADE as u16
}

#[inline(always)]
fn alive_or_expired<C: Slot>(at: At<C>, now: u32) -> Found<C> {
    // SAFETY: a slot of a map.
    let meta = unsafe { C::meta(at.slot) };
    if !meta.is_alive() {
        return Found::nothing();
    }
    let answer = if meta.is_expired(now) {
        Answer::Expired
    } else {
        Answer::Alive
    };
    Found { answer, at }
}

/// A slot of either family.
pub trait Slot {
    /// Reads the word of life, state, flags and deadline once.
    ///
    /// # Safety
    ///
    /// `slot` points into a map.
    unsafe fn meta(slot: *mut Self) -> caribe_packet::connection::Meta;

    /// Where that word is.
    fn meta_word(slot: *mut Self) -> *mut u64;
}

impl<K, A> Slot for Connection<K, A> {
    #[inline(always)]
    unsafe fn meta(slot: *mut Self) -> caribe_packet::connection::Meta {
        // SAFETY: passed on to the caller.
        caribe_packet::connection::Meta(unsafe { atomic::load(Self::meta_word(slot)) })
    }

    #[inline(always)]
    fn meta_word(slot: *mut Self) -> *mut u64 {
        // SAFETY: only an address is computed.
        unsafe { &raw mut (*slot).meta }
    }
}

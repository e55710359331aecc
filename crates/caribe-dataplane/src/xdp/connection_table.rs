//! The connection table of one address family, seen from user space.
//!
//! The very functions that the packet path hashes and compares with are used here; see
//! [`caribe_packet::table`] for the geometry and [`caribe_packet::connection`] for who may write
//! what when.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use caribe_model::{Forwarding, Protocol};
use caribe_packet::connection::{
    Connection4, Connection6, Control, FORWARDING_MASK, INACTIVE, Life, Meta, TEMPLATE,
    TEMPLATE_ASSURED,
};
use caribe_packet::key::{Endpoints, Key4, Key6};
use caribe_packet::server::{MASQUERADE, Server};
use caribe_packet::settings::{Settings, TICK_SHIFT};
use caribe_packet::state;
use caribe_packet::table::{Place, WAYS, Ways, reply_entry, set_tag};
use serde::{Deserialize, Serialize};

use super::encoding;
use crate::mapped::{Mapped, MappedArray};

/// A connection, as listings show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveConnection {
    /// Transport protocol, by its number; 0 for the template of a firewall mark.
    pub protocol: u8,
    /// The client; for a template, its address under the netmask, and port 0.
    pub client: SocketAddr,
    /// The address and port that it talks to. For the template of a firewall mark the mark stands
    /// in the first four bytes of the address.
    pub vip: SocketAddr,
    /// The real server.
    pub server: SocketAddr,
    /// Name of the state as `ipvsadm -Lnc` prints it.
    pub state: String,
    /// Forwarding method, fixed when the connection began.
    pub forwarding: Forwarding,
    /// True when it counts as active.
    pub active: bool,
    /// True for a template: no connection, but the server that a client's connections go to.
    #[serde(default)]
    pub template: bool,
    /// Time until it expires, unless a packet comes.
    pub left: Duration,
}

/// A flow to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Transport protocol.
    pub protocol: Protocol,
    /// The client.
    pub client: SocketAddr,
    /// The address and port that it talks to.
    pub vip: SocketAddr,
}

/// An address family's slot.
pub(super) trait Family {
    /// The slot.
    type Slot: Mapped;
    /// Words of the key, from the start of the slot.
    const KEY_WORDS: usize;
    /// The word of [`Meta`] in a slot.
    const META: usize;

    fn buckets(settings: &Settings) -> u32;
    fn server(slot: &Self::Slot) -> u32;
    fn endpoints(slot: &Self::Slot) -> Endpoints;
    fn client(slot: &Self::Slot) -> IpAddr;
    fn peer(slot: &Self::Slot) -> IpAddr;
    fn server_address(slot: &Self::Slot) -> IpAddr;
    fn server_port(slot: &Self::Slot) -> [u8; 2];
    /// The template that a connection was made from.
    fn control(slot: &Self::Slot) -> Control;
    /// What the slot is, as a number of `caribe_packet::key::Kind`.
    fn kind(slot: &Self::Slot) -> u8;
    /// The hash by which a slot's requests find it.
    fn request_hash(slot: &Self::Slot, settings: &Settings) -> u64;
    /// The hash by which the replies of a NAT connection find it.
    fn reply_hash(slot: &Self::Slot, settings: &Settings) -> u64;
}

/// IPv4.
#[derive(Debug)]
pub(super) struct V4;

/// IPv6.
#[derive(Debug)]
pub(super) struct V6;

macro_rules! family {
    ($name:ident, $slot:ty, $key:ty, $address:ty, $buckets:ident) => {
        impl Family for $name {
            type Slot = $slot;
            const KEY_WORDS: usize = size_of::<$key>() / 8;
            const META: usize = offset_of!($slot, meta) / 8;

            fn buckets(settings: &Settings) -> u32 {
                settings.$buckets
            }
            fn server(slot: &$slot) -> u32 {
                slot.server
            }
            fn endpoints(slot: &$slot) -> Endpoints {
                slot.key.endpoints()
            }
            fn client(slot: &$slot) -> IpAddr {
                <$address>::from(slot.key.client()).into()
            }
            fn peer(slot: &$slot) -> IpAddr {
                <$address>::from(slot.key.peer()).into()
            }
            fn server_address(slot: &$slot) -> IpAddr {
                <$address>::from(slot.server_address).into()
            }
            fn server_port(slot: &$slot) -> [u8; 2] {
                slot.server_port
            }
            fn control(slot: &$slot) -> Control {
                Control(slot.control)
            }
            fn kind(slot: &$slot) -> u8 {
                slot.key.kind()
            }
            fn request_hash(slot: &$slot, settings: &Settings) -> u64 {
                slot.key.hash(settings.seed)
            }
            fn reply_hash(slot: &$slot, settings: &Settings) -> u64 {
                let endpoints = Endpoints {
                    peer_port: slot.server_port,
                    ..slot.key.endpoints()
                };
                <$key>::new(slot.key.client(), slot.server_address, endpoints)
                    .hash(settings.reply_seed)
            }
        }
    };
}

family!(V4, Connection4, Key4, Ipv4Addr, buckets4);
family!(V6, Connection6, Key6, Ipv6Addr, buckets6);

const _: () = assert!(offset_of!(Connection4, key) == 0 && offset_of!(Connection6, key) == 0);

/// The arrays of one address family.
#[derive(Debug)]
pub(super) struct ConnectionTable<F: Family> {
    /// A word of tags for each bucket.
    pub(super) tags: MappedArray<u64>,
    /// Eight slots for each bucket.
    pub(super) slots: MappedArray<F::Slot>,
    /// Eight words of the reply index for each bucket.
    pub(super) replies: MappedArray<[u64; 8]>,
}

/// A slot with a tag, and its word of life at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occupied {
    /// Number of the slot.
    pub(super) slot: u32,
    /// Its tag.
    pub(super) tag: u8,
    /// State, flags, life and deadline.
    pub(super) meta: Meta,
}

impl<F: Family> ConnectionTable<F> {
    /// Bytes of the three arrays.
    pub(super) fn memory(&self) -> u64 {
        let buckets = u64::from(self.tags.len());
        buckets * (8 + 8 * size_of::<F::Slot>() as u64 + 64)
    }

    /// Slots that have a tag, by number.
    pub(super) fn occupied(&self) -> impl Iterator<Item = Occupied> {
        (0..self.tags.len()).flat_map(move |bucket| self.occupied_in(bucket))
    }

    /// Slots of one bucket that have a tag.
    pub(super) fn occupied_in(&self, bucket: u32) -> impl Iterator<Item = Occupied> {
        let tags = self.tags.word(bucket).load(Ordering::Acquire).to_le_bytes();
        (0..WAYS)
            .zip(tags)
            .filter(|(_, tag)| *tag != 0)
            .map(move |(way, tag)| {
                let slot = bucket * WAYS + way;
                Occupied {
                    slot,
                    tag,
                    meta: self.meta(slot),
                }
            })
    }

    fn meta_word(&self, slot: u32) -> &AtomicU64 {
        &self.slots.words(slot)[F::META]
    }

    /// The word of life of a slot.
    pub(super) fn meta(&self, slot: u32) -> Meta {
        Meta(self.meta_word(slot).load(Ordering::Acquire))
    }

    /// Reads a slot that is alive; `None` when it is not, or changed hands while it was read.
    pub(super) fn read_alive(&self, slot: u32) -> Option<(F::Slot, Meta)> {
        let before = self.meta(slot);
        if !before.is_alive() {
            return None;
        }
        let read = self.slots.read(slot);
        let after = self.meta(slot);
        let place = |slot: &F::Slot| {
            let Endpoints {
                client_port,
                peer_port,
                protocol,
            } = F::endpoints(slot);
            (
                F::client(slot),
                F::peer(slot),
                client_port,
                peer_port,
                protocol,
                F::server(slot),
                F::kind(slot),
            )
        };
        let same = after.is_alive() && place(&read) == place(&self.slots.read(slot));
        // A key is written last: one of no kind is not there yet.
        (same && F::kind(&read) != 0).then_some((read, after))
    }

    /// What connections note of the template in a slot.
    pub(super) fn control_of(&self, number: u32, slot: &F::Slot, settings: &Settings) -> Control {
        let place = Place::new(F::request_hash(slot, settings), F::buckets(settings));
        Control::new(number, place.wide_tag)
    }

    /// Gives a slot another deadline, if it still is as seen.
    pub(super) fn extend(&self, seen: &Occupied, deadline: u32) {
        // Fails when a packet was faster, which gave it a better one.
        let _ = self.meta_word(seen.slot).compare_exchange(
            seen.meta.0,
            seen.meta.with_deadline(deadline).0,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    /// Makes a slot ours, if it still is as seen: from then on no packet uses it, and we have to
    /// [`free`](Self::free) it.
    pub(super) fn claim(&self, seen: &Occupied) -> Option<F::Slot> {
        let leaving = seen.meta.with_life(Life::Leaving);
        self.meta_word(seen.slot)
            .compare_exchange(seen.meta.0, leaving.0, Ordering::AcqRel, Ordering::Acquire)
            .ok()?;
        Some(self.slots.read(seen.slot))
    }

    /// Frees a slot that is ours: key first, tag last.
    pub(super) fn free(&self, seen: &Occupied) {
        for word in &self.slots.words(seen.slot)[..F::KEY_WORDS] {
            word.store(0, Ordering::Release);
        }
        self.meta_word(seen.slot).store(0, Ordering::Release);
        let (bucket, way) = (seen.slot / WAYS, seen.slot % WAYS);
        let clear = |word: u64| {
            (word.to_le_bytes()[way as usize] == seen.tag).then(|| set_tag(word, way, 0))
        };
        // Fails only if the tag is not ours any more, and then there is nothing to clear.
        let _ = self
            .tags
            .word(bucket)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, clear);
    }

    /// Takes the reply word of a connection away, if it is a NAT connection; true if there was
    /// one.
    pub(super) fn unindex_reply(
        &self,
        number: u32,
        slot: &F::Slot,
        meta: Meta,
        settings: &Settings,
    ) -> bool {
        if !is_nat(meta) {
            return false;
        }
        let place = Place::new(F::reply_hash(slot, settings), F::buckets(settings));
        let entry = reply_entry(place.wide_tag, number);
        let mut found = false;
        for bucket in [place.primary, place.secondary] {
            for word in self.replies.words(bucket) {
                found |= word
                    .compare_exchange(entry, 0, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok();
            }
        }
        found
    }

    /// True when a word of the reply index, in this bucket, leads to a connection of which it is
    /// the reply, or to a slot that is being filled and may become one.
    pub(super) fn is_reply_word_good(&self, bucket: u32, entry: u64, settings: &Settings) -> bool {
        let number = entry as u32;
        if number >= self.slots.len() {
            return false;
        }
        let meta = self.meta(number);
        if meta.life() == Life::Filling as u8 {
            return true;
        }
        if !meta.is_alive() || !is_nat(meta) {
            return false;
        }
        let slot = self.slots.read(number);
        let place = Place::new(F::reply_hash(&slot, settings), F::buckets(settings));
        (bucket == place.primary || bucket == place.secondary)
            && reply_entry(place.wide_tag, number) == entry
    }

    /// The slot of a flow, by the way that its packets take.
    pub(super) fn find(&self, wanted: &F::Slot, settings: &Settings) -> Option<u32> {
        let place = Place::new(F::request_hash(wanted, settings), F::buckets(settings));
        let same = |slot: &F::Slot| {
            F::client(slot) == F::client(wanted)
                && F::peer(slot) == F::peer(wanted)
                && F::endpoints(slot) == F::endpoints(wanted)
                && F::kind(slot) == F::kind(wanted)
        };
        for bucket in [place.primary, place.secondary] {
            let word = self.tags.word(bucket).load(Ordering::Acquire);
            let mut ways = Ways::with_tag(word, place.tag);
            while !ways.is_empty() {
                let (way, rest) = ways.split();
                ways = rest;
                let number = bucket * WAYS + way;
                if same(&self.slots.read(number)) {
                    return Some(number);
                }
            }
        }
        None
    }

    /// A slot as listings show it; `None` when it is no connection, or one whose time is over.
    pub(super) fn show(
        &self,
        number: u32,
        servers: &MappedArray<Server>,
        now: u32,
    ) -> Option<LiveConnection> {
        let (slot, meta) = self.read_alive(number)?;
        if meta.is_expired(now) {
            return None;
        }
        let index = F::server(&slot);
        let server = (index < servers.len()).then(|| servers.read(index))?;
        let forwarding = encoding::forwarding_from_number((meta.flags() & FORWARDING_MASK) as u8)?;
        let endpoints = F::endpoints(&slot);
        let port = u16::from_be_bytes;
        // A tunnel's server may be of the other family, for which a slot has no room.
        let address = match forwarding {
            Forwarding::Nat => F::server_address(&slot),
            Forwarding::Direct | Forwarding::Tunnel => encoding::server_key(&server).address,
        };
        let ticks = meta.deadline().wrapping_sub(now);
        Some(LiveConnection {
            protocol: endpoints.protocol,
            client: SocketAddr::new(F::client(&slot), port(endpoints.client_port)),
            vip: SocketAddr::new(F::peer(&slot), port(endpoints.peer_port)),
            server: SocketAddr::new(address, port(F::server_port(&slot))),
            state: state_name(meta).to_owned(),
            forwarding,
            active: meta.flags() & (INACTIVE | TEMPLATE) == 0,
            template: meta.flags() & TEMPLATE != 0,
            left: Duration::from_nanos(u64::from(ticks) << TICK_SHIFT),
        })
    }
}

/// The name of a state as `ipvsadm -Lnc` prints it.
fn state_name(meta: Meta) -> &'static str {
    match (meta.flags() & TEMPLATE != 0, meta.state()) {
        (true, TEMPLATE_ASSURED) => "ASSURED",
        (true, _) => "NONE",
        (false, number) => state::name(number).unwrap_or("UNKNOWN"),
    }
}

/// True for a NAT connection, whose replies are indexed.
fn is_nat(meta: Meta) -> bool {
    meta.flags() & (FORWARDING_MASK | TEMPLATE) == u16::from(MASQUERADE)
}

/// An IPv4 slot that holds nothing but a flow's key, to look for it.
pub(super) fn wanted4(client: Ipv4Addr, peer: Ipv4Addr, endpoints: Endpoints) -> Connection4 {
    Connection4 {
        key: Key4::new(client.octets(), peer.octets(), endpoints),
        meta: 0,
        server: 0,
        client_interface: 0,
        client_mac: [0; 6],
        server_port: [0; 2],
        own_mac: [0; 6],
        padding: [0; 2],
        server_address: [0; 4],
        control: 0,
    }
}

/// As [`wanted4`], for IPv6.
pub(super) fn wanted6(client: Ipv6Addr, peer: Ipv6Addr, endpoints: Endpoints) -> Connection6 {
    Connection6 {
        key: Key6::new(client.octets(), peer.octets(), endpoints),
        meta: 0,
        server: 0,
        client_interface: 0,
        client_mac: [0; 6],
        server_port: [0; 2],
        own_mac: [0; 6],
        padding: [0; 2],
        server_address: [0; 16],
        control: 0,
    }
}

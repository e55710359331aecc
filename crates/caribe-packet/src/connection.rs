//! A slot of the connection table.

use crate::key::{Key, Key4, Key6};

/// An entry of the connection table: one cache line for IPv4, two for IPv6.
///
/// The kernel side and the director both read and write slots without a lock. What makes that
/// safe: a slot's life is in [`Meta`], which changes by compare-and-swap only; `key` is written
/// last when a slot is filled and cleared first when it is freed.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub struct Connection<K, A> {
    /// The flow, seen from the client: client and VIP.
    pub key: K,
    /// [`Meta`]: life, state, flags and deadline.
    pub meta: u64,
    /// Index of the real server (an entry of one service).
    pub server: u32,
    /// Interface on which the client's packets arrive: replies leave by it.
    pub client_interface: u32,
    /// MAC address from which the client's packets come: replies go to it.
    pub client_mac: [u8; 6],
    /// Port on the real server, network order.
    pub server_port: [u8; 2],
    /// MAC address to which the client's packets come: replies come from it.
    pub own_mac: [u8; 6],
    /// Unused; zero.
    pub padding: [u8; 2],
    /// Address of the real server, to recognise its replies.
    pub server_address: A,
    /// The template that the connection was made from: [`Control`]; 0 for none.
    pub control: u64,
}

/// IPv4 slot, 64 bytes.
pub type Connection4 = Connection<Key4, [u8; 4]>;
/// IPv6 slot, 128 bytes.
pub type Connection6 = Connection<Key6, [u8; 16]>;

const _: () = assert!(size_of::<Connection4>() == 64);
const _: () = assert!(size_of::<Connection6>() == 128);

/// The template of a connection: its slot, and a check that the slot still is that template's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Control(pub u64);

impl Control {
    /// No template.
    pub const NONE: Control = Control(0);

    /// The template in a slot, whose key has this wide tag, which is never 0.
    #[inline(always)]
    pub const fn new(slot: u32, wide_tag: u32) -> Self {
        Control(slot as u64 | (wide_tag as u64) << 32)
    }

    /// True when there is a template.
    #[inline(always)]
    pub const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// Its slot.
    #[inline(always)]
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }
}

/// What a slot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Life {
    /// Nothing; the tag is 0.
    Free = 0,
    /// Claimed, being written.
    Filling = 1,
    /// A connection that packets may use.
    Alive = 2,
    /// Being taken away; whoever set this has the duty to finish.
    Leaving = 3,
}

/// The server has answered.
pub const REPLIED: u16 = 0x0010;
/// Replies bypass the director, or none was seen yet (IPVS: NOOUTPUT).
pub const NO_OUTPUT: u16 = 0x0080;
/// Counted as inactive (IPVS: INACTIVE).
pub const INACTIVE: u16 = 0x0100;
/// A template: no connection, but the server that a client's connections go to (IPVS: TEMPLATE).
pub const TEMPLATE: u16 = 0x1000;
/// Follows the tables of `secure_tcp`.
pub const SECURE: u16 = 0x4000;
/// The forwarding method (IPVS: FWD_MASK).
pub const FORWARDING_MASK: u16 = 0x0007;

/// Life, state, flags and deadline of a slot in one word, so that one compare-and-swap changes
/// them together. A packet that merely refreshes the deadline stores the upper half alone.
///
/// | bits | what |
/// | --- | --- |
/// | 0-7 | state, as numbered in [`crate::state`] |
/// | 8-23 | flags, IPVS's numbers |
/// | 24-31 | [`Life`] |
/// | 32-63 | deadline in [`ticks`](crate::settings), wrapping |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta(pub u64);

impl Meta {
    /// Packs a word.
    #[inline(always)]
    pub const fn new(life: Life, state: u8, flags: u16, deadline: u32) -> Self {
        Meta(state as u64 | (flags as u64) << 8 | (life as u64) << 24 | (deadline as u64) << 32)
    }

    /// The state.
    #[inline(always)]
    pub const fn state(self) -> u8 {
        self.0 as u8
    }

    /// The flags.
    #[inline(always)]
    pub const fn flags(self) -> u16 {
        (self.0 >> 8) as u16
    }

    /// True for a slot that packets may use, its deadline aside.
    #[inline(always)]
    pub const fn is_alive(self) -> bool {
        (self.0 >> 24) as u8 == Life::Alive as u8
    }

    /// What the slot is doing, as a number of [`Life`].
    #[inline(always)]
    pub const fn life(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// When the connection expires.
    #[inline(always)]
    pub const fn deadline(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// True when the deadline has passed. Ticks wrap after 52 days; a deadline is never further
    /// away than half of that.
    #[inline(always)]
    pub const fn is_expired(self, now: u32) -> bool {
        (self.deadline().wrapping_sub(now) as i32) < 0
    }

    /// The same slot with another deadline.
    #[inline(always)]
    pub const fn with_deadline(self, deadline: u32) -> Self {
        Meta(self.0 & 0xffff_ffff | (deadline as u64) << 32)
    }

    /// The same slot in another life.
    #[inline(always)]
    pub const fn with_life(self, life: Life) -> Self {
        Meta(self.0 & !(0xff << 24) | (life as u64) << 24)
    }
}

impl<const WORDS: usize, A> Connection<Key<WORDS>, A> {
    /// The word of life, state, flags and deadline.
    #[inline(always)]
    pub const fn meta(&self) -> Meta {
        Meta(self.meta)
    }
}

/// State of a template none of whose connections got far.
pub const TEMPLATE_NONE: u8 = 0;
/// State of a template one of whose connections was established (IPVS: ASSURED).
pub const TEMPLATE_ASSURED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_unpacks_to_what_was_packed() {
        let meta = Meta::new(Life::Alive, 11, NO_OUTPUT | INACTIVE | 3, 0xfedc_ba98);
        assert!(meta.is_alive());
        assert_eq!(meta.state(), 11);
        assert_eq!(meta.flags(), NO_OUTPUT | INACTIVE | 3);
        assert_eq!(meta.deadline(), 0xfedc_ba98);
        assert_eq!(meta.with_life(Life::Leaving).with_life(Life::Alive), meta);
    }

    #[test]
    fn deadlines_compare_across_the_wrap() {
        let meta = Meta::new(Life::Alive, 1, 0, 5);
        assert!(!meta.is_expired(u32::MAX - 5));
        assert!(!meta.is_expired(5));
        assert!(meta.is_expired(6));
    }
}

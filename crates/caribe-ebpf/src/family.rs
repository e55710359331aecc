//! What differs between IPv4 and IPv6 in the stages that are otherwise the same.

use aya_ebpf::btf_maps::lpm_trie;
use caribe_packet::chapter::Chapter;
use caribe_packet::classify::{Destination, HEAD_BITS, Ports};
use caribe_packet::connection::{Connection, Connection4, Connection6};
use caribe_packet::filter::{Bit, bit4, bit6};
use caribe_packet::hash::{fold4, fold6};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::key::{Endpoints, Key, Key4, Key6};
use caribe_packet::policy::{masked4, masked6};
use caribe_packet::service::{Service, ServiceKey};
use caribe_packet::settings::Settings;
use caribe_packet::table::WAYS;

use crate::maps;
use crate::pending::Pending;

/// A bucket of the reply index.
pub type ReplyBucket = [u64; WAYS as usize];

/// An address family: its types, and its maps.
pub trait Family<const WORDS: usize> {
    /// An address.
    type Address: Copy + PartialEq;
    /// The IP header.
    type Header;

    /// The chapter that schedules by comparing.
    const COMPARING: Chapter;
    /// The chapter that schedules by a hash.
    const HASHING: Chapter;
    /// The chapter that schedules by rotating or drawing.
    const DRAWING: Chapter;
    /// The chapter that schedules by servers that are remembered for destinations.
    const REMEMBERING: Chapter;
    /// The chapter that makes connections.
    const OPENING: Chapter;
    /// The chapter of ICMP errors.
    const ERRORS: Chapter;
    /// The chapter of what belongs to nobody.
    const STRAYS: Chapter;
    /// The version of IP.
    const VERSION: u8;

    /// What a chapter leaves for the next.
    fn pending() -> Option<*mut Pending<Self::Address>>;
    /// A key of the connection table.
    fn key(client: Self::Address, peer: Self::Address, endpoints: Endpoints) -> Key<WORDS>;
    /// The client of a connection.
    fn client(key: &Key<WORDS>) -> Self::Address;
    /// The address that the client talks to.
    fn peer(key: &Key<WORDS>) -> Self::Address;
    /// The virtual service at an address.
    fn service(key: &ServiceKey<Self::Address>) -> Option<&'static Service>;
    /// The bit of an address among those of NAT servers.
    fn bit(address: Self::Address) -> Bit;
    /// Buckets of the connection table.
    fn buckets(settings: &Settings) -> u32;
    /// The tag word of a bucket.
    fn tags(bucket: u32) -> Option<*mut u64>;
    /// A slot.
    fn slot(slot: u32) -> Option<*mut Connection<Key<WORDS>, Self::Address>>;
    /// A bucket of the reply index.
    fn replies(bucket: u32) -> Option<*mut ReplyBucket>;
    /// An address as the number that is hashed.
    fn fold(address: Self::Address) -> u32;
    /// An address in sixteen bytes: IPv4 in the first four.
    fn wide(address: Self::Address) -> [u8; 16];
    /// The part of a client's address that counts for its template.
    fn masked(address: Self::Address, mask: &[u8; 16]) -> Self::Address;
    /// A firewall mark in the place of a VIP.
    fn of_mark(mark: u32) -> Self::Address;
    /// What the ports of the smallest network with a mark get that holds a destination.
    fn marked_ports(destination: Destination<Self::Address>) -> Option<Ports>;
    /// The first address of a server's line that is of this family.
    fn server_address(address: &[u8; 16]) -> Self::Address;
}

/// A trie's key where the verifier wants it: the compiler writes eight bytes at a time, which must
/// be aligned on the stack. For IPv4 these are all that comes after the key's length.
#[repr(C, align(8))]
struct TrieKey4 {
    before: u32,
    key: lpm_trie::Key<Destination<[u8; 4]>>,
}

/// As [`TrieKey4`]; for IPv6 these are the halves of the address.
#[repr(C, align(8))]
struct TrieKey6 {
    key: lpm_trie::Key<Destination<[u8; 16]>>,
}

/// IPv4.
pub struct V4;

impl Family<2> for V4 {
    type Address = [u8; 4];
    type Header = Ipv4Header;
    const COMPARING: Chapter = Chapter::Comparing4;
    const HASHING: Chapter = Chapter::Hashing4;
    const DRAWING: Chapter = Chapter::Drawing4;
    const REMEMBERING: Chapter = Chapter::Remembering4;
    const OPENING: Chapter = Chapter::Opening4;
    const ERRORS: Chapter = Chapter::Errors4;
    const STRAYS: Chapter = Chapter::Strays4;
    const VERSION: u8 = 4;

    #[inline(always)]
    fn pending() -> Option<*mut Pending<[u8; 4]>> {
        maps::PENDING4.get_ptr_mut(0)
    }

    #[inline(always)]
    fn key(client: [u8; 4], peer: [u8; 4], endpoints: Endpoints) -> Key4 {
        Key4::new(client, peer, endpoints)
    }

    #[inline(always)]
    fn client(key: &Key4) -> [u8; 4] {
        key.client()
    }

    #[inline(always)]
    fn peer(key: &Key4) -> [u8; 4] {
        key.peer()
    }

    #[inline(always)]
    fn service(key: &ServiceKey<[u8; 4]>) -> Option<&'static Service> {
        // SAFETY: the director replaces values whole; a value lives until the program ends.
        unsafe { maps::SERVICES4.get(key) }
    }

    #[inline(always)]
    fn bit(address: [u8; 4]) -> Bit {
        bit4(address)
    }

    #[inline(always)]
    fn buckets(settings: &Settings) -> u32 {
        settings.buckets4
    }

    #[inline(always)]
    fn tags(bucket: u32) -> Option<*mut u64> {
        maps::TAGS4.get_ptr_mut(bucket)
    }

    #[inline(always)]
    fn slot(slot: u32) -> Option<*mut Connection4> {
        maps::CONNECTIONS4.get_ptr_mut(slot)
    }

    #[inline(always)]
    fn replies(bucket: u32) -> Option<*mut ReplyBucket> {
        maps::REPLIES4.get_ptr_mut(bucket)
    }

    #[inline(always)]
    fn fold(address: [u8; 4]) -> u32 {
        fold4(address)
    }

    #[inline(always)]
    fn wide(address: [u8; 4]) -> [u8; 16] {
        let [a, b, c, d] = address;
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    #[inline(always)]
    fn masked(address: [u8; 4], mask: &[u8; 16]) -> [u8; 4] {
        masked4(address, mask)
    }

    #[inline(always)]
    fn of_mark(mark: u32) -> [u8; 4] {
        mark.to_be_bytes()
    }

    #[inline(always)]
    fn marked_ports(destination: Destination<[u8; 4]>) -> Option<Ports> {
        let aligned = TrieKey4 {
            before: 0,
            key: lpm_trie::Key::new(HEAD_BITS + 32, destination),
        };
        maps::MARKS4.get(&aligned.key).copied()
    }

    #[inline(always)]
    fn server_address(address: &[u8; 16]) -> [u8; 4] {
        [address[0], address[1], address[2], address[3]]
    }
}

/// IPv6.
pub struct V6;

impl Family<5> for V6 {
    type Address = [u8; 16];
    type Header = Ipv6Header;
    const COMPARING: Chapter = Chapter::Comparing6;
    const HASHING: Chapter = Chapter::Hashing6;
    const DRAWING: Chapter = Chapter::Drawing6;
    const REMEMBERING: Chapter = Chapter::Remembering6;
    const OPENING: Chapter = Chapter::Opening6;
    const ERRORS: Chapter = Chapter::Errors6;
    const STRAYS: Chapter = Chapter::Strays6;
    const VERSION: u8 = 6;

    #[inline(always)]
    fn pending() -> Option<*mut Pending<[u8; 16]>> {
        maps::PENDING6.get_ptr_mut(0)
    }

    #[inline(always)]
    fn key(client: [u8; 16], peer: [u8; 16], endpoints: Endpoints) -> Key6 {
        Key6::new(client, peer, endpoints)
    }

    #[inline(always)]
    fn client(key: &Key6) -> [u8; 16] {
        key.client()
    }

    #[inline(always)]
    fn peer(key: &Key6) -> [u8; 16] {
        key.peer()
    }

    #[inline(always)]
    fn service(key: &ServiceKey<[u8; 16]>) -> Option<&'static Service> {
        // SAFETY: the director replaces values whole; a value lives until the program ends.
        unsafe { maps::SERVICES6.get(key) }
    }

    #[inline(always)]
    fn bit(address: [u8; 16]) -> Bit {
        bit6(address)
    }

    #[inline(always)]
    fn buckets(settings: &Settings) -> u32 {
        settings.buckets6
    }

    #[inline(always)]
    fn tags(bucket: u32) -> Option<*mut u64> {
        maps::TAGS6.get_ptr_mut(bucket)
    }

    #[inline(always)]
    fn slot(slot: u32) -> Option<*mut Connection6> {
        maps::CONNECTIONS6.get_ptr_mut(slot)
    }

    #[inline(always)]
    fn replies(bucket: u32) -> Option<*mut ReplyBucket> {
        maps::REPLIES6.get_ptr_mut(bucket)
    }

    #[inline(always)]
    fn fold(address: [u8; 16]) -> u32 {
        fold6(address)
    }

    #[inline(always)]
    fn wide(address: [u8; 16]) -> [u8; 16] {
        address
    }

    #[inline(always)]
    fn masked(address: [u8; 16], mask: &[u8; 16]) -> [u8; 16] {
        masked6(address, mask)
    }

    #[inline(always)]
    fn of_mark(mark: u32) -> [u8; 16] {
        let [a, b, c, d] = mark.to_be_bytes();
        [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    }

    #[inline(always)]
    fn marked_ports(destination: Destination<[u8; 16]>) -> Option<Ports> {
        let aligned = TrieKey6 {
            key: lpm_trie::Key::new(HEAD_BITS + 128, destination),
        };
        maps::MARKS6.get(&aligned.key).copied()
    }

    #[inline(always)]
    fn server_address(address: &[u8; 16]) -> [u8; 16] {
        *address
    }
}

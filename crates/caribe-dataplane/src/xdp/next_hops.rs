//! The way to a server, in its entry.
//!
//! A packet reads the words of an entry one by one, so that a change of more than one word is
//! made with [`REACHABLE`] off: packets that come in between are dropped and counted, rather than
//! sent to the wrong place.

use std::mem::offset_of;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use caribe_model::{MacAddress, NextHop};
use caribe_packet::server::{LOCAL, OUTER_IPV6, REACHABLE, Server};

use super::encoding;
use crate::mapped::MappedArray;

/// The word with weight, method, flags and tunnel port: one store changes them together.
const LAST_WORD: usize = offset_of!(Server, weight) / 8;

const _: () = assert!(offset_of!(Server, weight) % 8 == 0);
const _: () = assert!(offset_of!(Server, flags) / 8 == LAST_WORD);

/// Writes the way to a server, or that there is none.
pub(super) fn write(servers: &MappedArray<Server>, index: u32, next_hop: Option<&NextHop>) {
    let old = servers.read(index);
    let Some(new) = next_hop.and_then(|hop| with_next_hop(&old, hop)) else {
        write_last_word(
            servers,
            index,
            &Server {
                flags: old.flags & !REACHABLE,
                ..old
            },
        );
        return;
    };
    let (before, after) = (words(&old), words(&new));
    let changed = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .count();
    if changed > 1 {
        write_last_word(
            servers,
            index,
            &Server {
                flags: old.flags & !REACHABLE,
                ..old
            },
        );
    }
    for (word, after) in servers.words(index).iter().zip(after).take(LAST_WORD) {
        word.store(after, Ordering::Release);
    }
    write_last_word(servers, index, &new);
}

/// The entry with a way; `None` when the way cannot be that of this server.
pub(super) fn with_next_hop(server: &Server, hop: &NextHop) -> Option<Server> {
    let is_ipv6 = server.flags & OUTER_IPV6 != 0;
    if hop.source_address.is_ipv6() != is_ipv6 {
        tracing::warn!(
            server = %encoding::server_key(server),
            source = %hop.source_address,
            "a next hop of the other address family was ignored"
        );
        return None;
    }
    Some(Server {
        tunnel_source: encoding::wide(hop.source_address),
        destination_mac: hop.destination_mac.0,
        mtu: hop.mtu,
        source_mac: hop.source_mac.0,
        interface: hop.interface,
        flags: server.flags & !LOCAL | REACHABLE | if hop.is_local() { LOCAL } else { 0 },
        ..*server
    })
}

/// The way in an entry, if there is one.
pub(super) fn read(server: &Server) -> Option<NextHop> {
    (server.flags & REACHABLE != 0).then(|| NextHop {
        interface: server.interface,
        source_mac: MacAddress(server.source_mac),
        destination_mac: MacAddress(server.destination_mac),
        source_address: source_address(server),
        mtu: server.mtu,
    })
}

fn source_address(server: &Server) -> IpAddr {
    encoding::narrow(server.tunnel_source, server.flags & OUTER_IPV6 != 0)
}

/// Writes weight, method, flags and tunnel port in one store.
pub(super) fn write_last_word(servers: &MappedArray<Server>, index: u32, server: &Server) {
    servers.words(index)[LAST_WORD].store(words(server)[LAST_WORD], Ordering::Release);
}

/// An entry as words.
fn words(server: &Server) -> [u64; 8] {
    let mut bytes = [0; 64];
    bytes[..16].copy_from_slice(&server.address);
    bytes[16..32].copy_from_slice(&server.tunnel_source);
    bytes[32..38].copy_from_slice(&server.destination_mac);
    bytes[38..40].copy_from_slice(&server.mtu.to_ne_bytes());
    bytes[40..46].copy_from_slice(&server.source_mac);
    bytes[46..48].copy_from_slice(&server.port);
    bytes[48..52].copy_from_slice(&server.interface.to_ne_bytes());
    bytes[52..56].copy_from_slice(&server.service.to_ne_bytes());
    bytes[56..60].copy_from_slice(&server.weight.to_ne_bytes());
    bytes[60] = server.forwarding;
    bytes[61] = server.flags;
    bytes[62..].copy_from_slice(&server.tunnel_port);
    let (chunks, _) = bytes.as_chunks::<8>();
    let mut words = [0; 8];
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_ne_bytes(*chunk);
    }
    words
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use aya::maps::{Array, IterableMap as _, MapData};

    use super::*;

    fn entries() -> MappedArray<Server> {
        let array = Array::<MapData, [u64; 8]>::create(2, 1024).expect("create a map");
        MappedArray::new(array.map().fd().as_fd(), 2).expect("map the array")
    }

    #[test]
    fn words_are_the_memory_of_the_entry() {
        let server = Server {
            address: std::array::from_fn(|at| at as u8),
            tunnel_source: std::array::from_fn(|at| 16 + at as u8),
            destination_mac: [1, 2, 3, 4, 5, 6],
            mtu: 1500,
            source_mac: [7, 8, 9, 10, 11, 12],
            port: [0, 80],
            interface: 0x0102_0304,
            service: 0x0506_0708,
            weight: 0x090a_0b0c,
            forwarding: 3,
            flags: 5,
            tunnel_port: [0x0d, 0x0e],
        };
        let entries = entries();
        entries.write(1, &server);
        let memory: Vec<u64> = entries
            .words(1)
            .iter()
            .map(|word| word.load(Ordering::Relaxed))
            .collect();
        assert_eq!(memory, words(&server));
    }

    #[test]
    fn a_way_comes_and_goes() {
        let entries = entries();
        let server = Server {
            flags: 1,
            weight: 7,
            port: [0, 80],
            ..Server::default()
        };
        entries.write(1, &server);
        assert_eq!(read(&entries.read(1)), None);
        let hop = NextHop {
            interface: 3,
            source_mac: MacAddress([2; 6]),
            destination_mac: MacAddress([4; 6]),
            source_address: [10, 0, 0, 1].into(),
            mtu: 1400,
        };
        write(&entries, 1, Some(&hop));
        assert_eq!(read(&entries.read(1)), Some(hop));
        assert_eq!((entries.read(1).weight, entries.read(1).port), (7, [0, 80]));
        write(
            &entries,
            1,
            Some(&NextHop {
                source_address: [0; 16].into(),
                ..hop
            }),
        );
        assert_eq!(
            read(&entries.read(1)),
            None,
            "an IPv6 source for an IPv4 server"
        );
        let own = NextHop::local([10, 0, 0, 1].into());
        write(&entries, 1, Some(&own));
        assert_eq!(read(&entries.read(1)), Some(own));
        assert_eq!(entries.read(1).flags, 1 | REACHABLE | LOCAL);
        write(&entries, 1, Some(&hop));
        assert_eq!(entries.read(1).flags, 1 | REACHABLE);
        write(&entries, 1, None);
        assert_eq!(read(&entries.read(1)), None);
        assert_eq!(entries.read(1).flags, 1);
    }
}

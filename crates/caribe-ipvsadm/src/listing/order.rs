//! The order of a listing.
//!
//! ipvsadm compares by the sign of a 32-bit difference, which puts 207.0.0.0 before 10.0.0.0 and
//! is not transitive over the whole range of addresses. The standard library's sorts answer such
//! a comparison with a panic, the C library's with *an* order: that of its merge sort, done here.

use std::cmp::Ordering;
use std::net::IpAddr;

use caribe_model::Family;

use crate::{DestinationId, LiveDestination, LiveService, ServiceId};

/// Services by mark, family, protocol, address and port.
pub(crate) fn services(services: &[LiveService]) -> Vec<&LiveService> {
    merge_sort(services.iter().collect(), |a, b| {
        compare_services(&a.service.id, &b.service.id)
    })
}

/// Servers by address and port.
pub(crate) fn destinations(destinations: &[LiveDestination]) -> Vec<&LiveDestination> {
    merge_sort(destinations.iter().collect(), |a, b| {
        compare_servers(&a.destination.id, &b.destination.id)
    })
}

fn compare_services(a: &ServiceId, b: &ServiceId) -> Ordering {
    let mark = |id: &ServiceId| match id {
        ServiceId::Mark { mark, .. } => mark.get(),
        ServiceId::Address { .. } => 0,
    };
    let address = |id: &ServiceId| match id {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => (protocol.number(), words(*address), *port),
        ServiceId::Mark { .. } => (0, [0; 4], 0),
    };
    let family = |id: &ServiceId| id.family() == Family::V6;
    let (protocol_a, words_a, port_a) = address(a);
    let (protocol_b, words_b, port_b) = address(b);
    wrapping(mark(a), mark(b))
        .then(family(a).cmp(&family(b)))
        .then(protocol_a.cmp(&protocol_b))
        .then_with(|| compare_words(&words_a, &words_b))
        .then(port_a.cmp(&port_b))
}

/// The family of the first decides how many words of the addresses count.
fn compare_servers(a: &DestinationId, b: &DestinationId) -> Ordering {
    let count = if a.address.is_ipv4() { 1 } else { 4 };
    compare_words(&words(a.address)[..count], &words(b.address)[..count]).then(a.port.cmp(&b.port))
}

fn compare_words(a: &[u32], b: &[u32]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(a, b)| wrapping(*a, *b))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

fn wrapping(a: u32, b: u32) -> Ordering {
    a.wrapping_sub(b).cast_signed().cmp(&0)
}

fn merge_sort<T: Copy>(items: Vec<T>, compare: impl Fn(&T, &T) -> Ordering + Copy) -> Vec<T> {
    if items.len() < 2 {
        return items;
    }
    let mut left = items;
    let right = left.split_off(left.len() / 2);
    let mut left = merge_sort(left, compare).into_iter().peekable();
    let mut right = merge_sort(right, compare).into_iter().peekable();
    let mut sorted = Vec::with_capacity(left.len() + right.len());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let from = if compare(a, b).is_le() {
            &mut left
        } else {
            &mut right
        };
        sorted.extend(from.next());
    }
    sorted.extend(left);
    sorted.extend(right);
    sorted
}

/// An address as the words that are compared, in host order.
fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [address.to_bits(), 0, 0, 0],
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [96, 64, 32, 0].map(|shift| {
                // Truncated on purpose: one word at a time.
                (bits >> shift) as u32
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intransitive_set_is_sorted_somehow_and_complete() {
        let mut all = Vec::new();
        for step in 0u32..300 {
            all.push(step.wrapping_mul(0x9e37_79b9));
        }
        let mut sorted = merge_sort(all.clone(), |a, b| wrapping(*a, *b));
        sorted.sort_unstable();
        all.sort_unstable();
        assert_eq!(sorted, all);
    }

    #[test]
    fn equal_entries_keep_their_order() {
        let pairs = vec![(1, 'b'), (0, 'x'), (1, 'a'), (0, 'y'), (1, 'c')];
        assert_eq!(
            merge_sort(pairs, |a, b| a.0.cmp(&b.0)),
            [(0, 'x'), (0, 'y'), (1, 'b'), (1, 'a'), (1, 'c')]
        );
    }
}

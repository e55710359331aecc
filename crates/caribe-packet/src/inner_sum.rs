//! The sum of a packet that a tunnel's checksum has to cover, from its headers alone.
//!
//! A right checksum makes what it covers sum up to zero (in one's complement). So a right IPv4
//! header contributes nothing to an outer checksum, and a segment with a right checksum
//! contributes the negative of the pseudo header that its own checksum covers besides. The
//! payload is not read. (Linux's stack does the same and calls it local checksum offload.)
//!
//! A packet that came in with a wrong checksum leaves with an outer checksum that is wrong as
//! well, and the tunnel's end drops what the server would have dropped.
//!
//! Where the transport checksum does not cover exactly what is in the packet (a datagram without
//! one, a fragment, SCTP), the packet has to be summed in full instead.

use crate::checksum::Sum;
use crate::ipv4::Ipv4Header;
use crate::ipv6::Ipv6Header;

/// What the headers of a packet of TCP or UDP tell of its sum.
#[derive(Debug, Clone, Copy)]
pub struct InnerSum {
    /// The sum of the IP header.
    header: Sum,
    /// That of the pseudo header which the transport checksum covers besides the segment.
    pseudo: Sum,
}

impl InnerSum {
    /// Of an IPv4 packet, with options or without: a right header sums up to zero. The pseudo
    /// header is that of RFC 9293, 3.1.
    #[inline(always)]
    pub const fn of4(header: &Ipv4Header) -> Self {
        let length = header
            .total_length()
            .wrapping_sub(header.header_length() as u16);
        InnerSum {
            header: Sum::new(),
            pseudo: Sum::new()
                .add_array(header.source)
                .add_array(header.destination)
                .add_bytes([0, header.protocol])
                .add_bytes(length.to_be_bytes()),
        }
    }

    /// Of an IPv6 packet without extension headers. The pseudo header is that of RFC 8200, 8.1.
    #[inline(always)]
    pub const fn of6(header: &Ipv6Header) -> Self {
        let addresses = Sum::new()
            .add_array(header.source)
            .add_array(header.destination);
        InnerSum {
            header: addresses
                .add_array(header.version_class_label)
                .add_bytes(header.payload_length)
                .add_bytes([header.next_header, header.hop_limit]),
            pseudo: addresses
                .add_bytes(header.payload_length)
                .add_bytes([0, header.next_header]),
        }
    }

    /// The sum of the whole packet, if its transport checksum is right.
    #[inline(always)]
    pub const fn whole(&self) -> Sum {
        self.header.subtract(self.pseudo)
    }

    /// For remote checksum offload: what to put in the place of the transport checksum, and the
    /// sum of the whole packet then, if the checksum that was there is right.
    #[inline(always)]
    pub const fn offloaded(&self, checksum: [u8; 2]) -> ([u8; 2], Sum) {
        let was = Sum::new().add_bytes(checksum);
        (self.pseudo.folded(), self.header.subtract(was))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipv4::Ipv4Fields;
    use crate::ipv6::Ipv6Fields;
    use proptest::prelude::*;

    /// A packet of UDP with a right checksum, and the place of its transport header.
    fn packet4(source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> (Vec<u8>, Ipv4Header) {
        let header = Ipv4Header::emit(Ipv4Fields {
            service: 0,
            total_length: (28 + payload.len()) as u16,
            identification: 77,
            do_not_fragment: true,
            ttl: 63,
            protocol: 17,
            source,
            destination,
        });
        let mut bytes = vec![0x45, 0];
        bytes.extend(header.total_length);
        bytes.extend(header.identification);
        bytes.extend(header.fragment);
        bytes.extend([header.ttl, header.protocol]);
        bytes.extend(header.checksum);
        bytes.extend(source);
        bytes.extend(destination);
        let segment = segment(payload, InnerSum::of4(&header).pseudo);
        bytes.extend(segment);
        (bytes, header)
    }

    fn packet6(source: [u8; 16], destination: [u8; 16], payload: &[u8]) -> (Vec<u8>, Ipv6Header) {
        let header = Ipv6Header::emit(Ipv6Fields {
            traffic_class: 0xb8,
            payload_length: (8 + payload.len()) as u16,
            next_header: 17,
            hop_limit: 9,
            source,
            destination,
        });
        let mut bytes = header.version_class_label.to_vec();
        bytes.extend(header.payload_length);
        bytes.extend([header.next_header, header.hop_limit]);
        bytes.extend(source);
        bytes.extend(destination);
        bytes.extend(segment(payload, InnerSum::of6(&header).pseudo));
        (bytes, header)
    }

    fn segment(payload: &[u8], pseudo: Sum) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0, 80];
        bytes.extend(((8 + payload.len()) as u16).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(payload);
        let checksum = pseudo.add_slice(&bytes).finish();
        bytes[6..8].copy_from_slice(&checksum);
        bytes
    }

    /// One's complement has two zeroes.
    fn same(one: Sum, other: Sum) -> bool {
        let zero = |folded: [u8; 2]| if folded == [0xff; 2] { [0; 2] } else { folded };
        zero(one.folded()) == zero(other.folded())
    }

    fn check(mut bytes: Vec<u8>, at: usize, inner: InnerSum) -> Result<(), TestCaseError> {
        prop_assert!(same(inner.whole(), Sum::new().add_slice(&bytes)));
        let field = at + 6..at + 8;
        let was: [u8; 2] = bytes[field.clone()].try_into().expect("two bytes");
        let (instead, sum) = inner.offloaded(was);
        bytes[field.clone()].copy_from_slice(&instead);
        prop_assert!(same(sum, Sum::new().add_slice(&bytes)));
        // What the receiver does: the checksum over the segment as it came.
        let restored = Sum::new().add_slice(&bytes[at..]).finish();
        prop_assert_eq!(restored, was);
        // A wrong checksum inside makes a wrong sum.
        bytes[at + 6] ^= 0x40;
        prop_assert!(!same(sum, Sum::new().add_slice(&bytes)));
        Ok(())
    }

    proptest! {
        #[test]
        fn ipv4_is_summed_without_its_payload(
            source: [u8; 4],
            destination: [u8; 4],
            payload in prop::collection::vec(any::<u8>(), 0..1473),
        ) {
            let (bytes, header) = packet4(source, destination, &payload);
            check(bytes, 20, InnerSum::of4(&header))?;
        }

        #[test]
        fn ipv6_is_summed_without_its_payload(
            source: [u8; 16],
            destination: [u8; 16],
            payload in prop::collection::vec(any::<u8>(), 0..1453),
        ) {
            let (bytes, header) = packet6(source, destination, &payload);
            check(bytes, 40, InnerSum::of6(&header))?;
        }
    }
}

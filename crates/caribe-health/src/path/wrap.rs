//! Tunnels in user space, by the data plane's own rules ([`caribe_packet::tunnel`]).

use std::net::IpAddr;

use caribe_model::{Encapsulation, GueChecksum};
use caribe_packet::checksum::Sum;
use caribe_packet::gre::GreHeader;
use caribe_packet::gue::{self, GueHeader, RemoteChecksum};
use caribe_packet::hash::{fold4, fold6};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::server::{GRE, GUE, REMOTE_CHECKSUM, TUNNEL_CHECKSUM};
use caribe_packet::transport::Ports;
use caribe_packet::tunnel::{Inner, outer4, outer6};

use super::packet::{End, Segment};

/// Adds the headers that stand in front of `packet` in its tunnel to `frame`, from the first
/// address to the second; with remote checksum offload the packet's own checksum is replaced.
/// `None` if the addresses are of different families.
pub(super) fn outer(
    segment: &Segment,
    packet: &mut [u8],
    encapsulation: Encapsulation,
    between: (IpAddr, IpAddr),
    frame: &mut Vec<u8>,
) -> Option<()> {
    let inner = inner(segment, packet)?;
    let flags = flags(encapsulation);
    let addresses = match between {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let (source, destination) = (source.octets(), destination.octets());
            // What may not be fragmented needs no identification.
            let header = outer4(&inner, flags, source, destination, 0);
            push4(&header, frame);
            Sum::new().add_array(source).add_array(destination)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let (source, destination) = (source.octets(), destination.octets());
            let mut header = Ipv6Header {
                version_class_label: [0; 4],
                payload_length: [0; 2],
                next_header: 0,
                hop_limit: 0,
                source,
                destination,
            };
            outer6(&inner, flags, &source, &destination, &mut header);
            push6(&header, frame);
            Sum::new().add_array(source).add_array(destination)
        }
        _ => return None,
    };
    match encapsulation {
        Encapsulation::Ipip => {}
        Encapsulation::Gre { checksum } => {
            let header = GreHeader::emit(inner.ether_type(), checksum);
            frame.extend(header.flags);
            frame.extend(header.protocol);
            if checksum {
                let sum = header.checksum(Sum::new().add_slice(packet));
                frame.extend(sum.checksum);
                frame.extend(sum.reserved);
            }
        }
        Encapsulation::Gue { port, checksum } => {
            let remote = (checksum == GueChecksum::Remote).then(|| offload(segment, packet));
            let ends = [End::Source, End::Destination].map(|end| segment.at(packet, end));
            let [source, destination] = ends;
            let flow = Ports {
                source: source.port().to_be_bytes(),
                destination: destination.port().to_be_bytes(),
            };
            let hash = gue::flow_hash(fold(source.ip()), fold(destination.ip()), flow);
            let ports = Ports {
                source: gue::source_port(hash),
                destination: port.get().to_be_bytes(),
            };
            let header = GueHeader::emit(inner.protocol(), remote.is_some());
            let mut udp = gue::udp(ports, remote.as_ref(), inner.length);
            if checksum != GueChecksum::None {
                let sum = Sum::new().add_slice(packet);
                udp.checksum = gue::checksum(addresses, &udp, &header, remote.as_ref(), sum);
            }
            frame.extend(udp.ports.source);
            frame.extend(udp.ports.destination);
            frame.extend(udp.length);
            frame.extend(udp.checksum);
            frame.extend([header.words, header.protocol]);
            frame.extend(header.flags);
            if let Some(remote) = remote {
                frame.extend(remote.private);
                frame.extend(remote.start);
                frame.extend(remote.offset);
            }
        }
    }
    Some(())
}

/// How a tunnel wraps, in the bits of the data plane's servers.
fn flags(encapsulation: Encapsulation) -> u8 {
    match encapsulation {
        Encapsulation::Ipip => 0,
        Encapsulation::Gre { checksum: false } => GRE,
        Encapsulation::Gre { checksum: true } => GRE | TUNNEL_CHECKSUM,
        Encapsulation::Gue { checksum, .. } => match checksum {
            GueChecksum::None => GUE,
            GueChecksum::Full => GUE | TUNNEL_CHECKSUM,
            GueChecksum::Remote => GUE | TUNNEL_CHECKSUM | REMOTE_CHECKSUM,
        },
    }
}

/// What the outer header takes from the packet.
fn inner(segment: &Segment, packet: &[u8]) -> Option<Inner> {
    let length = u16::try_from(packet.len()).ok()?;
    Some(if segment.v6 {
        Inner {
            length,
            service: packet[0] << 4 | packet[1] >> 4,
            ttl: packet[7],
            do_not_fragment: false,
            is_ipv6: true,
        }
    } else {
        Inner {
            length,
            service: packet[1],
            ttl: packet[8],
            do_not_fragment: packet[6] & 0x40 != 0,
            is_ipv6: false,
        }
    })
}

/// Leaves the packet's checksum to the receiver.
fn offload(segment: &Segment, packet: &mut [u8]) -> RemoteChecksum {
    let (offset, start, pseudo) = segment.checksum(packet);
    packet[offset..offset + 2].copy_from_slice(&pseudo.folded());
    let number = |place: usize| u16::try_from(place).unwrap_or(u16::MAX);
    RemoteChecksum::emit(number(start), number(offset))
}

/// An address as the 32 bits that spread flows.
fn fold(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => fold4(address.octets()),
        IpAddr::V6(address) => fold6(address.octets()),
    }
}

fn push4(header: &Ipv4Header, frame: &mut Vec<u8>) {
    frame.extend([header.version_and_length, header.service]);
    frame.extend(header.total_length);
    frame.extend(header.identification);
    frame.extend(header.fragment);
    frame.extend([header.ttl, header.protocol]);
    frame.extend(header.checksum);
    frame.extend(header.source);
    frame.extend(header.destination);
}

fn push6(header: &Ipv6Header, frame: &mut Vec<u8>) {
    frame.extend(header.version_class_label);
    frame.extend(header.payload_length);
    frame.extend([header.next_header, header.hop_limit]);
    frame.extend(header.source);
    frame.extend(header.destination);
}

#[cfg(test)]
mod tests;

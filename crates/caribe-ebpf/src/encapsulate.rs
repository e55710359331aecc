//! Forwarding through a tunnel: an outer header of either family, and GUE or GRE behind it.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::programs::XdpContext;
use caribe_packet::checksum::Sum;
use caribe_packet::ethernet::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, EthernetHeader};
use caribe_packet::gre::{GreChecksum, GreHeader};
use caribe_packet::gue::{self, GueHeader, RemoteChecksum};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::server::{GRE, GUE, OUTER_IPV6, REMOTE_CHECKSUM, Server, TUNNEL_CHECKSUM};
use caribe_packet::transport::{Ports, TCP, TcpHeader, UDP, UdpHeader};
use caribe_packet::tunnel::{Inner, between, outer4, outer6};
use caribe_packet::verdict::Verdict;

use crate::family::{Family as _, V4, V6};
use crate::forward::{Forward, may_be_cut};
use crate::frame;
use crate::maps::SERVERS;
use crate::packet::Packet;
use crate::sum;
use crate::verdict::{Outcome, drop};

/// A packet that is about to be wrapped, as a function of its own takes it.
#[derive(Clone, Copy)]
struct Wrapped {
    /// IP protocol.
    protocol: u8,
    /// Offset of the transport header in the frame.
    transport: usize,
    /// Both ports, for the outer source port.
    ports: Ports,
}

/// Puts outer headers in front of a packet and sends it to its server.
///
/// The work is done in functions of their own for the verifier, which so follows their branches
/// once, and not once for every path that leads to a tunnel.
#[inline(always)]
pub fn encapsulate<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
    number: u32,
) -> Outcome {
    let [a, b] = packet.ports.source;
    let [c, d] = packet.ports.destination;
    let ports = u32::from_le_bytes([a, b, c, d]);
    let place = packet.transport as u32 | (packet.protocol as u32) << 16;
    let context = context.as_ptr().cast();
    Outcome::unpack(if WORDS == 2 {
        wrap4(context, number, place, ports)
    } else {
        wrap6(context, number, place, ports)
    })
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn wrap4(context: *mut xdp_md, number: u32, place: u32, ports: u32) -> u64 {
    wrap::<V4, 2>(&XdpContext::new(context), number, place, ports).pack()
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn wrap6(context: *mut xdp_md, number: u32, place: u32, ports: u32) -> u64 {
    wrap::<V6, 5>(&XdpContext::new(context), number, place, ports).pack()
}

#[inline(always)]
fn wrap<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    number: u32,
    place: u32,
    ports: u32,
) -> Outcome {
    let [a, b, c, d] = ports.to_le_bytes();
    let wrapped = Wrapped {
        protocol: (place >> 16) as u8,
        transport: (place & 0x1ff) as usize,
        ports: Ports {
            source: [a, b],
            destination: [c, d],
        },
    };
    let Some(server) = SERVERS.get(number) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let Some(ip) = frame::at::<F::Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let mut inner = F::inner(ip);
    // One look at the policy, for packets with DF in tunnels: what costs no packet without a tunnel.
    if inner.do_not_fragment && may_be_cut(server) {
        inner.do_not_fragment = false;
    }
    let (source, destination) = F::addresses(ip);
    let hash = gue::flow_hash(F::fold(source), F::fold(destination), wrapped.ports);
    let Some(covered) = covered::<F, WORDS>(context, &wrapped, &inner, server.flags) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let flags = covered.flags;
    let outer = if flags & OUTER_IPV6 != 0 {
        Ipv6Header::LENGTH
    } else {
        Ipv4Header::LENGTH
    };
    let room = outer + between(flags);
    if !frame::grow_head(context, room as i32) {
        return drop(Verdict::DroppedNoHeadroom);
    }
    let Some((ether_type, addresses)) = outer_header(context, server, flags, &inner) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let behind = EthernetHeader::LENGTH + outer;
    let written = if flags & GUE != 0 {
        let ports = Ports {
            source: gue::source_port(hash),
            destination: server.tunnel_port,
        };
        write_gue(context, behind, ports, &inner, addresses, &covered)
    } else if flags & GRE != 0 {
        write_gre(context, behind, &inner, &covered)
    } else {
        Some(())
    };
    if written.is_none() {
        return drop(Verdict::DroppedInconsistent);
    }
    let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    *ethernet = EthernetHeader {
        destination: server.destination_mac,
        source: server.source_mac,
        ether_type,
    };
    Outcome::new(
        Verdict::ForwardedTunnel,
        frame::send(context, server.interface),
    )
}

/// What an outer checksum covers of the inner packet.
struct Covered {
    /// The server's flags, without [`REMOTE_CHECKSUM`] if this packet has no checksum that the
    /// receiver could compute.
    flags: u8,
    /// The packet's sum; nothing if there is no outer checksum.
    sum: Sum,
    /// With [`REMOTE_CHECKSUM`], from where the receiver is to sum.
    start: u16,
    /// And where it is to put the checksum.
    offset: u16,
}

/// The sum of the packet as it will be inside the tunnel, if the tunnel asks for it.
#[inline(always)]
fn covered<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Wrapped,
    inner: &Inner,
    flags: u8,
) -> Option<Covered> {
    let mut covered = Covered {
        flags,
        sum: Sum::new(),
        start: 0,
        offset: 0,
    };
    if flags & TUNNEL_CHECKSUM == 0 {
        return Some(covered);
    }
    let header = frame::at::<F::Header>(context, EthernetHeader::LENGTH)?;
    if F::is_fragment(header) {
        return summed(context, inner.length, covered);
    }
    let told = F::inner_sum(header);
    let start = packet.transport.wrapping_sub(EthernetHeader::LENGTH);
    let (checksum, offset) = match packet.protocol {
        TCP => (
            &mut frame::at::<TcpHeader>(context, packet.transport)?.checksum,
            TcpHeader::CHECKSUM_AT,
        ),
        UDP => (
            &mut frame::at::<UdpHeader>(context, packet.transport)?.checksum,
            UdpHeader::CHECKSUM_AT,
        ),
        _ => return summed(context, inner.length, covered),
    };
    if *checksum == [0, 0] && packet.protocol == UDP || start != size_of::<F::Header>() && WORDS > 2
    {
        return summed(context, inner.length, covered);
    }
    if flags & REMOTE_CHECKSUM != 0 {
        (*checksum, covered.sum) = told.offloaded(*checksum);
        covered.start = start as u16;
        covered.offset = (start + offset) as u16;
    } else {
        covered.sum = told.whole();
    }
    Some(covered)
}

/// The sum of a packet whose headers do not tell it.
#[inline(always)]
fn summed(context: &XdpContext, length: u16, covered: Covered) -> Option<Covered> {
    let sum = sum::of(context, EthernetHeader::LENGTH, length as usize)?;
    Some(Covered {
        flags: covered.flags & !REMOTE_CHECKSUM,
        sum,
        ..covered
    })
}

/// Writes the outer IP header; returns its EtherType and the sum of its addresses.
#[inline(always)]
fn outer_header(
    context: &XdpContext,
    server: &Server,
    flags: u8,
    inner: &Inner,
) -> Option<([u8; 2], Sum)> {
    if flags & OUTER_IPV6 != 0 {
        let outer = frame::at::<Ipv6Header>(context, EthernetHeader::LENGTH)?;
        let (source, destination) = (&server.tunnel_source, &server.address);
        outer6(inner, flags, source, destination, outer);
        let addresses = Sum::new()
            .add_array(server.tunnel_source)
            .add_array(server.address);
        return Some((ETHER_TYPE_IPV6, addresses));
    }
    let outer = frame::at::<Ipv4Header>(context, EthernetHeader::LENGTH)?;
    let id = if inner.do_not_fragment {
        0
    } else {
        // SAFETY: a helper that any program may call.
        unsafe { bpf_get_prandom_u32() as u16 }
    };
    let source = V4::server_address(&server.tunnel_source);
    let destination = V4::server_address(&server.address);
    *outer = outer4(inner, flags, source, destination, id);
    let addresses = Sum::new().add_array(source).add_array(destination);
    Some((ETHER_TYPE_IPV4, addresses))
}

#[inline(always)]
fn write_gue(
    context: &XdpContext,
    at: usize,
    ports: Ports,
    inner: &Inner,
    addresses: Sum,
    covered: &Covered,
) -> Option<()> {
    let header_at = at + UdpHeader::LENGTH;
    let remote = if covered.flags & REMOTE_CHECKSUM != 0 {
        Some(RemoteChecksum::emit(covered.start, covered.offset))
    } else {
        None
    };
    let header = GueHeader::emit(inner.protocol(), remote.is_some());
    let mut udp = gue::udp(ports, remote.as_ref(), inner.length);
    if covered.flags & TUNNEL_CHECKSUM != 0 {
        udp.checksum = gue::checksum(addresses, &udp, &header, remote.as_ref(), covered.sum);
    }
    *frame::at::<UdpHeader>(context, at)? = udp;
    *frame::at::<GueHeader>(context, header_at)? = header;
    if let Some(remote) = remote {
        *frame::at::<RemoteChecksum>(context, header_at + GueHeader::LENGTH)? = remote;
    }
    Some(())
}

#[inline(always)]
fn write_gre(context: &XdpContext, at: usize, inner: &Inner, covered: &Covered) -> Option<()> {
    let with_checksum = covered.flags & TUNNEL_CHECKSUM != 0;
    let header = GreHeader::emit(inner.ether_type(), with_checksum);
    *frame::at::<GreHeader>(context, at)? = header;
    if with_checksum {
        let checksum = header.checksum(covered.sum);
        *frame::at::<GreChecksum>(context, at + GreHeader::LENGTH)? = checksum;
    }
    Some(())
}

//! Last stage: rewriting a packet and sending it on its way.

use aya_ebpf::programs::XdpContext;
use caribe_packet::checksum::Difference;
use caribe_packet::connection::Connection;
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::icmp::Problem;
use caribe_packet::inner_sum::InnerSum;
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::{FRAGMENT, Ipv6Header};
use caribe_packet::key::Key;
use caribe_packet::policy::NO_PMTU_DISCOVERY;
use caribe_packet::server::{LOCAL, MASQUERADE, REACHABLE, Server, TUNNEL};
use caribe_packet::transport::{Ports, SCTP, TCP, TcpHeader, UdpHeader};
use caribe_packet::tunnel::{self, Inner};
use caribe_packet::verdict::Verdict;

use crate::clock::Moment;
use crate::encapsulate;
use crate::family::{Family, V4, V6};
use crate::frame;
use crate::maps::{POLICIES, SERVERS};
use crate::mss;
use crate::packet::{Packet, Rewrite};
use crate::sctp;
use crate::verdict::{Outcome, drop, pass};

/// The IP header's part in forwarding.
pub trait Forward<const WORDS: usize>: Family<WORDS> {
    /// Takes one off the TTL.
    fn decrement(header: &mut Self::Header);
    /// The TTL.
    fn ttl(header: &Self::Header) -> u8;
    /// Rewrites the source address.
    fn set_source(header: &mut Self::Header, address: Self::Address) -> Difference;
    /// Rewrites the destination address.
    fn set_destination(header: &mut Self::Header, address: Self::Address) -> Difference;
    /// What an outer header takes from this one.
    fn inner(header: &Self::Header) -> Inner;
    /// Source and destination.
    fn addresses(header: &Self::Header) -> (Self::Address, Self::Address);
    /// True for a fragment.
    fn is_fragment(header: &Self::Header) -> bool;
    /// Protocol of what follows.
    fn protocol(header: &Self::Header) -> u8;
    /// Length of the header with its options.
    fn length(header: &Self::Header) -> usize;
    /// What the header tells of the packet's sum.
    fn inner_sum(header: &Self::Header) -> InnerSum;
    /// Answers a packet with an ICMP error, if one may be sent.
    fn answer(context: &XdpContext, problem: Problem, moment: &Moment) -> Outcome;
}

/// Sends a client's packet to its server.
#[inline(always)]
pub fn to_server<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
    (number, server): (u32, &Server),
    method: u8,
    rewrite: &Rewrite<F::Address>,
    moment: &Moment,
) -> Outcome {
    if server.flags & REACHABLE == 0 {
        return drop(Verdict::DroppedUnreachable);
    }
    if server.flags & LOCAL != 0 {
        return to_ourselves(packet, method, rewrite);
    }
    let Some(ip) = frame::at::<F::Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedInconsistent);
    };
    if F::ttl(ip) <= 1 {
        return F::answer(context, Problem::TtlExceeded, moment);
    }
    let overhead = if method == TUNNEL {
        tunnel::overhead(server.flags)
    } else {
        0
    };
    let room = server.mtu.saturating_sub(overhead);
    if packet.length > room {
        // Without path MTU discovery nobody is told, and two packets cannot be made of one here.
        if method == TUNNEL && WORDS == 2 && may_be_cut(server) {
            return drop(Verdict::DroppedTooBig);
        }
        return F::answer(context, Problem::TooBig(room), moment);
    }
    mss::clamp(
        context,
        packet,
        server.service,
        room,
        size_of::<F::Header>(),
    );
    if method == MASQUERADE && sctp::keeps_ports(packet) && rewrite.port != packet.ports.destination
    {
        return drop(Verdict::DroppedFragment);
    }
    F::decrement(ip);
    let verdict = match method {
        MASQUERADE => {
            let difference = F::set_destination(ip, rewrite.address);
            if !rewrite_port(context, packet, |ports| {
                ports.set_destination(rewrite.port, difference)
            }) {
                return drop(Verdict::DroppedInconsistent);
            }
            Verdict::ForwardedNat
        }
        TUNNEL => {
            return encapsulate::encapsulate::<F, WORDS>(context, packet, number);
        }
        _ => Verdict::ForwardedDirect,
    };
    let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    ethernet.destination = server.destination_mac;
    ethernet.source = server.source_mac;
    Outcome::new(verdict, frame::send(context, server.interface))
}

/// True if a tunnel's packets may be fragmented on their way (`pmtu_disc` is 0).
#[inline(always)]
pub fn may_be_cut(server: &Server) -> bool {
    POLICIES
        .get(server.service)
        .is_some_and(|policy| policy.has(NO_PMTU_DISCOVERY))
}

/// Leaves a client's packet to the director's own stack, as it came, whatever the method: what
/// the stack answers is not seen here, so nothing could be translated back. The service has to
/// listen at the VIP, and by NAT on the same port.
#[inline(always)]
fn to_ourselves<A>(packet: &Packet<A>, method: u8, rewrite: &Rewrite<A>) -> Outcome {
    if method == MASQUERADE && rewrite.port != packet.ports.destination {
        return drop(Verdict::DroppedUnreachable);
    }
    pass(Verdict::ForwardedLocal)
}

/// Sends a NAT server's packet to its client: from the VIP, the way the client's packets came.
#[inline(always)]
pub fn to_client<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    packet: &Packet<F::Address>,
    slot: *mut Connection<Key<WORDS>, F::Address>,
    moment: &Moment,
) -> Outcome {
    let Some(ip) = frame::at::<F::Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedInconsistent);
    };
    if F::ttl(ip) <= 1 {
        return F::answer(context, Problem::TtlExceeded, moment);
    }
    // SAFETY: a slot of a map.
    let slot = unsafe { &*slot };
    if mss::is_announced(packet)
        && let Some(server) = SERVERS.get(slot.server)
    {
        let header = size_of::<F::Header>();
        mss::clamp(context, packet, server.service, server.mtu, header);
    }
    let port = slot.key.endpoints().peer_port;
    if sctp::keeps_ports(packet) && port != packet.ports.source {
        return drop(Verdict::DroppedFragment);
    }
    F::decrement(ip);
    let difference = F::set_source(ip, F::peer(&slot.key));
    if !rewrite_port(context, packet, |ports| ports.set_source(port, difference)) {
        return drop(Verdict::DroppedInconsistent);
    }
    let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    ethernet.destination = slot.client_mac;
    ethernet.source = slot.own_mac;
    let action = frame::send(context, slot.client_interface);
    Outcome::new(Verdict::ForwardedReply, action)
}

/// Rewrites a port and brings the transport checksum up to date.
#[inline(always)]
fn rewrite_port<A>(
    context: &XdpContext,
    packet: &Packet<A>,
    rewrite: impl FnOnce(&mut Ports) -> Difference,
) -> bool {
    if packet.is_later_fragment {
        return true;
    }
    if packet.protocol == TCP {
        let Some(tcp) = frame::at::<TcpHeader>(context, packet.transport) else {
            return false;
        };
        let difference = rewrite(&mut tcp.ports);
        tcp.patch_checksum(difference);
    } else if packet.protocol == SCTP {
        let mut ports = packet.ports;
        rewrite(&mut ports);
        return ports == packet.ports || sctp::set_ports(context, packet, ports);
    } else {
        let Some(udp) = frame::at::<UdpHeader>(context, packet.transport) else {
            return false;
        };
        let difference = rewrite(&mut udp.ports);
        udp.patch_checksum(difference);
    }
    true
}

impl Forward<2> for V4 {
    #[inline(always)]
    fn decrement(header: &mut Ipv4Header) {
        header.decrement_ttl();
    }

    #[inline(always)]
    fn ttl(header: &Ipv4Header) -> u8 {
        header.ttl
    }

    #[inline(always)]
    fn set_source(header: &mut Ipv4Header, address: [u8; 4]) -> Difference {
        header.set_source(address)
    }

    #[inline(always)]
    fn set_destination(header: &mut Ipv4Header, address: [u8; 4]) -> Difference {
        header.set_destination(address)
    }

    #[inline(always)]
    fn inner(header: &Ipv4Header) -> Inner {
        Inner {
            length: header.total_length(),
            service: header.service,
            ttl: header.ttl,
            do_not_fragment: header.do_not_fragment(),
            is_ipv6: false,
        }
    }

    #[inline(always)]
    fn addresses(header: &Ipv4Header) -> ([u8; 4], [u8; 4]) {
        (header.source, header.destination)
    }

    #[inline(always)]
    fn protocol(header: &Ipv4Header) -> u8 {
        header.protocol
    }

    #[inline(always)]
    fn length(header: &Ipv4Header) -> usize {
        header.header_length()
    }

    #[inline(always)]
    fn is_fragment(header: &Ipv4Header) -> bool {
        header.is_fragment()
    }

    #[inline(always)]
    fn inner_sum(header: &Ipv4Header) -> InnerSum {
        InnerSum::of4(header)
    }

    #[inline(always)]
    fn answer(context: &XdpContext, problem: Problem, moment: &Moment) -> Outcome {
        crate::answer::answer4(context, problem, moment)
    }
}

impl Forward<5> for V6 {
    #[inline(always)]
    fn decrement(header: &mut Ipv6Header) {
        header.decrement_hop_limit();
    }

    #[inline(always)]
    fn ttl(header: &Ipv6Header) -> u8 {
        header.hop_limit
    }

    #[inline(always)]
    fn set_source(header: &mut Ipv6Header, address: [u8; 16]) -> Difference {
        header.set_source(address)
    }

    #[inline(always)]
    fn set_destination(header: &mut Ipv6Header, address: [u8; 16]) -> Difference {
        header.set_destination(address)
    }

    #[inline(always)]
    fn inner(header: &Ipv6Header) -> Inner {
        Inner {
            length: (Ipv6Header::LENGTH as u16).wrapping_add(header.payload_length()),
            service: header.traffic_class(),
            ttl: header.hop_limit,
            do_not_fragment: false,
            is_ipv6: true,
        }
    }

    #[inline(always)]
    fn addresses(header: &Ipv6Header) -> ([u8; 16], [u8; 16]) {
        (header.source, header.destination)
    }

    #[inline(always)]
    fn protocol(header: &Ipv6Header) -> u8 {
        header.next_header
    }

    #[inline(always)]
    fn length(_: &Ipv6Header) -> usize {
        Ipv6Header::LENGTH
    }

    #[inline(always)]
    fn is_fragment(header: &Ipv6Header) -> bool {
        header.next_header == FRAGMENT
    }

    #[inline(always)]
    fn inner_sum(header: &Ipv6Header) -> InnerSum {
        InnerSum::of6(header)
    }

    #[inline(always)]
    fn answer(context: &XdpContext, problem: Problem, moment: &Moment) -> Outcome {
        crate::answer::answer6(context, problem, moment)
    }
}

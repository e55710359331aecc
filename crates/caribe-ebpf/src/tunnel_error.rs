//! ICMP errors about packets of our own tunnels: what the client has to know of it is told to
//! the client, and what the director has to know is remembered.
//!
//! The quote has to reach into the inner packet, which shows the connection. A router that quotes
//! no more than the eight bytes of RFC 792 tells nothing here, and its error is for the kernel.

use aya_ebpf::programs::XdpContext;
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::gre::GreHeader;
use caribe_packet::gue::GueHeader;
use caribe_packet::icmp::{IcmpHeader, Problem, QUOTED};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::key::Endpoints;
use caribe_packet::server::{OUTER_IPV6, TUNNEL};
use caribe_packet::table::Place;
use caribe_packet::transport::{GRE, IPIP, IPV6_IN_IP, Ports, SCTP, TCP, UDP, UdpHeader};
use caribe_packet::tunnel;
use caribe_packet::verdict::Verdict;

use crate::answer;
use crate::errors::Quote;
use crate::family::{V4, V6};
use crate::find::{self, Answer, Slot};
use crate::forward::Forward;
use crate::frame;
use crate::maps::{SERVERS, SETTINGS};
use crate::verdict::{Outcome, drop, may_send_icmp, pass};

/// The least path MTU that is believed, as Linux's `min_pmtu`; for IPv6 that of RFC 8200.
const LEAST4: u16 = 552;
const LEAST6: u16 = 1280;

/// What an error about a tunnel says.
#[derive(Clone, Copy)]
struct Said {
    kind: u8,
    code: u8,
    /// The path MTU, for "too big".
    mtu: u16,
    is_too_big: bool,
    /// The outer packet was IPv6.
    over_ipv6: bool,
}

/// Relays an error about a tunnelled packet to its client, if it is one of ours.
#[inline(always)]
pub fn relay(context: &XdpContext, quote: &Quote, now: u32) -> Outcome {
    let Some((inner, is_ipv6)) = inner(context, quote) else {
        return pass(Verdict::PassedProtocol);
    };
    let Some(said) = said(context, quote) else {
        return pass(Verdict::PassedProtocol);
    };
    if is_ipv6 {
        relay_to::<V6, 5>(context, quote, inner, &said, now)
    } else {
        relay_to::<V4, 2>(context, quote, inner, &said, now)
    }
}

/// Where the inner packet begins, and whether it is IPv6.
#[inline(always)]
fn inner(context: &XdpContext, quote: &Quote) -> Option<(usize, bool)> {
    match quote.protocol {
        IPIP => Some((quote.transport, false)),
        IPV6_IN_IP => Some((quote.transport, true)),
        GRE => {
            let header = frame::at_variable::<GreHeader>(context, quote.transport)?;
            let length = if header.is_plain() {
                4
            } else if header.has_checksum() {
                8
            } else {
                return None;
            };
            let is_ipv6 = header.protocol == caribe_packet::ethernet::ETHER_TYPE_IPV6;
            Some((quote.transport + length, is_ipv6))
        }
        UDP => {
            let at = quote.transport + UdpHeader::LENGTH;
            let header = frame::at_variable::<GueHeader>(context, at)?;
            let length = if header.is_plain() {
                4
            } else if header.has_remote_checksum() {
                12
            } else {
                return None;
            };
            match header.protocol {
                IPIP => Some((at + length, false)),
                IPV6_IN_IP => Some((at + length, true)),
                _ => None,
            }
        }
        _ => None,
    }
}

#[inline(always)]
fn said(context: &XdpContext, quote: &Quote) -> Option<Said> {
    let ethernet = frame::at::<EthernetHeader>(context, 0)?;
    let over_ipv6 = ethernet.ether_type == caribe_packet::ethernet::ETHER_TYPE_IPV6;
    let icmp = frame::at_variable::<IcmpHeader>(context, quote.icmp)?;
    let [a, b, c, d] = icmp.rest;
    let mtu = if over_ipv6 {
        u32::from_be_bytes([a, b, c, d])
    } else {
        u32::from_be_bytes([0, 0, c, d])
    };
    Some(Said {
        kind: icmp.kind,
        code: icmp.code,
        mtu: if mtu > u16::MAX as u32 {
            u16::MAX
        } else {
            mtu as u16
        },
        is_too_big: icmp.is_too_big(over_ipv6),
        over_ipv6,
    })
}

/// As [`relay`], for an inner packet of a family.
#[inline(always)]
fn relay_to<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    quote: &Quote,
    inner: usize,
    said: &Said,
    now: u32,
) -> Outcome {
    let Some(settings) = SETTINGS.get(0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let Some(header) = frame::at_variable::<F::Header>(context, inner) else {
        return pass(Verdict::PassedProtocol);
    };
    let packet = F::inner(header);
    let protocol = F::protocol(header);
    // Options inside are passed over: the eight bytes quoted to the client follow the header.
    let is_balanced = matches!(protocol, TCP | UDP | SCTP);
    if F::length(header) != size_of::<F::Header>() || !is_balanced {
        return pass(Verdict::PassedProtocol);
    }
    let (client, vip) = F::addresses(header);
    let at = inner + size_of::<F::Header>();
    if at + QUOTED > EthernetHeader::LENGTH + quote.length as usize {
        return pass(Verdict::PassedProtocol);
    }
    let Some([a, b, c, d, ..]) = frame::at_variable::<[u8; QUOTED]>(context, at) else {
        return pass(Verdict::PassedProtocol);
    };
    let ports = Ports {
        source: [*a, *b],
        destination: [*c, *d],
    };
    let key = F::key(
        client,
        vip,
        Endpoints {
            client_port: ports.source,
            peer_port: ports.destination,
            protocol,
        },
    );
    let place = Place::new(key.hash(settings.seed), F::buckets(settings));
    let found = find::request::<F, WORDS>(&key, &place, now);
    if found.answer != Answer::Alive {
        return pass(Verdict::PassedProtocol);
    }
    let slot = found.at.slot;
    // SAFETY: a slot of a map. Its fields change only while it is not alive.
    let (number, method) = unsafe { ((*slot).server, Slot::meta(slot).flags() as u8 & 7) };
    let Some(server) = SERVERS.get_ptr_mut(number) else {
        return drop(Verdict::DroppedInconsistent);
    };
    // SAFETY: an element of a map.
    let (flags, mtu) = unsafe { ((*server).flags, (*server).mtu) };
    // Whoever makes errors up has to know the server as well as the flow.
    let is_ours = method == TUNNEL
        && (flags & OUTER_IPV6 != 0) == said.over_ipv6
        // SAFETY: as above.
        && is_to(context, quote, said, unsafe { &(*server).address });
    if !is_ours {
        return pass(Verdict::PassedProtocol);
    }
    let problem = if said.is_too_big {
        let least = if said.over_ipv6 { LEAST6 } else { LEAST4 };
        let path = if said.mtu < least { least } else { said.mtu };
        if path < mtu {
            // Remembered until the director writes the way to the server anew.
            // SAFETY: as above; two bytes that are written at once.
            unsafe { (&raw mut (*server).mtu).write_volatile(path) };
        }
        let path = if path < mtu { path } else { mtu };
        let room = path.saturating_sub(tunnel::overhead(flags));
        if packet.is_ipv6 {
            Problem::TooBig(if room < LEAST6 { LEAST6 } else { room })
        } else if packet.do_not_fragment {
            Problem::TooBig(room)
        } else {
            return drop(Verdict::DroppedTunnelError);
        }
    } else if packet.is_ipv6 == said.over_ipv6 {
        Problem::Relayed(said.kind, said.code)
    } else {
        // The families number their errors differently, and the client cannot help it anyway.
        return drop(Verdict::DroppedTunnelError);
    };
    if !may_send_icmp(now) {
        return drop(Verdict::DroppedTunnelError);
    }
    // SAFETY: a slot of a map.
    let (ethernet, interface) = unsafe {
        let ethernet = EthernetHeader {
            destination: (*slot).client_mac,
            source: (*slot).own_mac,
            ether_type: packet.ether_type(),
        };
        (ethernet, (*slot).client_interface)
    };
    let front = EthernetHeader::LENGTH + size_of::<F::Header>() + IcmpHeader::LENGTH;
    if !frame::grow_head(context, front as i32 - inner as i32) {
        return drop(Verdict::DroppedNoHeadroom);
    }
    let written = if packet.is_ipv6 {
        answer::finish6(context, ethernet, problem)
    } else {
        answer::finish4(context, ethernet, problem)
    };
    if !written {
        return drop(Verdict::DroppedInconsistent);
    }
    Outcome::new(
        Verdict::ForwardedTunnelError,
        frame::send(context, interface),
    )
}

/// True if the quoted outer packet was on its way to an address.
#[inline(always)]
fn is_to(context: &XdpContext, quote: &Quote, said: &Said, address: &[u8; 16]) -> bool {
    if said.over_ipv6 {
        frame::at_variable::<Ipv6Header>(context, quote.ip)
            .is_some_and(|ip| ip.destination == *address)
    } else {
        let [a, b, c, d, ..] = *address;
        frame::at_variable::<Ipv4Header>(context, quote.ip)
            .is_some_and(|ip| ip.destination == [a, b, c, d])
    }
}

//! The chapter of ICMP errors: to the end that they concern, as IPVS does it.
//!
//! An error quotes the packet that it is about. If that is a server's answer to a client, the
//! error is for the server; if it is a client's packet on its way to a NAT server, the error is
//! for the client; both ways the addresses are translated, in the quote as well. If it is a packet
//! of a tunnel of ours, [`tunnel_error`](crate::tunnel_error) takes over.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use caribe_packet::checksum::Difference;
use caribe_packet::connection::{Connection, Control, FORWARDING_MASK};
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::icmp::{self, IcmpHeader};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::key::Endpoints;
use caribe_packet::server::{IN_SERVICE, LOCAL, MASQUERADE, REACHABLE, Server, TUNNEL};
use caribe_packet::settings::SCHEDULE_ICMP;
use caribe_packet::table::Place;
use caribe_packet::transport::{ICMP, ICMPV6, Ports, SCTP, TCP, UDP};
use caribe_packet::verdict::Verdict;

use crate::clock;
use crate::encapsulate;
use crate::family::{V4, V6};
use crate::find::{self, Answer, Slot};
use crate::flow::{may_be_reply, turn_to_choice};
use crate::forward::Forward;
use crate::frame;
use crate::maps::{SERVERS, SETTINGS};
use crate::packet::Packet;
use crate::pending::Errand;
use crate::service;
use crate::traffic::{count_in, count_out};
use crate::tunnel_error;
use crate::verdict::{Outcome, drop, pass};

/// An error, and where in the frame it quotes what.
#[derive(Clone, Copy)]
pub struct Quote {
    /// Where the ICMP header is.
    pub icmp: usize,
    /// Where the quoted IP header is.
    pub ip: usize,
    /// Where the quoted transport header is.
    pub transport: usize,
    /// Its protocol.
    pub protocol: u8,
    /// The first four bytes of it: the ports, if it has any.
    pub ports: Ports,
    /// Length of the whole error in bytes of IP.
    pub length: u16,
}

/// What an error is like in either family.
pub trait Errors<const WORDS: usize>: Forward<WORDS> {
    /// The number of ICMP.
    const ICMP: u8;
    /// The quote of an error that is handled; `None` for one that is not, or is cut short.
    fn quote(context: &XdpContext) -> Option<Quote>;
    /// Rewrites the source of a quoted header; returns what that does to a checksum over it.
    fn requote_source(header: &mut Self::Header, address: Self::Address) -> Difference;
    /// Rewrites the destination of a quoted header; returns what that does to a checksum over it.
    fn requote_destination(header: &mut Self::Header, address: Self::Address) -> Difference;
    /// What a new address of the error itself does to its ICMP checksum.
    fn in_pseudo_header(difference: Difference) -> Difference;
}

/// Takes an error to the end that it concerns; what concerns nobody here is for the kernel.
#[inline(always)]
pub fn errors<F: Errors<WORDS>, const WORDS: usize>(context: &XdpContext) -> Outcome {
    let Some(quote) = F::quote(context) else {
        return pass(Verdict::PassedProtocol);
    };
    let Some(settings) = SETTINGS.get(0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let Some(now) = clock::now() else {
        return drop(Verdict::DroppedInconsistent);
    };
    let was_scheduled = take_errand::<F, WORDS>() == Errand::Scheduled;
    if !matches!(quote.protocol, TCP | UDP | SCTP) {
        return tunnel_error::relay(context, &quote, now);
    }
    let Some(quoted) = frame::at_variable::<F::Header>(context, quote.ip) else {
        return pass(Verdict::PassedProtocol);
    };
    let (source, destination) = F::addresses(quoted);
    // A server's answer: the client is its destination.
    let key = F::key(
        destination,
        source,
        Endpoints {
            client_port: quote.ports.destination,
            peer_port: quote.ports.source,
            protocol: quote.protocol,
        },
    );
    let place = Place::new(key.hash(settings.seed), F::buckets(settings));
    let found = find::request::<F, WORDS>(&key, &place, now);
    if found.answer == Answer::Alive {
        return to_server::<F, WORDS>(context, &quote, found.at.slot);
    }
    if may_be_reply::<F, WORDS>(destination) {
        // A client's packet, on its way to a NAT server.
        let key = F::key(
            source,
            destination,
            Endpoints {
                client_port: quote.ports.source,
                peer_port: quote.ports.destination,
                protocol: quote.protocol,
            },
        );
        let place = Place::new(key.hash(settings.reply_seed), F::buckets(settings));
        if let Some(slot) = find::reply::<F, WORDS>(&key, &place, now) {
            return to_client::<F, WORDS>(context, &quote, slot);
        }
    }
    if settings.flags & SCHEDULE_ICMP != 0 && !was_scheduled {
        let choice = leave::<F, WORDS>(context, &quote, now);
        if choice != NO_SERVICE {
            return turn_to_choice::<F, WORDS>(context, choice as u8);
        }
    }
    if quote.protocol == UDP {
        return tunnel_error::relay(context, &quote, now);
    }
    pass(Verdict::PassedProtocol)
}

/// What was scheduled last on this processor, which is over now.
#[inline(always)]
fn take_errand<F: Errors<WORDS>, const WORDS: usize>() -> Errand {
    let Some(pending) = F::pending() else {
        return Errand::Packet;
    };
    // SAFETY: the element belongs to this processor, and XDP does not nest on it. It begins as
    // zeroes, and is written as an `Errand` only.
    unsafe {
        let errand = (*pending).errand;
        (*pending).errand = Errand::Packet;
        errand
    }
}

/// No service: what [`leave`] returns besides ways to choose.
const NO_SERVICE: u32 = u32::MAX;

/// Leaves an error about no connection to the chapter that schedules, if what it quotes was sent by
/// a service (`schedule_icmp`); gives that service's way to choose. It is scheduled as a packet of
/// the client to whom the quoted packet was on its way.
#[inline(always)]
fn leave<F: Errors<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    quote: &Quote,
    now: u32,
) -> u32 {
    let places = quote.ip as u32 & 0xff | (quote.transport as u32 & 0xff) << 8;
    let lengths = quote.length as u32 | (quote.protocol as u32) << 16;
    let context = context.as_ptr().cast();
    if WORDS == 2 {
        leave_error4(context, places, lengths, now) as u32
    } else {
        leave_error6(context, places, lengths, now) as u32
    }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn leave_error4(context: *mut xdp_md, places: u32, lengths: u32, now: u32) -> u64 {
    let context = XdpContext::new(context);
    left::<V4, 2>(&context, places, lengths, now)
        .unwrap_or(NO_SERVICE)
        .into()
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn leave_error6(context: *mut xdp_md, places: u32, lengths: u32, now: u32) -> u64 {
    let context = XdpContext::new(context);
    left::<V6, 5>(&context, places, lengths, now)
        .unwrap_or(NO_SERVICE)
        .into()
}

#[inline(always)]
fn left<F: Errors<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    places: u32,
    lengths: u32,
    now: u32,
) -> Option<u32> {
    let settings = SETTINGS.get(0)?;
    let pending = F::pending()?;
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    let pending = unsafe { &mut *pending };
    let transport = (places >> 8 & 0xff) as usize;
    let ports = *frame::at_variable::<Ports>(context, transport)?;
    let quoted = frame::at_variable::<F::Header>(context, (places & 0xff) as usize)?;
    let (source, destination) = F::addresses(quoted);
    // As the answer to what is quoted.
    pending.packet.source = destination;
    pending.packet.destination = source;
    pending.packet.ports = Ports {
        source: ports.destination,
        destination: ports.source,
    };
    pending.packet.protocol = (lengths >> 16) as u8;
    pending.packet.flags = 0;
    pending.packet.is_later_fragment = false;
    pending.packet.is_fragment = false;
    pending.packet.length = lengths as u16;
    pending.packet.transport = transport;
    let of = service::of_packet::<F, WORDS>(&pending.packet, settings)?;
    let key = F::key(
        destination,
        source,
        Endpoints {
            client_port: ports.destination,
            peer_port: ports.source,
            protocol: pending.packet.protocol,
        },
    );
    pending.service = *of.service;
    pending.mark = of.mark;
    pending.port = of.port;
    let place = Place::new(key.hash(settings.seed), F::buckets(settings));
    let found = find::request::<F, WORDS>(&key, &place, now);
    pending.place = place;
    pending.answer = found.answer;
    pending.slot = found.at.number;
    pending.now = now;
    pending.control = Control::NONE;
    pending.errand = Errand::Error;
    Some(of.service.choice.into())
}

/// An error about a server's answer, by the connection's own forwarding method.
#[inline(always)]
fn to_server<F: Errors<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    quote: &Quote,
    slot: *mut Connection<caribe_packet::key::Key<WORDS>, F::Address>,
) -> Outcome {
    // SAFETY: a slot of a map. Its fields change only while it is not alive.
    let number = unsafe { (*slot).server };
    let Some(server) = SERVERS.get(number) else {
        return drop(Verdict::DroppedInconsistent);
    };
    if server.flags & IN_SERVICE == 0 {
        return drop(Verdict::DroppedServerGone);
    }
    count_in(number, quote.length);
    if server.flags & REACHABLE == 0 {
        return drop(Verdict::DroppedUnreachable);
    }
    if server.flags & LOCAL != 0 {
        return pass(Verdict::ForwardedLocal);
    }
    let Some(ip) = frame::at::<F::Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedInconsistent);
    };
    // No error is sent about an error.
    if F::ttl(ip) <= 1 {
        return drop(Verdict::DroppedTtl);
    }
    F::decrement(ip);
    // SAFETY: as above.
    let (meta, address, port) = unsafe {
        (
            Slot::meta(slot),
            (*slot).server_address,
            (*slot).server_port,
        )
    };
    match (meta.flags() & FORWARDING_MASK) as u8 {
        MASQUERADE => {
            let outer = F::in_pseudo_header(F::set_destination(ip, address));
            let Some(quoted) = frame::at_variable::<F::Header>(context, quote.ip) else {
                return drop(Verdict::DroppedInconsistent);
            };
            let difference = outer.and(F::requote_source(quoted, address));
            let Some(ports) = frame::at_variable::<Ports>(context, quote.transport) else {
                return drop(Verdict::DroppedInconsistent);
            };
            let difference = ports.set_source(port, difference);
            if patch(context, quote.icmp, difference).is_none() {
                return drop(Verdict::DroppedInconsistent);
            }
        }
        TUNNEL => {
            let (source, destination) = F::addresses(ip);
            let packet = Packet::<F::Address> {
                source,
                destination,
                ports: quote.ports,
                protocol: F::ICMP,
                flags: 0,
                is_later_fragment: false,
                is_fragment: false,
                length: quote.length,
                transport: quote.icmp,
            };
            let sent = encapsulate::encapsulate::<F, WORDS>(context, &packet, number);
            return sent.instead_of(Verdict::ForwardedTunnel, Verdict::ForwardedError);
        }
        _ => {}
    }
    send(context, server)
}

#[inline(always)]
fn send(context: &XdpContext, server: &Server) -> Outcome {
    let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    ethernet.destination = server.destination_mac;
    ethernet.source = server.source_mac;
    Outcome::new(
        Verdict::ForwardedError,
        frame::send(context, server.interface),
    )
}

/// An error about a client's packet to a NAT server, from that server or from a router between:
/// it comes from the VIP, about a packet to the VIP.
#[inline(always)]
fn to_client<F: Errors<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    quote: &Quote,
    slot: *mut Connection<caribe_packet::key::Key<WORDS>, F::Address>,
) -> Outcome {
    let Some(ip) = frame::at::<F::Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedInconsistent);
    };
    if F::ttl(ip) <= 1 {
        return drop(Verdict::DroppedTtl);
    }
    // SAFETY: a slot of a map.
    let slot = unsafe { &*slot };
    count_out(slot.server, quote.length);
    F::decrement(ip);
    let vip = F::peer(&slot.key);
    let outer = F::in_pseudo_header(F::set_source(ip, vip));
    let Some(quoted) = frame::at_variable::<F::Header>(context, quote.ip) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let difference = outer.and(F::requote_destination(quoted, vip));
    let Some(ports) = frame::at_variable::<Ports>(context, quote.transport) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let difference = ports.set_destination(slot.key.endpoints().peer_port, difference);
    if patch(context, quote.icmp, difference).is_none() {
        return drop(Verdict::DroppedInconsistent);
    }
    let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    ethernet.destination = slot.client_mac;
    ethernet.source = slot.own_mac;
    let action = frame::send(context, slot.client_interface);
    Outcome::new(Verdict::ForwardedReplyError, action)
}

/// Brings the ICMP checksum up to date. A wrong one stays wrong.
#[inline(always)]
fn patch(context: &XdpContext, at: usize, difference: Difference) -> Option<()> {
    let icmp = frame::at_variable::<IcmpHeader>(context, at)?;
    icmp.checksum = difference
        .apply(u16::from_ne_bytes(icmp.checksum))
        .to_ne_bytes();
    Some(())
}

/// Bytes of the transport header that every error quotes (RFC 792).
type Leading = [u8; icmp::QUOTED];

impl Errors<2> for V4 {
    const ICMP: u8 = ICMP;

    #[inline(always)]
    fn quote(context: &XdpContext) -> Option<Quote> {
        let outer = frame::at::<Ipv4Header>(context, EthernetHeader::LENGTH)?;
        let length = outer.total_length();
        let icmp = EthernetHeader::LENGTH + outer.header_length();
        let ip = icmp + IcmpHeader::LENGTH;
        let quoted = frame::at_variable::<Ipv4Header>(context, ip)?;
        if !quoted.is_well_formed() || quoted.is_later_fragment() {
            return None;
        }
        let transport = ip + quoted.header_length();
        let protocol = quoted.protocol;
        if transport + size_of::<Leading>() > EthernetHeader::LENGTH + length as usize {
            return None;
        }
        let [a, b, c, d, ..] = *frame::at_variable::<Leading>(context, transport)?;
        let ports = Ports {
            source: [a, b],
            destination: [c, d],
        };
        Some(Quote {
            icmp,
            ip,
            transport,
            protocol,
            ports,
            length,
        })
    }

    #[inline(always)]
    fn requote_source(header: &mut Ipv4Header, address: [u8; 4]) -> Difference {
        let before = u16::from_ne_bytes(header.checksum);
        let difference = header.set_source(address);
        difference.replace_u16(before, u16::from_ne_bytes(header.checksum))
    }

    #[inline(always)]
    fn requote_destination(header: &mut Ipv4Header, address: [u8; 4]) -> Difference {
        let before = u16::from_ne_bytes(header.checksum);
        let difference = header.set_destination(address);
        difference.replace_u16(before, u16::from_ne_bytes(header.checksum))
    }

    #[inline(always)]
    fn in_pseudo_header(_: Difference) -> Difference {
        Difference::none()
    }
}

impl Errors<5> for V6 {
    const ICMP: u8 = ICMPV6;

    #[inline(always)]
    fn quote(context: &XdpContext) -> Option<Quote> {
        const ICMP_AT: usize = EthernetHeader::LENGTH + Ipv6Header::LENGTH;
        const IP_AT: usize = ICMP_AT + IcmpHeader::LENGTH;
        const TRANSPORT_AT: usize = IP_AT + Ipv6Header::LENGTH;
        let outer = frame::at::<Ipv6Header>(context, EthernetHeader::LENGTH)?;
        let payload = outer.payload_length();
        let quoted = frame::at::<Ipv6Header>(context, IP_AT)?;
        if !quoted.is_well_formed()
            || TRANSPORT_AT + size_of::<Leading>() > ICMP_AT + payload as usize
        {
            return None;
        }
        let protocol = quoted.next_header;
        let [a, b, c, d, ..] = *frame::at::<Leading>(context, TRANSPORT_AT)?;
        let ports = Ports {
            source: [a, b],
            destination: [c, d],
        };
        Some(Quote {
            icmp: ICMP_AT,
            ip: IP_AT,
            transport: TRANSPORT_AT,
            protocol,
            ports,
            length: (Ipv6Header::LENGTH as u16).wrapping_add(payload),
        })
    }

    #[inline(always)]
    fn requote_source(header: &mut Ipv6Header, address: [u8; 16]) -> Difference {
        header.set_source(address)
    }

    #[inline(always)]
    fn requote_destination(header: &mut Ipv6Header, address: [u8; 16]) -> Difference {
        header.set_destination(address)
    }

    #[inline(always)]
    fn in_pseudo_header(difference: Difference) -> Difference {
        difference
    }
}

//! The chapters of packets whose transport header is not where it usually is: IPv4 fragments, and
//! IPv6 packets with extension headers, fragments among them.
//!
//! The first fragment of a packet has the ports, and goes the way of any packet; they are
//! remembered, and the others go the same way. What comes before its first fragment, or belongs
//! to none, cannot be told apart from other connections' and is dropped if it is for a VIP.
//!
//! Fragments that overlap the first one reach no other connection than the first one did: as long
//! as it is remembered, another one that claims to be the first is dropped.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::fragment::{FirstFragment, FragmentKey};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, Ipv6Header, ROUTING};
use caribe_packet::transport::{Ports, SCTP, TCP, UDP};
use caribe_packet::verdict::Verdict;

use crate::clock;
use crate::family::{V4, V6};
use crate::flow::{self, may_be_reply};
use crate::forward::Forward;
use crate::frame;
use crate::maps::{FRAGMENTS, VIPS};
use crate::packet::Packet;
use crate::parse::{only_for_strangers, transport_header};
use crate::verdict::{Outcome, drop, pass};

/// BPF_NOEXIST: whoever is first in the map stays.
const IF_NEW: u64 = 1;
/// BPF_ANY.
const ALWAYS: u64 = 0;

/// Where things are in a packet, before its ports are known.
#[derive(Clone, Copy)]
struct Place {
    /// Where the transport header is, or would be.
    transport: usize,
    /// Where the identification is in an IPv6 packet.
    identification: usize,
}

/// Follows an IPv4 fragment.
#[inline(always)]
pub fn fragments4(context: &XdpContext) -> Outcome {
    let Some(ip) = frame::at::<Ipv4Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedMalformed);
    };
    // A second piece of eight bytes would overwrite TCP's flags (RFC 3128), or SCTP's chunk.
    if ip.is_second_eight_bytes() && matches!(ip.protocol, TCP | SCTP) {
        return drop(Verdict::DroppedMalformed);
    }
    let what = Look {
        protocol: ip.protocol,
        is_ipv6: false,
        is_later: ip.is_later_fragment(),
        is_fragment: true,
    };
    let place = Place {
        transport: EthernetHeader::LENGTH + ip.header_length(),
        identification: 0,
    };
    follow::<V4, 2>(context, what, place)
}

/// Extension headers that are walked over, at most.
const MOST_EXTENSIONS: usize = 6;
/// The farthest that a transport header may begin in a frame.
const FARTHEST: usize = 240;

/// The first eight bytes of an extension header, which is as long as one is at least.
#[repr(C)]
struct Extension {
    next: u8,
    /// Units of eight bytes after these; fragment headers have none.
    length: u8,
    /// Of a fragment: offset and flags. Of a routing header: type and segments left.
    offset: [u8; 2],
    /// Of a fragment: identification.
    rest: [u8; 4],
}

/// Follows an IPv6 packet with extension headers.
#[inline(always)]
pub fn extended6(context: &XdpContext) -> Outcome {
    let Some(ip) = frame::at::<Ipv6Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedMalformed);
    };
    let mut protocol = ip.next_header;
    let (mut is_fragment, mut is_later) = (false, false);
    let mut transport = EthernetHeader::LENGTH + Ipv6Header::LENGTH;
    let mut identification = 0;
    for _ in 0..MOST_EXTENSIONS {
        let known = matches!(
            protocol,
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | FRAGMENT
        );
        if !known || is_later {
            break;
        }
        let Some(extension) = frame::at_variable::<Extension>(context, transport & 0xff) else {
            return unread(context);
        };
        let offset = u16::from_be_bytes(extension.offset);
        if protocol == FRAGMENT {
            // A whole packet may have the header too (RFC 6946).
            if offset & !6 != 0 {
                is_fragment = true;
                is_later = offset & !7 != 0;
                identification = transport + 4;
            }
            transport += 8;
        } else {
            // Segments left: the packet is on its way to somewhere else.
            if protocol == ROUTING && offset & 0xff != 0 {
                return unread(context);
            }
            transport += (extension.length as usize + 1) * 8;
        }
        protocol = extension.next;
        if transport > FARTHEST {
            return unread(context);
        }
    }
    if is_later || matches!(protocol, TCP | UDP | SCTP) {
        let what = Look {
            protocol,
            is_ipv6: true,
            is_later,
            is_fragment,
        };
        let place = Place {
            transport,
            identification,
        };
        return follow::<V6, 5>(context, what, place);
    }
    match protocol {
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | FRAGMENT => unread(context),
        _ => pass(Verdict::PassedProtocol),
    }
}

/// A chain of headers that is cut short or longer than is read here.
#[inline(always)]
fn unread(context: &XdpContext) -> Outcome {
    strangers(
        context,
        true,
        Verdict::PassedExtensionHeader,
        Verdict::DroppedExtensionHeader,
    )
}

/// Drops what is for a VIP and passes the rest.
#[inline(always)]
fn strangers(context: &XdpContext, is_ipv6: bool, passed: Verdict, dropped: Verdict) -> Outcome {
    if is_ipv6 {
        return match frame::at::<Ipv6Header>(context, EthernetHeader::LENGTH) {
            Some(ip) => only_for_strangers(&ip.destination, passed, dropped),
            None => drop(Verdict::DroppedMalformed),
        };
    }
    let Some(ip) = frame::at::<Ipv4Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedMalformed);
    };
    let [a, b, c, d] = ip.destination;
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
    only_for_strangers(&mapped, passed, dropped)
}

#[inline(always)]
fn follow<F: Forward<WORDS>, const WORDS: usize>(
    context: &XdpContext,
    what: Look,
    place: Place,
) -> Outcome {
    let Some(now) = clock::now() else {
        return drop(Verdict::DroppedInconsistent);
    };
    let places = place.transport as u32 & 0xff | (place.identification as u32 & 0xff) << 8;
    let found = Found::unpack(look(context.as_ptr().cast(), places, what.pack(), now));
    match found.answer {
        GO_ON => {}
        CONTRADICTS => return drop(Verdict::DroppedFragment),
        MALFORMED => return drop(Verdict::DroppedMalformed),
        _ => {
            return strangers(
                context,
                what.is_ipv6,
                Verdict::PassedFragment,
                Verdict::DroppedFragment,
            );
        }
    }
    let Some(ip) = frame::at::<F::Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedMalformed);
    };
    let (source, destination) = F::addresses(ip);
    let packet = Packet {
        source,
        destination,
        ports: found.ports,
        protocol: found.protocol,
        flags: found.flags,
        is_later_fragment: what.is_later,
        is_fragment: what.is_fragment,
        length: F::inner(ip).length,
        transport: place.transport & 0xff,
    };
    flow::follow::<F, WORDS>(context, &packet)
}

/// What to look for, as one argument of [`look`].
#[derive(Clone, Copy)]
struct Look {
    protocol: u8,
    is_ipv6: bool,
    is_later: bool,
    is_fragment: bool,
}

impl Look {
    #[inline(always)]
    const fn pack(self) -> u32 {
        self.protocol as u32
            | (self.is_ipv6 as u32) << 8
            | (self.is_later as u32) << 9
            | (self.is_fragment as u32) << 10
    }

    #[inline(always)]
    const fn unpack(word: u32) -> Self {
        Look {
            protocol: word as u8,
            is_ipv6: word & 1 << 8 != 0,
            is_later: word & 1 << 9 != 0,
            is_fragment: word & 1 << 10 != 0,
        }
    }
}

/// What was found: the ports of the packet, and how to go on.
#[derive(Clone, Copy)]
struct Found {
    ports: Ports,
    protocol: u8,
    flags: u8,
    answer: u8,
}

/// The ports are known.
const GO_ON: u8 = 0;
/// The first fragment is not.
const UNKNOWN: u8 = 1;
/// Another first fragment told otherwise.
const CONTRADICTS: u8 = 2;
/// There is no whole transport header.
const MALFORMED: u8 = 3;

impl Found {
    #[inline(always)]
    const fn nothing(answer: u8) -> Self {
        Found {
            ports: Ports {
                source: [0, 0],
                destination: [0, 0],
            },
            protocol: 0,
            flags: 0,
            answer,
        }
    }

    #[inline(always)]
    const fn pack(self) -> u64 {
        let [a, b] = self.ports.source;
        let [c, d] = self.ports.destination;
        u64::from_le_bytes([a, b, c, d, self.protocol, self.flags, self.answer, 0])
    }

    #[inline(always)]
    const fn unpack(word: u64) -> Self {
        let [a, b, c, d, protocol, flags, answer, _] = word.to_le_bytes();
        Found {
            ports: Ports {
                source: [a, b],
                destination: [c, d],
            },
            protocol,
            flags,
            answer,
        }
    }
}

/// Looks up or remembers the first fragment: a function of its own, whose keys need not share the
/// kernel's small stack with what follows.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn look(context: *mut xdp_md, places: u32, what: u32, now: u32) -> u64 {
    let context = XdpContext::new(context);
    let what = Look::unpack(what);
    let (transport, identification) = ((places & 0xff) as usize, (places >> 8 & 0xff) as usize);
    let found = if what.is_ipv6 {
        look6(&context, transport, identification, what, now)
    } else {
        look4(&context, transport, what, now)
    };
    match found {
        Some(found) => found.pack(),
        None => Found::nothing(MALFORMED).pack(),
    }
}

#[inline(always)]
fn look4(context: &XdpContext, transport: usize, what: Look, now: u32) -> Option<Found> {
    let ip = frame::at::<Ipv4Header>(context, EthernetHeader::LENGTH)?;
    let key = FragmentKey::of4(ip);
    if what.is_later {
        return Some(recall(&key, now));
    }
    let end = EthernetHeader::LENGTH + ip.total_length() as usize;
    let [a, b, c, d] = ip.destination;
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
    let is_ours = is_vip(&mapped) || may_be_reply::<V4, 2>(ip.source);
    let found = first(context, transport, end, what)?;
    Some(remembered(&key, is_ours, found, now))
}

#[inline(always)]
fn look6(
    context: &XdpContext,
    transport: usize,
    identification: usize,
    what: Look,
    now: u32,
) -> Option<Found> {
    let ip = frame::at::<Ipv6Header>(context, EthernetHeader::LENGTH)?;
    let end = EthernetHeader::LENGTH + Ipv6Header::LENGTH + ip.payload_length() as usize;
    if !what.is_fragment {
        return first(context, transport, end, what);
    }
    let key = FragmentKey {
        source: ip.source,
        destination: ip.destination,
        identification: *frame::at_variable::<[u8; 4]>(context, identification)?,
        protocol: 0,
        padding: [0; 3],
    };
    if what.is_later {
        return Some(recall(&key, now));
    }
    let is_ours = is_vip(&key.destination) || may_be_reply::<V6, 5>(key.source);
    let found = first(context, transport, end, what)?;
    Some(remembered(&key, is_ours, found, now))
}

#[inline(always)]
fn is_vip(mapped: &[u8; 16]) -> bool {
    // SAFETY: the value is not read.
    unsafe { VIPS.get(mapped) }.is_some()
}

/// What a packet's own transport header tells.
#[inline(always)]
fn first(context: &XdpContext, transport: usize, end: usize, what: Look) -> Option<Found> {
    let payload = end.saturating_sub(transport);
    let (ports, flags) =
        transport_header(context, what.protocol, transport, payload, what.is_fragment)?;
    Some(Found {
        ports,
        protocol: what.protocol,
        flags,
        answer: GO_ON,
    })
}

/// What a first fragment told.
#[inline(always)]
fn recall(key: &FragmentKey, now: u32) -> Found {
    // SAFETY: whoever writes the value meanwhile writes the ports of the same two hosts.
    match unsafe { FRAGMENTS.get(key) } {
        Some(first) if !first.is_expired(now) => Found {
            ports: first.ports,
            protocol: first.protocol,
            flags: 0,
            answer: GO_ON,
        },
        _ => Found::nothing(UNKNOWN),
    }
}

/// Remembers a first fragment of a packet that is ours, unless another one told otherwise.
#[inline(always)]
fn remembered(key: &FragmentKey, is_ours: bool, found: Found, now: u32) -> Found {
    if !is_ours {
        return found;
    }
    let first = FirstFragment {
        ports: found.ports,
        deadline: now.wrapping_add(FirstFragment::LIFETIME),
        protocol: found.protocol,
        padding: [0; 3],
    };
    // SAFETY: as in `recall`.
    let how = match unsafe { FRAGMENTS.get(key) } {
        Some(known) if !known.is_expired(now) => {
            return if known.agrees(found.ports, found.protocol) {
                found
            } else {
                Found::nothing(CONTRADICTS)
            };
        }
        Some(_) => ALWAYS,
        None => IF_NEW,
    };
    if FRAGMENTS.insert(key, &first, how).is_err() {
        // Another processor was faster, with this fragment or with another one: either way the
        // later ones follow what it remembered.
        return found;
    }
    found
}

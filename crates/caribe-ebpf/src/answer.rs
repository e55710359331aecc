//! Telling a sender by ICMP why its packet went no further.
//!
//! The frame that came in becomes the frame that goes out: room is made in front of it, the
//! Ethernet header moves there, new IP and ICMP headers follow, and the old IP header with the
//! eight bytes after it stays where it was, as the quote. The rest is cut off.

use aya_ebpf::bindings::xdp_action::XDP_TX;
use aya_ebpf::programs::XdpContext;
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::icmp::{IcmpHeader, Problem, QUOTED, error4, error6};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::verdict::Verdict;

use crate::clock::Moment;
use crate::frame;
use crate::packet::Packet;
use crate::verdict::{Outcome, drop, may_send_icmp};

/// The verdict of a packet whose sender is told, and of one whose sender is not.
#[inline(always)]
fn verdicts(problem: Problem) -> (Verdict, Verdict) {
    match problem {
        Problem::NoServer => (Verdict::AnsweredNoServer, Verdict::DroppedNoServer),
        Problem::TtlExceeded => (Verdict::AnsweredTtl, Verdict::DroppedTtl),
        Problem::TooBig(_) => (Verdict::AnsweredTooBig, Verdict::DroppedTooBig),
    }
}

/// Answers an IPv4 packet.
///
/// No error is sent to an address that is no single host (RFC 1122, 3.2.2), about a packet that
/// may be fragmented on its way, or about one with IP options, which the fixed quote would cut.
#[inline(always)]
pub fn answer4(
    context: &XdpContext,
    packet: &Packet<[u8; 4]>,
    problem: Problem,
    moment: &Moment,
) -> Outcome {
    const GROWTH: usize = Ipv4Header::LENGTH + IcmpHeader::LENGTH;
    let (answered, dropped) = verdicts(problem);
    let start = EthernetHeader::LENGTH;
    let (Some(ethernet), Some(ip), Some(payload)) = (
        frame::at::<EthernetHeader>(context, 0),
        frame::at::<Ipv4Header>(context, start),
        frame::at::<[u8; QUOTED]>(context, start + Ipv4Header::LENGTH),
    ) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let unfit = ip.header_length() != Ipv4Header::LENGTH
        || matches!(packet.source[0], 0 | 127 | 224..=255)
        || matches!(problem, Problem::TooBig(_)) && !ip.do_not_fragment();
    if unfit || !may_send_icmp(moment.settings, moment.now) {
        return drop(dropped);
    }
    let mut ethernet = *ethernet;
    ethernet.turn_round();
    let (outer, icmp) = error4(problem, ip, *payload);
    if !frame::grow_head(context, GROWTH as i32)
        || !frame::cut(context, start + GROWTH + Ipv4Header::LENGTH + QUOTED)
    {
        return drop(Verdict::DroppedNoHeadroom);
    }
    write(context, ethernet, outer, icmp, answered)
}

/// Answers an IPv6 packet.
#[inline(always)]
pub fn answer6(
    context: &XdpContext,
    packet: &Packet<[u8; 16]>,
    problem: Problem,
    moment: &Moment,
) -> Outcome {
    const GROWTH: usize = Ipv6Header::LENGTH + IcmpHeader::LENGTH;
    let (answered, dropped) = verdicts(problem);
    let start = EthernetHeader::LENGTH;
    let (Some(ethernet), Some(ip), Some(payload)) = (
        frame::at::<EthernetHeader>(context, 0),
        frame::at::<Ipv6Header>(context, start),
        frame::at::<[u8; QUOTED]>(context, start + Ipv6Header::LENGTH),
    ) else {
        return drop(Verdict::DroppedInconsistent);
    };
    // Multicast, or the unspecified address (RFC 4443, 2.4 (e)).
    let unfit = packet.source[0] == 0xff || packet.source[0] | packet.source[1] == 0;
    if unfit || !may_send_icmp(moment.settings, moment.now) {
        return drop(dropped);
    }
    let mut ethernet = *ethernet;
    ethernet.turn_round();
    let (outer, icmp) = error6(problem, ip, *payload);
    if !frame::grow_head(context, GROWTH as i32)
        || !frame::cut(context, start + GROWTH + Ipv6Header::LENGTH + QUOTED)
    {
        return drop(Verdict::DroppedNoHeadroom);
    }
    write(context, ethernet, outer, icmp, answered)
}

#[inline(always)]
fn write<H: Copy>(
    context: &XdpContext,
    ethernet: EthernetHeader,
    ip: H,
    icmp: IcmpHeader,
    verdict: Verdict,
) -> Outcome {
    let (Some(at_ethernet), Some(at_ip), Some(at_icmp)) = (
        frame::at::<EthernetHeader>(context, 0),
        frame::at::<H>(context, EthernetHeader::LENGTH),
        frame::at::<IcmpHeader>(context, EthernetHeader::LENGTH + size_of::<H>()),
    ) else {
        return drop(Verdict::DroppedInconsistent);
    };
    *at_ethernet = ethernet;
    *at_ip = ip;
    *at_icmp = icmp;
    Outcome {
        verdict,
        action: XDP_TX,
    }
}

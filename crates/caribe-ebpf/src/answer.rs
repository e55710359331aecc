//! Telling a sender by ICMP why its packet went no further.
//!
//! The frame that came in becomes the frame that goes out: room is made in front of it, the
//! Ethernet header moves there, new IP and ICMP headers follow, and the old IP header with the
//! eight bytes after it stays where it was, as the quote. The rest is cut off.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_action::XDP_TX;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::icmp::{IcmpHeader, Problem, QUOTED, error4, error6};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::verdict::Verdict;

use crate::clock::Moment;
use crate::frame;
use crate::sum;
use crate::verdict::{Outcome, drop, may_send_icmp};

/// How a frame begins that is answered.
#[repr(C)]
struct Begin<H> {
    ethernet: EthernetHeader,
    ip: H,
    payload: [u8; QUOTED],
}

/// The answer, with the quote in its place.
#[repr(C)]
struct Answer<H> {
    ethernet: EthernetHeader,
    ip: H,
    icmp: IcmpHeader,
    quoted: H,
    payload: [u8; QUOTED],
}

/// The verdict of a packet whose sender is told, and of one whose sender is not.
#[inline(always)]
fn verdicts(problem: Problem) -> (Verdict, Verdict) {
    match problem {
        Problem::NoServer => (Verdict::AnsweredNoServer, Verdict::DroppedNoServer),
        Problem::TtlExceeded => (Verdict::AnsweredTtl, Verdict::DroppedTtl),
        Problem::TooBig(_) => (Verdict::AnsweredTooBig, Verdict::DroppedTooBig),
        Problem::Stray => (Verdict::AnsweredStray, Verdict::DroppedStray),
        // Nothing is relayed from here.
        Problem::Relayed(..) => (Verdict::DroppedInconsistent, Verdict::DroppedInconsistent),
    }
}

/// Answers an IPv4 packet.
///
/// No error is sent to an address that is no single host (RFC 1122, 3.2.2), about a packet that
/// may be fragmented on its way, or about one with IP options, which the fixed quote would cut.
#[inline(always)]
pub fn answer4(context: &XdpContext, problem: Problem, moment: &Moment) -> Outcome {
    Outcome::unpack(tell4(context.as_ptr().cast(), problem.pack(), moment.now))
}

/// A function of its own for the verifier, which so follows its branches once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tell4(context: *mut xdp_md, problem: u32, now: u32) -> u64 {
    told4(&XdpContext::new(context), Problem::unpack(problem), now).pack()
}

#[inline(always)]
fn told4(context: &XdpContext, problem: Problem, now: u32) -> Outcome {
    const GROWTH: usize = Ipv4Header::LENGTH + IcmpHeader::LENGTH;
    let (answered, dropped) = verdicts(problem);
    let Some(begin) = frame::at::<Begin<Ipv4Header>>(context, 0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let ip = &begin.ip;
    let unfit = ip.header_length() != Ipv4Header::LENGTH
        || matches!(ip.source[0], 0 | 127 | 224..=255)
        || matches!(problem, Problem::TooBig(_)) && !ip.do_not_fragment();
    if unfit || !may_send_icmp(now) {
        return drop(dropped);
    }
    let mut ethernet = begin.ethernet;
    ethernet.turn_round();
    if !frame::grow_head(context, GROWTH as i32) {
        return drop(Verdict::DroppedNoHeadroom);
    }
    if !finish4(context, ethernet, problem) {
        return drop(Verdict::DroppedInconsistent);
    }
    Outcome::new(answered, XDP_TX)
}

/// Writes an answer in front of the quoted packet, for which there is room, and cuts off what is
/// not quoted.
#[inline(always)]
pub fn finish4(context: &XdpContext, ethernet: EthernetHeader, problem: Problem) -> bool {
    if !frame::cut(context, size_of::<Answer<Ipv4Header>>()) {
        return false;
    }
    let Some(answer) = frame::at::<Answer<Ipv4Header>>(context, 0) else {
        return false;
    };
    answer.ethernet = ethernet;
    let pseudo = error4(problem, &answer.quoted, &mut answer.ip, &mut answer.icmp);
    let covered = sum::exactly::<{ IcmpHeader::LENGTH + Ipv4Header::LENGTH + QUOTED }>(
        (&raw mut answer.icmp).cast(),
    );
    answer.icmp.checksum = pseudo.add(covered).finish();
    true
}

/// Answers an IPv6 packet.
#[inline(always)]
pub fn answer6(context: &XdpContext, problem: Problem, moment: &Moment) -> Outcome {
    Outcome::unpack(tell6(context.as_ptr().cast(), problem.pack(), moment.now))
}

/// A function of its own for the verifier, which so follows its branches once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tell6(context: *mut xdp_md, problem: u32, now: u32) -> u64 {
    told6(&XdpContext::new(context), Problem::unpack(problem), now).pack()
}

#[inline(always)]
fn told6(context: &XdpContext, problem: Problem, now: u32) -> Outcome {
    const GROWTH: usize = Ipv6Header::LENGTH + IcmpHeader::LENGTH;
    let (answered, dropped) = verdicts(problem);
    let Some(begin) = frame::at::<Begin<Ipv6Header>>(context, 0) else {
        return drop(Verdict::DroppedInconsistent);
    };
    let ip = &begin.ip;
    // Multicast, or the unspecified address (RFC 4443, 2.4 (e)).
    let unfit = ip.source[0] == 0xff || ip.source[0] | ip.source[1] == 0;
    if unfit || !may_send_icmp(now) {
        return drop(dropped);
    }
    let mut ethernet = begin.ethernet;
    ethernet.turn_round();
    if !frame::grow_head(context, GROWTH as i32) {
        return drop(Verdict::DroppedNoHeadroom);
    }
    if !finish6(context, ethernet, problem) {
        return drop(Verdict::DroppedInconsistent);
    }
    Outcome::new(answered, XDP_TX)
}

/// Writes an answer in front of the quoted packet, for which there is room, and cuts off what is
/// not quoted.
#[inline(always)]
pub fn finish6(context: &XdpContext, ethernet: EthernetHeader, problem: Problem) -> bool {
    if !frame::cut(context, size_of::<Answer<Ipv6Header>>()) {
        return false;
    }
    let Some(answer) = frame::at::<Answer<Ipv6Header>>(context, 0) else {
        return false;
    };
    answer.ethernet = ethernet;
    let pseudo = error6(problem, &answer.quoted, &mut answer.ip, &mut answer.icmp);
    let addresses = sum::exactly::<{ 2 * 16 }>((&raw mut answer.quoted.source).cast());
    let pseudo = pseudo.add(addresses);
    let covered = sum::exactly::<{ IcmpHeader::LENGTH + Ipv6Header::LENGTH + QUOTED }>(
        (&raw mut answer.icmp).cast(),
    );
    answer.icmp.checksum = pseudo.add(covered).finish();
    true
}

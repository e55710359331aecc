//! The XDP programs: [`director`] balances, [`decapsulate`] unwraps tunnels on a real server.
//!
//! What an established packet needs is in [`director`]; the rarer parts of the way are *chapters*,
//! programs of their own that it turns to by a tail call.
//!
//! This crate is thin on purpose. What packets and tables look like, and every computation on
//! them, is in `caribe-packet`, where it is tested; here are the bounds checks that the verifier
//! asks for, the map look-ups and the order of the stages:
//!
//! `parse -> connection? -> service? -> scheduler -> new connection -> forward -> verdict`
//!
//! One file per stage. A reader who follows a packet goes `parse`, `flow`, `find`, `schedule`,
//! `choose`, `create`, `forward`, `verdict`. Differences between IPv4 and IPv6 are in `family`.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![expect(
    internal_features,
    reason = "the BPF target has atomics only as intrinsics"
)]

mod answer;
mod atomic;
mod chapter;
mod choose;
mod classify;
mod clock;
mod create;
mod decapsulate;
mod encapsulate;
mod errors;
mod explain;
mod family;
mod find;
mod flood;
mod flow;
mod forward;
mod fragments;
mod frame;
mod locality;
mod maps;
mod mss;
mod open;
mod packet;
mod parse;
mod pending;
mod schedule;
mod sctp;
mod service;
mod strays;
mod sum;
mod template;
mod traffic;
mod transition;
mod tunnel_error;
mod verdict;

use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::choose::{ByHash, Comparing, Drawn};
use crate::family::{V4, V6};
use crate::locality::Remembered;

/// Balances: the program on a director's interfaces.
///
/// It is part of what the kernel calls, rather than called by it: the kernel counts every call's
/// stack, and there is little left of it (see `encapsulate`).
#[xdp]
#[inline(always)]
pub fn director(context: XdpContext) -> u32 {
    verdict::count(parse::parse(&context))
}

/// Schedules by comparing servers: a chapter of IPv4 packets that belong to no connection.
#[xdp]
pub fn comparing4(context: XdpContext) -> u32 {
    verdict::count(schedule::schedule::<V4, Comparing, 2>(&context))
}

/// Schedules by comparing servers: a chapter of IPv6 packets that belong to no connection.
#[xdp]
pub fn comparing6(context: XdpContext) -> u32 {
    verdict::count(schedule::schedule::<V6, Comparing, 5>(&context))
}

/// As [`comparing4`], by a hash.
#[xdp]
pub fn hashing4(context: XdpContext) -> u32 {
    verdict::count(schedule::schedule::<V4, ByHash, 2>(&context))
}

/// As [`comparing6`], by a hash.
#[xdp]
pub fn hashing6(context: XdpContext) -> u32 {
    verdict::count(schedule::schedule::<V6, ByHash, 5>(&context))
}

/// As [`comparing4`], by rotating or drawing.
#[xdp]
pub fn drawing4(context: XdpContext) -> u32 {
    verdict::count(schedule::schedule::<V4, Drawn, 2>(&context))
}

/// As [`comparing6`], by rotating or drawing.
#[xdp]
pub fn drawing6(context: XdpContext) -> u32 {
    verdict::count(schedule::schedule::<V6, Drawn, 5>(&context))
}

/// As [`comparing4`], by the servers that are remembered for a destination.
#[xdp]
pub fn remembering4(context: XdpContext) -> u32 {
    verdict::count(schedule::schedule::<V4, Remembered, 2>(&context))
}

/// As [`comparing6`], by the servers that are remembered for a destination.
#[xdp]
pub fn remembering6(context: XdpContext) -> u32 {
    verdict::count(schedule::schedule::<V6, Remembered, 5>(&context))
}

/// Makes connections: the chapter of IPv4 packets whose server is chosen.
#[xdp]
pub fn opening4(context: XdpContext) -> u32 {
    verdict::count(open::open::<V4, 2>(&context))
}

/// Makes connections: the chapter of IPv6 packets whose server is chosen.
#[xdp]
pub fn opening6(context: XdpContext) -> u32 {
    verdict::count(open::open::<V6, 5>(&context))
}

/// Takes errors to whom they concern: the chapter of ICMP errors.
#[xdp]
pub fn errors4(context: XdpContext) -> u32 {
    verdict::count(errors::errors::<V4, 2>(&context))
}

/// Takes errors to whom they concern: the chapter of ICMPv6 errors.
#[xdp]
pub fn errors6(context: XdpContext) -> u32 {
    verdict::count(errors::errors::<V6, 5>(&context))
}

/// Tells NAT servers of connections that are no more: the chapter of IPv4 packets of nobody.
#[xdp]
pub fn strays4(context: XdpContext) -> u32 {
    verdict::count(strays::strays::<V4, 2>(&context))
}

/// As [`strays4`], for IPv6.
#[xdp]
pub fn strays6(context: XdpContext) -> u32 {
    verdict::count(strays::strays::<V6, 5>(&context))
}

/// Follows the pieces of a packet: the chapter of IPv4 fragments.
#[xdp]
pub fn fragments4(context: XdpContext) -> u32 {
    verdict::count(fragments::fragments4(&context))
}

/// Finds the transport header: the chapter of IPv6 packets with extension headers.
#[xdp]
pub fn extended6(context: XdpContext) -> u32 {
    verdict::count(fragments::extended6(&context))
}

/// Unwraps tunnelled packets addressed to a VIP: the program on a real server's interface.
#[xdp]
pub fn decapsulate(context: XdpContext) -> u32 {
    decapsulate::decapsulate(&context)
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here can panic: the verifier would have to accept this loop otherwise.
    loop {}
}

/// The licence that the kernel's helpers ask for.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

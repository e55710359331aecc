//! Lowering the segment size that an end announces.
//!
//! Whoever announces it tells how large the *other* end's segments may be. A client's SYN passes the
//! director by every method, and what is lowered there makes the server's segments smaller. A
//! server's SYN/ACK, on which the size of the client's segments depends, passes it by NAT only.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use caribe_packet::mss;
use caribe_packet::transport::{SYN, TCP, TcpHeader};

use crate::frame;
use crate::maps::POLICIES;
use crate::packet::Packet;

/// True for a packet that may announce a size.
#[inline(always)]
pub const fn is_announced<A>(packet: &Packet<A>) -> bool {
    packet.protocol == TCP && packet.flags & SYN != 0 && !packet.is_later_fragment
}

/// Lowers what a SYN announces, if the service has it so. `room` is what fits the way to the server,
/// `header` the length of the IP header.
#[inline(always)]
pub fn clamp<A>(context: &XdpContext, packet: &Packet<A>, service: u32, room: u16, header: usize) {
    if is_announced(packet) {
        let sizes = room as u32 | (header as u32) << 16;
        clamp_mss(
            context.as_ptr().cast(),
            packet.transport as u32,
            service,
            sizes,
        );
    }
}

/// A function of its own for the verifier, which so follows its loop once.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn clamp_mss(context: *mut xdp_md, transport: u32, service: u32, sizes: u32) -> u64 {
    lower(&XdpContext::new(context), transport, service, sizes).is_some() as u64
}

#[inline(always)]
fn lower(context: &XdpContext, transport: u32, service: u32, sizes: u32) -> Option<()> {
    let policy = POLICIES.get(service)?;
    let limit = mss::limit(policy, sizes as u16, (sizes >> 16) as usize)?;
    let transport = (transport & 0xff) as usize;
    let tcp = frame::at_variable::<TcpHeader>(context, transport)?;
    let end = (tcp.data_offset >> 4) as usize * 4;
    let read = |at| frame::at_variable::<[u8; 2]>(context, transport + at).copied();
    let at = mss::find(end, read, bounded)?;
    let value = frame::at_variable::<[u8; 2]>(context, transport + bounded(at))?;
    let (new, difference) = mss::lowered(*value, limit, at)?;
    *value = new;
    let tcp = frame::at_variable::<TcpHeader>(context, transport)?;
    tcp.patch_checksum(difference);
    Some(())
}

/// An offset in a TCP header, of which both the compiler and the verifier know no more than that.
#[inline(always)]
fn bounded(at: usize) -> usize {
    // SAFETY: a local variable.
    let at = unsafe { core::ptr::read_volatile(&raw const at) };
    at & 0x3f
}

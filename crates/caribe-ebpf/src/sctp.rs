//! What SCTP needs beside what all protocols do: its chunks, its states, its checksum.
//!
//! Each is a function of its own for the verifier, so that TCP's and UDP's way is no longer for it.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::programs::XdpContext;
use caribe_packet::crc32c;
use caribe_packet::ethernet::EthernetHeader;
use caribe_packet::sctp_state::{Event, next};
use caribe_packet::tcp_state::Viewpoint;
use caribe_packet::transport::{ChunkHeader, Ports, SctpHeader};

use crate::frame;
use crate::packet::Packet;

/// Where the transport header may be in a frame, at most.
const FARTHEST: u32 = 0xff;
/// The longest chunk behind which another one is looked for; the verifier follows no offset of
/// more than 64 KiB.
const LONGEST_CHUNK: usize = 0x3ffc;

/// Ports, and the number of the event that the chunks are; `None` without a whole header of a
/// first chunk.
#[inline(always)]
pub fn header(context: &XdpContext, offset: usize, payload: usize) -> Option<(Ports, u8)> {
    let told = sctp_header(context.as_ptr().cast(), offset as u32, payload as u32);
    let [a, b, c, d, event, is_whole, ..] = told.to_le_bytes();
    let ports = Ports {
        source: [a, b],
        destination: [c, d],
    };
    (is_whole != 0).then_some((ports, event))
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn sctp_header(context: *mut xdp_md, offset: u32, payload: u32) -> u64 {
    let context = XdpContext::new(context);
    match read(&context, (offset & FARTHEST) as usize, payload as usize) {
        Some((ports, event)) => {
            let ([a, b], [c, d]) = (ports.source, ports.destination);
            u64::from_le_bytes([a, b, c, d, event as u8, 1, 0, 0])
        }
        None => 0,
    }
}

#[inline(always)]
fn read(context: &XdpContext, offset: usize, payload: usize) -> Option<(Ports, Event)> {
    if payload < SctpHeader::LENGTH + ChunkHeader::LENGTH {
        return None;
    }
    let ports = frame::at_variable::<SctpHeader>(context, offset)?.ports;
    let first = SctpHeader::LENGTH;
    let chunk = frame::at_variable::<ChunkHeader>(context, offset + first)?;
    let event = Event::of_chunk(chunk.kind);
    let step = chunk.step();
    let fits = step != 0 && step <= LONGEST_CHUNK && first + step + ChunkHeader::LENGTH <= payload;
    if !event.looks_behind() || !fits {
        return Some((ports, event));
    }
    let behind = frame::at_variable::<ChunkHeader>(context, offset + first + (step & 0x3fff))?;
    Some((ports, event.before(behind.kind)))
}

/// The number of an association's state after an event.
#[inline(always)]
pub fn after(state: u8, viewpoint: Viewpoint, event: u8) -> u8 {
    let viewpoint = match viewpoint {
        Viewpoint::Input => 0,
        Viewpoint::Output => 1,
        Viewpoint::InputOnly => 2,
    };
    let next = sctp_next(state.into(), viewpoint, event.into()) as u8;
    // The compiler knows which numbers the function returns, and would leave out the bound that
    // the verifier asks for.
    // SAFETY: a local variable.
    unsafe { core::ptr::read_volatile(&raw const next) }
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn sctp_next(state: u32, viewpoint: u32, event: u32) -> u64 {
    let viewpoint = match viewpoint {
        0 => Viewpoint::Input,
        1 => Viewpoint::Output,
        _ => Viewpoint::InputOnly,
    };
    next(state as u8, viewpoint, event as u8).into()
}

/// True for a packet whose ports cannot be changed: the checksum covers the packet to its end, and
/// how far that is only the last fragment tells.
#[inline(always)]
pub const fn keeps_ports<A>(packet: &Packet<A>) -> bool {
    packet.is_fragment && packet.protocol == caribe_packet::transport::SCTP
}

/// Gives a packet other ports and the checksum for them. Where the ports stay, so does the
/// checksum, as in IPVS: it covers no addresses.
#[inline(always)]
pub fn set_ports<A>(context: &XdpContext, packet: &Packet<A>, ports: Ports) -> bool {
    let ([a, b], [c, d]) = (ports.source, ports.destination);
    let end = EthernetHeader::LENGTH as u32 + packet.length as u32;
    let transport = packet.transport as u32;
    let length = end.wrapping_sub(transport);
    let context = context.as_ptr().cast();
    sctp_ports(context, transport, length, u32::from_le_bytes([a, b, c, d])) != 0
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn sctp_ports(context: *mut xdp_md, transport: u32, length: u32, ports: u32) -> u64 {
    let context = XdpContext::new(context);
    let at = (transport & FARTHEST) as usize;
    let Some(header) = frame::at_variable::<SctpHeader>(&context, at) else {
        return 0;
    };
    let ([a, b], [c, d]) = (header.ports.source, header.ports.destination);
    let [e, f, g, h] = ports.to_le_bytes();
    let difference = crc32c::difference([a, b, c, d], [e, f, g, h], length as u16);
    header.ports = Ports {
        source: [e, f],
        destination: [g, h],
    };
    header.checksum = crc32c::apply(header.checksum, difference);
    1
}

//! Programs for `cargo xtask bench packet`: a generator of flows in front of the program that is
//! measured, the sink that is subtracted, and the references that it is compared with.
//!
//! The kernel's live-frames test mode recycles frames with whatever the last program left in
//! them, so the generator writes every header anew before it calls on.
#![no_std]
#![no_main]

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_TX};
use aya_ebpf::btf_maps::{Array, HashMap, PerCpuArray, ProgramArray};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;
use caribe_packet::ethernet::{ETHER_TYPE_IPV4, EthernetHeader};
use caribe_packet::ipv4::{Ipv4Fields, Ipv4Header};
use caribe_packet::transport::{Ports, TCP, TcpHeader};

/// What to generate, written by the bench.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Traffic {
    /// Flows, of which every packet is a random one; 0 takes one after the other.
    flows: u32,
    /// TCP flags of every packet.
    flags: u32,
    /// Destination address, as it lies in memory.
    destination: u32,
    /// Destination port, as it lies in memory.
    port: u32,
    /// Index in `TARGETS` of the program to call.
    target: u32,
    /// First flow, for flows that were never seen before.
    first: u32,
    /// 1 if the packet is a reply: the flow is in the destination, `destination` is the source.
    is_reply: u32,
    /// Services, at ports that follow each other from `port` on, among which flows are spread;
    /// at least 1.
    services: u32,
}

/// A number's scrambled self (the finalizer of SplitMix64): packets come from random flows, as on
/// a busy network, and neither caches nor prefetchers find a pattern in them.
#[inline(always)]
fn scramble(number: u64) -> u64 {
    let mixed = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

#[btf_map]
static TRAFFIC: Array<Traffic, 1> = Array::new();

#[btf_map]
static PACKETS: PerCpuArray<u64, 1> = PerCpuArray::new();

#[btf_map]
static TARGETS: ProgramArray<16> = ProgramArray::new();

/// The reference's table: the kernel's hash map with keys and values as large as ours.
#[btf_map]
static REFERENCE: HashMap<[u64; 2], [u64; 6], 1048576> = HashMap::new();

#[inline(always)]
fn at<T>(context: &XdpContext, offset: usize) -> Option<*mut T> {
    let start = context.data() + offset;
    if start + size_of::<T>() > context.data_end() {
        return None;
    }
    Some(start as *mut T)
}

/// Writes the next packet's headers and calls the program that is measured.
#[xdp]
pub fn generator(context: XdpContext) -> u32 {
    match generate(&context) {
        Some(target) => {
            // SAFETY: nothing is to be dropped.
            unsafe { TARGETS.tail_call(&context, target) };
            XDP_ABORTED
        }
        None => XDP_ABORTED,
    }
}

#[inline(always)]
fn generate(context: &XdpContext) -> Option<u32> {
    let traffic = TRAFFIC.get(0)?;
    let packets = PACKETS.get_ptr_mut(0)?;
    // SAFETY: the element belongs to this processor.
    let number = unsafe {
        let number = *packets;
        *packets += 1;
        number
    };
    let flow = if traffic.flows == 0 {
        traffic.first.wrapping_add(number as u32)
    } else {
        ((scramble(number) >> 32) * traffic.flows as u64 >> 32) as u32
    };
    let ethernet = at::<EthernetHeader>(context, 0)?;
    let ip = at::<Ipv4Header>(context, EthernetHeader::LENGTH)?;
    let tcp = at::<TcpHeader>(context, EthernetHeader::LENGTH + Ipv4Header::LENGTH)?;
    let client = (0x0a00_0000 | flow >> 14).to_be_bytes();
    let client_port = (1024 + (flow & 0x3fff) as u16).to_be_bytes();
    let local = traffic.destination.to_le_bytes();
    let service = flow.checked_rem(traffic.services)?;
    let local_port = u16::from_be(traffic.port as u16)
        .wrapping_add(service as u16)
        .to_be_bytes();
    let (source, destination, source_port, destination_port) = if traffic.is_reply == 1 {
        (local, client, local_port, client_port)
    } else {
        (client, local, client_port, local_port)
    };
    // SAFETY: inside the frame, as `at` checked.
    unsafe {
        *ethernet = EthernetHeader {
            destination: [2, 0, 0, 0, 0, 1],
            source: [2, 0, 0, 0, 0, 2],
            ether_type: ETHER_TYPE_IPV4,
        };
        *ip = Ipv4Header::emit(Ipv4Fields {
            service: 0,
            total_length: (Ipv4Header::LENGTH + TcpHeader::LENGTH) as u16,
            identification: 0,
            do_not_fragment: true,
            ttl: 64,
            protocol: TCP,
            source,
            destination,
        });
        *tcp = TcpHeader {
            ports: Ports {
                source: source_port,
                destination: destination_port,
            },
            sequence: [0; 4],
            acknowledgement: [0; 4],
            data_offset: 5 << 4,
            flags: traffic.flags as u8,
            window: [0xff; 2],
            checksum: [0; 2],
            urgent: [0; 2],
        };
    }
    Some(traffic.target)
}

/// Does nothing: what generator, call and frame cost by themselves.
#[xdp]
pub fn sink(_context: XdpContext) -> u32 {
    XDP_TX
}

#[inline(always)]
fn reference_key(context: &XdpContext) -> Option<[u64; 2]> {
    let ethernet = at::<EthernetHeader>(context, 0)?;
    let ip = at::<Ipv4Header>(context, EthernetHeader::LENGTH)?;
    let tcp = at::<TcpHeader>(context, EthernetHeader::LENGTH + Ipv4Header::LENGTH)?;
    // SAFETY: inside the frame, as `at` checked.
    let (ethernet, ip, tcp) = unsafe { (&*ethernet, &*ip, &*tcp) };
    if ethernet.ether_type != ETHER_TYPE_IPV4 || ip.version_and_length != 0x45 || ip.protocol != TCP
    {
        return None;
    }
    let addresses =
        u32::from_le_bytes(ip.source) as u64 | (u32::from_le_bytes(ip.destination) as u64) << 32;
    let ports = u16::from_le_bytes(tcp.ports.source) as u64
        | (u16::from_le_bytes(tcp.ports.destination) as u64) << 16
        | (ip.protocol as u64) << 32;
    Some([addresses, ports])
}

/// The reference: parses, and looks the flow up in the kernel's hash map.
#[xdp]
pub fn reference(context: XdpContext) -> u32 {
    let Some(key) = reference_key(&context) else {
        return XDP_ABORTED;
    };
    // SAFETY: the value is only read, and nobody writes it meanwhile.
    match unsafe { REFERENCE.get(&key) } {
        Some(value) if value[0] == 1 => XDP_TX,
        _ => XDP_ABORTED,
    }
}

/// Parses, and enters the flow into the kernel's hash map: the reference for new flows.
#[xdp]
pub fn reference_insert(context: XdpContext) -> u32 {
    let Some(key) = reference_key(&context) else {
        return XDP_ABORTED;
    };
    match REFERENCE.insert(&key, &[1, 0, 0, 0, 0, 0], 0) {
        Ok(()) => XDP_TX,
        Err(_) => XDP_ABORTED,
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The licence that the kernel's helpers ask for.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

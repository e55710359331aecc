//! Counting what goes to and from each server.
//!
//! Every processor has a row of its own in each of these arrays, which it alone writes. A map with
//! an element per processor would do the same, but keeps a pointer to each element, elsewhere: with
//! ten thousand servers that is a cache miss more for every packet. And what a direction counts lies
//! by itself, so that the counters of four servers share a line.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use caribe_packet::server::Flow;

use crate::explain::explains;
use crate::maps::{SETTINGS, STARTED, TRAFFIC_IN, TRAFFIC_OUT};

/// Where this processor counts for a server.
#[inline(always)]
fn place(server: u32) -> Option<u32> {
    if explains() {
        return None;
    }
    // SAFETY: a helper that any program may call.
    let processor = unsafe { bpf_get_smp_processor_id() };
    Some(processor * SETTINGS.get(0)?.row + server)
}

/// Counts a packet from a client.
#[inline(always)]
pub fn count_in(server: u32, length: u16) {
    if let Some(flow) = place(server).and_then(|at| TRAFFIC_IN.get_ptr_mut(at)) {
        count(flow, length);
    }
}

/// Counts a packet to a client.
#[inline(always)]
pub fn count_out(server: u32, length: u16) {
    if let Some(flow) = place(server).and_then(|at| TRAFFIC_OUT.get_ptr_mut(at)) {
        count(flow, length);
    }
}

/// Counts a connection.
#[inline(always)]
pub fn count_connection(server: u32) {
    if let Some(connections) = place(server).and_then(|at| STARTED.get_ptr_mut(at)) {
        // SAFETY: the element belongs to this processor, and XDP does not nest on it.
        unsafe { *connections += 1 };
    }
}

#[inline(always)]
fn count(flow: *mut Flow, length: u16) {
    // SAFETY: the element belongs to this processor, and XDP does not nest on it.
    unsafe {
        (*flow).packets += 1;
        (*flow).bytes += length as u64;
    }
}

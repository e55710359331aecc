//! Counting what goes to and from each server.

use crate::maps::TRAFFIC;

/// Counts a packet from a client, and the connection that it opened, if it did.
#[inline(always)]
pub fn count_in(server: u32, length: u16, connections: u64) {
    if let Some(traffic) = TRAFFIC.get_ptr_mut(server) {
        // SAFETY: the element belongs to this processor, and XDP does not nest on it.
        unsafe {
            (*traffic).connections += connections;
            (*traffic).packets_in += 1;
            (*traffic).bytes_in += length as u64;
        }
    }
}

/// Counts a connection whose first packet is counted elsewhere.
#[inline(always)]
pub fn count_connection(server: u32) {
    if let Some(traffic) = TRAFFIC.get_ptr_mut(server) {
        // SAFETY: the element belongs to this processor, and XDP does not nest on it.
        unsafe { (*traffic).connections += 1 };
    }
}

/// Counts a packet to a client.
#[inline(always)]
pub fn count_out(server: u32, length: u16) {
    if let Some(traffic) = TRAFFIC.get_ptr_mut(server) {
        // SAFETY: the element belongs to this processor, and XDP does not nest on it.
        unsafe {
            (*traffic).packets_out += 1;
            (*traffic).bytes_out += length as u64;
        }
    }
}

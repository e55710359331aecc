//! What the XDP back end is opened with.

use std::path::PathBuf;

use caribe_model::Timeouts;

/// Settings of an [`XdpDataplane`](super::XdpDataplane).
///
/// Capacities hold from a fresh start on. A running data plane that is adopted keeps its own,
/// because its maps cannot grow; other values then take effect after a clean stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Directory of this director's pins, on a bpffs. It is created when its parent exists.
    pub pin_directory: PathBuf,
    /// Interfaces to attach to.
    pub interfaces: Vec<String>,
    /// Capacity of the connection table for each address family, at least 1. An entry takes
    /// about 122 bytes for IPv4 and 229 for IPv6, all of it from the start.
    pub connections: u32,
    /// Virtual services of each address family, and of both together.
    pub services: u32,
    /// Real servers of all services; as many removed ones fit beside them while their
    /// connections end.
    pub servers: u32,
    /// Slots of all schedulers: a server takes one, but a service with wrr takes the sum of its
    /// weights over their divisor (at most 65,536), one with dh or sh 256, and one with mh the
    /// size of its table (4,093 unless it says otherwise). A change needs room for the service's
    /// old and new slots at once.
    pub slots: u32,
    /// Idle timeouts of connections.
    pub timeouts: Timeouts,
    /// ICMP errors that one processor may send in a second.
    pub icmp_limit: u32,
}

impl Options {
    /// Slots that go with so much room for services and servers: for each service those of a
    /// hash twice, as a change needs old and new, and for each server eight.
    pub const fn slots_for(services: u32, servers: u32) -> u32 {
        let slots = services as u64 * 512 + servers as u64 * 8;
        let most = 1 << 28;
        if slots > most {
            return most as u32;
        }
        // Below 2^28.
        let slots = slots as u32;
        let least = 1 << 18;
        if slots > least { slots } else { least }
    }
}

impl Default for Options {
    /// A director of medium size: 262,144 connections of each family, 1,024 services and 8,192
    /// servers, in about 90 MB.
    fn default() -> Self {
        Options {
            pin_directory: PathBuf::from("/sys/fs/bpf/caribe"),
            interfaces: Vec::new(),
            connections: 1 << 18,
            services: 1 << 10,
            servers: 1 << 13,
            slots: 1 << 18,
            timeouts: Timeouts::default(),
            icmp_limit: 200,
        }
    }
}

//! The table as the kernel tells it.

use crate::{Destination, Service};

/// Counters since the entry was added or zeroed. Bytes are IP packet lengths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

/// Estimated rates per second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

/// A service with its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveService {
    /// As it was set.
    pub service: Service,
    /// Counters.
    pub statistics: Statistics,
    /// Rates.
    pub rates: Rates,
    /// Its servers in the kernel's order: newest first.
    pub destinations: Vec<LiveDestination>,
}

/// A real server of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveDestination {
    /// As it was set.
    pub destination: Destination,
    /// Active connections.
    pub active: u32,
    /// Inactive connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Counters.
    pub statistics: Statistics,
    /// Rates.
    pub rates: Rates,
}

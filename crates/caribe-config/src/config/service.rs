//! Virtual services.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use caribe_model::{Defence, Persistence, Policy, Protocol, Scheduler, SchedulerOptions};

use super::{FloatingAddress, Monitor, RealServer};

/// A `virtual` block.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualService {
    /// Name of the block.
    pub name: String,
    /// `active`: inactive services are skipped completely.
    pub active: bool,
    /// `address` and `vip_nmask`: the VIP. Services that share a VIP hold equal values here:
    /// those of the first active one, as in Piranha.
    pub address: FloatingAddress,
    /// `fwmark`: the service is keyed by this mark instead of protocol, VIP and port.
    pub mark: Option<NonZeroU32>,
    /// `port`; 0: all ports, of a service with `persistence` or `mark` only.
    pub port: u16,
    /// `protocol`.
    pub protocol: Protocol,
    /// `scheduler`.
    pub scheduler: Scheduler,
    /// `scheduler_flags` and `mh_table_size` (Caribe's own).
    pub options: SchedulerOptions,
    /// `sorry_server`: serves while no real server can.
    pub sorry_server: Option<IpAddr>,
    /// `persistent` and `pmask`.
    pub persistence: Option<Persistence>,
    /// `one_packet`: every datagram is scheduled by itself.
    pub one_packet: bool,
    /// `drain_timeout`: how long a server that leaves the file may finish its connections; zero:
    /// it is removed at once.
    pub drain_timeout: Duration,
    /// How connections are treated: the service's keys, else those of the file.
    pub policy: Policy,
    /// `secure_tcp`, as in [`super::Config::secure_tcp`].
    pub secure_tcp: Defence,
    /// How servers are watched.
    pub monitor: Monitor,
    /// `quiesce_server`: a failed server gets weight 0 instead of being removed.
    pub quiesce: bool,
    /// The `server` blocks, in the order of the file.
    pub servers: Vec<RealServer>,
}

impl VirtualService {
    /// A service as a block means it that says its address alone.
    pub fn new(name: impl Into<String>, address: FloatingAddress) -> Self {
        VirtualService {
            name: name.into(),
            active: false,
            address,
            mark: None,
            port: 80,
            protocol: Protocol::Tcp,
            scheduler: Scheduler::Wlc,
            options: SchedulerOptions::IPVS,
            sorry_server: None,
            persistence: None,
            one_packet: false,
            drain_timeout: Duration::ZERO,
            policy: Policy::default(),
            secure_tcp: Defence::Off,
            monitor: Monitor::default(),
            quiesce: false,
            servers: Vec::new(),
        }
    }
}

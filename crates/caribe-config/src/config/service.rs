//! Virtual services.

use std::num::NonZeroU32;
use std::time::Duration;

use caribe_model::{Defence, Persistence, Policy, Protocol, Scheduler, SchedulerOptions};

use super::{
    CommandLine, FloatingAddress, LoadWatch, Monitor, MonitorBlock, Quorum, RealServer, SlowStart,
};

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
    /// `sorry_server`, `sorry_port`, `sorry_weight`, `sorry_forward`: serves while too few real
    /// servers can. It is not watched.
    pub sorry_server: Option<RealServer>,
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
    /// Piranha's check of the servers.
    pub monitor: Monitor,
    /// The `monitor` blocks for all servers, in the order of the file; each server may have more.
    pub monitors: Vec<MonitorBlock>,
    /// `quorum`, `quorum_up`, `keep_below`.
    pub quorum: Quorum,
    /// `slow_start`.
    pub slow_start: SlowStart,
    /// `load_monitor` and `load_interval`; `None` when absent or `none`.
    pub load: Option<LoadWatch>,
    /// `notify`: the service's, else the file's.
    pub notify: Option<CommandLine>,
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
            monitors: Vec::new(),
            quorum: Quorum::default(),
            slow_start: SlowStart::Nanny,
            load: None,
            notify: None,
            quiesce: false,
            servers: Vec::new(),
        }
    }
}

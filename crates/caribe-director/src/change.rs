//! Changes by hand, and why one is not made.

use std::fmt;
use std::net::Ipv4Addr;

use caribe_model::{
    Forwarding, Netmask, Persistence, Policy, Scheduler, SchedulerFlags, SchedulerOptions, Server,
    ServerKey, Service, ServiceKey, Thresholds,
};
use serde::{Deserialize, Serialize};

/// A change by hand, in the words of `ipvsadm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A new service without servers.
    AddService(ServiceKey, ServiceSettings),
    /// Everything of a service but its identity, its servers and its policy.
    EditService(ServiceKey, ServiceSettings),
    /// A service less, and its servers.
    RemoveService(ServiceKey),
    /// No services at all.
    Clear,
    /// A new server.
    AddServer(ServiceKey, Server),
    /// Everything of a server but its identity.
    EditServer(ServiceKey, Server),
    /// A server less.
    RemoveServer(ServiceKey, ServerKey),
    /// Other timeouts, in seconds; 0 leaves one as it is.
    SetTimeouts {
        /// An established TCP connection.
        tcp: u32,
        /// A TCP connection after a FIN.
        tcp_fin: u32,
        /// UDP.
        udp: u32,
    },
    /// Everything as configured again.
    Revert,
}

impl Change {
    /// The service that it is about, if it is about one.
    pub(crate) fn service(&self) -> Option<&ServiceKey> {
        match self {
            Change::AddService(key, _)
            | Change::EditService(key, _)
            | Change::RemoveService(key)
            | Change::AddServer(key, _)
            | Change::EditServer(key, _)
            | Change::RemoveServer(key, _) => Some(key),
            Change::Clear | Change::SetTimeouts { .. } | Change::Revert => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::AddService(key, settings) => write!(f, "add {key} ({settings})"),
            Change::EditService(key, settings) => write!(f, "edit {key}: scheduler {settings}"),
            Change::RemoveService(key) => write!(f, "remove {key}"),
            Change::Clear => f.write_str("remove every service"),
            Change::AddServer(key, server) => write!(f, "{key}: add {}", Shown(server)),
            Change::EditServer(key, server) => write!(f, "{key}: edit {}", Shown(server)),
            Change::RemoveServer(key, server) => write!(f, "{key}: remove {server}"),
            Change::SetTimeouts { tcp, tcp_fin, udp } => {
                write!(f, "timeouts tcp {tcp}, tcpfin {tcp_fin}, udp {udp}")
            }
            Change::Revert => f.write_str("everything as configured"),
        }
    }
}

/// What `ipvsadm -A` and `-E` say of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSettings {
    /// How the next server is chosen.
    pub scheduler: Scheduler,
    /// The scheduler's flags.
    #[serde(default)]
    pub flags: SchedulerFlags,
    /// Client affinity.
    #[serde(default)]
    pub persistence: Option<Persistence>,
    /// Every datagram is scheduled by itself.
    #[serde(default)]
    pub one_packet: bool,
}

impl ServiceSettings {
    /// A scheduler, and nothing else.
    pub const fn plain(scheduler: Scheduler) -> Self {
        ServiceSettings {
            scheduler,
            flags: SchedulerOptions::IPVS.flags,
            persistence: None,
            one_packet: false,
        }
    }

    /// Those of a service.
    pub const fn of(service: &Service) -> Self {
        ServiceSettings {
            scheduler: service.scheduler,
            flags: service.options.flags,
            persistence: service.persistence,
            one_packet: service.one_packet,
        }
    }

    /// A service that has nothing else.
    pub(crate) fn service(&self) -> Service {
        let mut service = Service {
            scheduler: self.scheduler,
            options: SchedulerOptions::IPVS,
            persistence: None,
            one_packet: false,
            policy: Policy::default(),
            servers: Vec::new(),
        };
        self.put(&mut service);
        service
    }

    /// Gives them to a service. What `ipvsadm` has no words for stays.
    pub(crate) fn put(&self, service: &mut Service) {
        service.scheduler = self.scheduler;
        service.options.flags = self.flags;
        service.persistence = self.persistence;
        service.one_packet = self.one_packet;
    }
}

impl fmt::Display for ServiceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scheduler)?;
        for (name, flag) in SchedulerFlags::of(self.scheduler) {
            if self.flags.contains(*flag) {
                write!(f, " {name}")?;
            }
        }
        if let Some(Persistence { timeout, netmask }) = self.persistence {
            write!(f, ", persistent {timeout}")?;
            match netmask {
                Netmask::V4(mask) if mask != Ipv4Addr::BROADCAST => write!(f, " mask {mask}")?,
                Netmask::V6(prefix) if prefix != 128 => write!(f, " mask {prefix}")?,
                Netmask::V4(_) | Netmask::V6(_) => {}
            }
        }
        if self.one_packet {
            f.write_str(", one packet at a time")?;
        }
        Ok(())
    }
}

/// A server with what can be said of it.
pub(crate) struct Shown<'a>(pub(crate) &'a Server);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server {
            key,
            forwarding,
            weight,
            encapsulation,
            thresholds,
        } = self.0;
        write!(f, "{key} ({forwarding}")?;
        if *forwarding == Forwarding::Tunnel {
            write!(f, " {encapsulation}")?;
        }
        write!(f, ", weight {weight}")?;
        if *thresholds != Thresholds::NONE {
            write!(
                f,
                ", thresholds {} {}",
                thresholds.upper(),
                thresholds.lower()
            )?;
        }
        f.write_str(")")
    }
}

/// Why a change by hand was not made; nothing was changed then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ChangeRefusal {
    /// The service is there already.
    #[error("virtual service {0} is there already")]
    ServiceExists(ServiceKey),
    /// There is no such service.
    #[error("there is no virtual service {0}")]
    NoService(ServiceKey),
    /// The server is there already.
    #[error("real server {1} is in virtual service {0} already")]
    ServerExists(ServiceKey, ServerKey),
    /// There is no such server.
    #[error("there is no real server {1} in virtual service {0}")]
    NoServer(ServiceKey, ServerKey),
    /// The server is configured and watched, and its monitor keeps it out.
    #[error(
        "real server {1} of virtual service {0} is configured, and its monitor keeps it out: it \
         comes back by itself when it answers"
    )]
    Down(ServiceKey, ServerKey),
    /// No table can hold it, or the data plane refused it; why.
    #[error("{0}")]
    Refused(String),
    /// The director is starting or going down.
    #[error("the director is starting or going down: try again when it runs")]
    NotRunning,
}

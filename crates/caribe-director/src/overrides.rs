//! What was changed by hand, on top of the configuration.
//!
//! The table is derived from (configuration, verdicts, overrides). An override says what its
//! administrator wants; a monitor still decides whether a server that it watches serves. A server
//! that only an override names has no monitor, and serves.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use caribe_model::{
    Forwarding, Scheduler, SchedulerFlags, SchedulerOptions, Server, ServerKey, Service,
    ServiceKey, Table, Thresholds, Timeouts,
};
use caribe_health::ServerId;
use serde::{Deserialize, Serialize};

use crate::{WantedServer, WantedService};

/// A change by hand, in the words of `ipvsadm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A new service without servers.
    AddService(ServiceKey, Scheduler, SchedulerFlags),
    /// Another scheduler, or other flags.
    EditService(ServiceKey, Scheduler, SchedulerFlags),
    /// A service less, and its servers.
    RemoveService(ServiceKey),
    /// No services at all.
    Clear,
    /// A new server.
    AddServer(ServiceKey, Server),
    /// Another weight or forwarding method.
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
    /// The one service that it is about, if it is about one.
    pub(crate) fn service(&self) -> Option<ServiceKey> {
        match self {
            Change::AddService(key, ..)
            | Change::EditService(key, ..)
            | Change::RemoveService(key)
            | Change::AddServer(key, _)
            | Change::EditServer(key, _)
            | Change::RemoveServer(key, _) => Some(*key),
            Change::Clear | Change::SetTimeouts { .. } | Change::Revert => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::AddService(key, scheduler, flags) => {
                write!(f, "add {key} ({})", Scheduling(*scheduler, *flags))
            }
            Change::EditService(key, scheduler, flags) => {
                let scheduling = Scheduling(*scheduler, *flags);
                write!(f, "edit {key}: scheduler {scheduling}")
            }
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

/// A scheduler with its flags.
struct Scheduling(Scheduler, SchedulerFlags);

impl fmt::Display for Scheduling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scheduling(scheduler, flags) = self;
        write!(f, "{scheduler}")?;
        for (name, flag) in SchedulerFlags::of(*scheduler) {
            if flags.contains(*flag) {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

/// A server with what can be said of it.
struct Shown<'a>(&'a Server);

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

/// Everything that was changed by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    services: BTreeMap<ServiceKey, ServiceOverride>,
    /// Timeouts in force, if they are not the configured ones.
    pub(crate) timeouts: Option<Timeouts>,
}

/// What became of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ServiceOverride {
    /// It is configured, and gone.
    Removed,
    /// It is all by hand, whatever is configured.
    Replaced(Service),
    /// It is as configured, but for this.
    Adjusted {
        scheduler: Option<(Scheduler, SchedulerFlags)>,
        /// Servers in the order in which they were changed; `None` is gone.
        servers: Vec<(ServerKey, Option<Server>)>,
    },
}

impl Overrides {
    /// Whether everything is as configured.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Overrides::default()
    }

    /// Makes a change. `table` is the one that holds now, `configured` tells what the file has.
    ///
    /// # Errors
    ///
    /// IPVS's: what exists cannot be added, what does not exist cannot be changed.
    pub(crate) fn change(
        &mut self,
        change: &Change,
        table: &Table,
        configured: &[WantedService],
        timeouts: Timeouts,
    ) -> Result<(), ChangeRefusal> {
        let wanted = |key: &ServiceKey| configured.iter().find(|service| service.key == *key);
        let known = |key: &ServiceKey| table.service(key).ok_or(ChangeRefusal::NoService(*key));
        let server_in = |service: &Service, key: ServerKey| {
            service.servers.iter().any(|server| server.key == key)
        };
        match change {
            Change::AddService(key, scheduler, flags) => {
                if table.service(key).is_some() {
                    return Err(ChangeRefusal::ServiceExists(*key));
                }
                let service = ServiceOverride::Replaced(empty(*scheduler, *flags));
                self.services.insert(*key, service);
            }
            Change::EditService(key, scheduler, flags) => {
                known(key)?;
                self.edit_service(*key, *scheduler, *flags);
            }
            Change::RemoveService(key) => {
                known(key)?;
                match wanted(key) {
                    Some(_) => self.services.insert(*key, ServiceOverride::Removed),
                    None => self.services.remove(key),
                };
            }
            Change::Clear => {
                self.services = configured
                    .iter()
                    .map(|service| (service.key, ServiceOverride::Removed))
                    .collect();
            }
            Change::AddServer(key, server) => {
                if server_in(known(key)?, server.key) {
                    return Err(ChangeRefusal::ServerExists(*key, server.key));
                }
                self.put_server(*key, server.clone());
            }
            Change::EditServer(key, server) => {
                if !server_in(known(key)?, server.key) {
                    return Err(ChangeRefusal::NoServer(*key, server.key));
                }
                self.put_server(*key, server.clone());
            }
            Change::RemoveServer(key, server) => {
                if !server_in(known(key)?, *server) {
                    return Err(ChangeRefusal::NoServer(*key, *server));
                }
                let configured = wanted(key).is_some_and(|service| {
                    let mut servers = service.active_servers();
                    servers.any(|known| known.server.key == *server)
                });
                self.take_server(*key, *server, configured);
            }
            Change::SetTimeouts { tcp, tcp_fin, udp } => {
                let keep = |new: u32, old| match new {
                    0 => old,
                    seconds => std::time::Duration::from_secs(u64::from(seconds)),
                };
                self.timeouts = Some(Timeouts {
                    tcp: keep(*tcp, timeouts.tcp),
                    tcp_fin: keep(*tcp_fin, timeouts.tcp_fin),
                    udp: keep(*udp, timeouts.udp),
                });
            }
            Change::Revert => *self = Overrides::default(),
        }
        let nothing = ServiceOverride::Adjusted {
            scheduler: None,
            servers: Vec::new(),
        };
        self.services.retain(|_, change| *change != nothing);
        Ok(())
    }

    fn entry(&mut self, key: ServiceKey) -> &mut ServiceOverride {
        self.services
            .entry(key)
            .or_insert(ServiceOverride::Adjusted {
                scheduler: None,
                servers: Vec::new(),
            })
    }

    fn edit_service(&mut self, key: ServiceKey, scheduler: Scheduler, flags: SchedulerFlags) {
        match self.entry(key) {
            ServiceOverride::Replaced(service) => {
                service.scheduler = scheduler;
                service.options.flags = flags;
            }
            ServiceOverride::Adjusted { scheduler: own, .. } => *own = Some((scheduler, flags)),
            // What is gone was refused.
            ServiceOverride::Removed => {}
        }
    }

    fn put_server(&mut self, key: ServiceKey, server: Server) {
        match self.entry(key) {
            ServiceOverride::Replaced(service) => {
                let mut servers = service.servers.iter_mut();
                match servers.find(|other| other.key == server.key) {
                    Some(other) => *other = server,
                    None => service.servers.push(server),
                }
            }
            ServiceOverride::Adjusted { servers, .. } => {
                match servers.iter_mut().find(|(other, _)| *other == server.key) {
                    Some((_, other)) => *other = Some(server),
                    None => servers.push((server.key, Some(server))),
                }
            }
            ServiceOverride::Removed => {}
        }
    }

    fn take_server(&mut self, key: ServiceKey, server: ServerKey, configured: bool) {
        match self.entry(key) {
            ServiceOverride::Replaced(service) => {
                service.servers.retain(|other| other.key != server);
            }
            ServiceOverride::Adjusted { servers, .. } => {
                servers.retain(|(other, _)| *other != server);
                if configured {
                    servers.push((server, None));
                }
            }
            ServiceOverride::Removed => {}
        }
    }

    /// Forgets what changed services that the new configuration does not have.
    pub(crate) fn prune(&mut self, configured: &[WantedService]) {
        self.services.retain(|key, change| {
            matches!(change, ServiceOverride::Replaced(_))
                || configured.iter().any(|service| service.key == *key)
        });
    }

    /// The weight that a configured server was given by hand.
    pub(crate) fn weight(&self, id: &ServerId) -> Option<u32> {
        let ServiceOverride::Adjusted { servers, .. } = self.services.get(&id.service)? else {
            return None;
        };
        let (_, changed) = servers.iter().find(|(key, _)| *key == id.server)?;
        Some(changed.as_ref()?.weight)
    }

    /// The service that the table shall hold instead of the configured one; `weight` is the rule
    /// for servers that are configured and watched.
    pub(crate) fn applied(
        &self,
        wanted: &WantedService,
        weight: impl Fn(&WantedServer) -> Option<u32>,
    ) -> Option<Service> {
        let (scheduler, changed) = match self.services.get(&wanted.key) {
            Some(ServiceOverride::Removed) => return None,
            Some(ServiceOverride::Replaced(service)) => return Some(service.clone()),
            Some(ServiceOverride::Adjusted { scheduler, servers }) => (*scheduler, &servers[..]),
            None => (None, &[][..]),
        };
        let change = |key: ServerKey| changed.iter().find(|(other, _)| *other == key);
        let configured = wanted.active_servers().filter_map(|known| {
            let server = match change(known.server.key) {
                Some((_, change)) => change.clone()?,
                None => known.server.clone(),
            };
            let known = WantedServer {
                server,
                ..known.clone()
            };
            Some(Server {
                weight: weight(&known)?,
                ..known.server
            })
        });
        let mut servers: Vec<Server> = configured.collect();
        let own = changed.iter().filter(|(key, _)| {
            let mut known = wanted.active_servers();
            !known.any(|known| known.server.key == *key)
        });
        servers.extend(own.filter_map(|(_, server)| server.clone()));
        let mut service = wanted.with(|_| None);
        if let Some((scheduler, flags)) = scheduler {
            service.scheduler = scheduler;
            service.options.flags = flags;
        }
        service.servers = servers;
        Some(service)
    }

    /// Services that are not configured at all.
    pub(crate) fn added<'a>(
        &'a self,
        configured: &'a [WantedService],
    ) -> impl Iterator<Item = (ServiceKey, &'a Service)> {
        let added = self
            .services
            .iter()
            .filter_map(|(key, change)| match change {
                ServiceOverride::Replaced(service) => Some((*key, service)),
                _ => None,
            });
        added.filter(move |(key, _)| !configured.iter().any(|service| service.key == *key))
    }

    /// Addresses of servers that were put in by hand.
    pub(crate) fn server_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.services.values().flat_map(|change| {
            let keys: Vec<ServerKey> = match change {
                ServiceOverride::Removed => Vec::new(),
                ServiceOverride::Replaced(service) => {
                    service.servers.iter().map(|server| server.key).collect()
                }
                ServiceOverride::Adjusted { servers, .. } => servers
                    .iter()
                    .filter_map(|(_, server)| Some(server.as_ref()?.key))
                    .collect(),
            };
            keys.into_iter().map(|key| key.address)
        })
    }

    /// Each change in words, for status and log.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, change) in &self.services {
            match change {
                ServiceOverride::Removed => lines.push(format!("{key}: removed")),
                ServiceOverride::Replaced(service) => {
                    let scheduling = Scheduling(service.scheduler, service.options.flags);
                    lines.push(format!("{key}: by hand ({scheduling})"));
                    let servers = service.servers.iter();
                    lines.extend(servers.map(|server| format!("{key}: {}", Shown(server))));
                }
                ServiceOverride::Adjusted { scheduler, servers } => {
                    let scheduling = scheduler.map(|(name, flags)| Scheduling(name, flags));
                    let scheduling = scheduling.iter();
                    lines.extend(scheduling.map(|it| format!("{key}: scheduler {it}")));
                    lines.extend(servers.iter().map(|(server, change)| match change {
                        Some(server) => format!("{key}: {}", Shown(server)),
                        None => format!("{key}: {server} removed"),
                    }));
                }
            }
        }
        if let Some(Timeouts { tcp, tcp_fin, udp }) = self.timeouts {
            lines.push(format!(
                "timeouts: tcp {}, tcpfin {}, udp {}",
                tcp.as_secs(),
                tcp_fin.as_secs(),
                udp.as_secs()
            ));
        }
        lines
    }
}

/// A new service.
fn empty(scheduler: Scheduler, flags: SchedulerFlags) -> Service {
    Service {
        scheduler,
        options: SchedulerOptions {
            flags,
            ..SchedulerOptions::IPVS
        },
        servers: Vec::new(),
        one_packet: false,
        persistence: None,
        policy: Default::default(),
    }
}

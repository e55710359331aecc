//! A table in memory, with the rules of IPVS's control path.

use std::net::IpAddr;

use caribe_ipvsadm::{
    Connection, Daemon, DaemonRole, Destination, DestinationId, Forwarding, Kernel, KernelError,
    LiveDestination, LiveService, Netmask, Rates, SchedulerName, Service, ServiceId, Statistics,
    Timeouts, Tunnel,
};

/// The table. Services are listed in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) services: Vec<LiveService>,
    pub(crate) daemons: Vec<Daemon>,
    pub(crate) timeouts: Timeouts,
    pub(crate) connections: Vec<Connection>,
    /// Calls that changed something, refused ones included.
    pub(crate) changes: usize,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Memory {
            services: Vec::new(),
            daemons: Vec::new(),
            timeouts: Timeouts {
                tcp: 900,
                tcp_fin: 120,
                udp: 300,
            },
            connections: Vec::new(),
            changes: 0,
        }
    }

    /// Gives every service and server the same counters.
    pub(crate) fn count(&mut self, statistics: Statistics, rates: Rates) {
        for service in &mut self.services {
            service.statistics = statistics;
            service.rates = rates;
            for server in &mut service.destinations {
                server.statistics = statistics;
                server.rates = rates;
            }
        }
    }

    fn position(&self, id: &ServiceId) -> Option<usize> {
        let mut services = self.services.iter();
        services.position(|live| live.service.id == *id)
    }

    fn live(&mut self, id: &ServiceId) -> Result<&mut LiveService, KernelError> {
        let position = self.position(id).ok_or(KernelError::NoService)?;
        Ok(&mut self.services[position])
    }
}

fn check_service(service: &Service) -> Result<(), KernelError> {
    if !SchedulerName::KNOWN.contains(&service.scheduler.as_str())
        || service.engine.as_deref().is_some_and(|name| name != "sip")
    {
        return Err(KernelError::NotFound);
    }
    match service.netmask {
        Netmask::V6(prefix) if !(1..=128).contains(&prefix) => Err(KernelError::Invalid),
        _ => Ok(()),
    }
}

fn check_server(server: &Destination) -> Result<(), KernelError> {
    if server.weight > i32::MAX as u32 || server.lower_threshold > server.upper_threshold {
        return Err(KernelError::Range);
    }
    if let Forwarding::Tunnel(Tunnel::Gue { port: 0, .. }) = server.forwarding {
        return Err(KernelError::Invalid);
    }
    match server.id.address {
        IpAddr::V4(address) if address.is_broadcast() || address.is_multicast() => {
            Err(KernelError::Invalid)
        }
        _ => Ok(()),
    }
}

impl Kernel for Memory {
    fn add_service(&mut self, service: &Service) -> Result<(), KernelError> {
        self.changes += 1;
        if self.position(&service.id).is_some() {
            return Err(KernelError::Exists);
        }
        check_service(service)?;
        self.services.push(LiveService {
            service: service.clone(),
            statistics: Statistics::default(),
            rates: Rates::default(),
            destinations: Vec::new(),
        });
        Ok(())
    }

    fn edit_service(&mut self, service: &Service) -> Result<(), KernelError> {
        self.changes += 1;
        let live = self.live(&service.id)?;
        check_service(service)?;
        live.service = service.clone();
        Ok(())
    }

    fn delete_service(&mut self, id: &ServiceId) -> Result<(), KernelError> {
        self.changes += 1;
        let position = self.position(id).ok_or(KernelError::NoService)?;
        self.services.remove(position);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), KernelError> {
        self.changes += 1;
        self.services.clear();
        Ok(())
    }

    fn add_server(&mut self, id: &ServiceId, server: &Destination) -> Result<(), KernelError> {
        self.changes += 1;
        let live = self.live(id)?;
        check_server(server)?;
        let mut servers = live.destinations.iter();
        if servers.any(|other| other.destination.id == server.id) {
            return Err(KernelError::Exists);
        }
        live.destinations.insert(
            0,
            LiveDestination {
                destination: *server,
                active: 3,
                inactive: 7,
                persistent: 1,
                statistics: Statistics::default(),
                rates: Rates::default(),
            },
        );
        Ok(())
    }

    fn edit_server(&mut self, id: &ServiceId, server: &Destination) -> Result<(), KernelError> {
        self.changes += 1;
        let live = self.live(id)?;
        check_server(server)?;
        let mut servers = live.destinations.iter_mut();
        let known = servers.find(|other| other.destination.id == server.id);
        known.ok_or(KernelError::NotFound)?.destination = *server;
        Ok(())
    }

    fn delete_server(&mut self, id: &ServiceId, server: &DestinationId) -> Result<(), KernelError> {
        self.changes += 1;
        let live = self.live(id)?;
        let before = live.destinations.len();
        live.destinations
            .retain(|other| other.destination.id != *server);
        if live.destinations.len() == before {
            return Err(KernelError::NotFound);
        }
        Ok(())
    }

    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), KernelError> {
        self.changes += 1;
        let keep = |new: u32, old: u32| if new == 0 { old } else { new };
        self.timeouts = Timeouts {
            tcp: keep(timeouts.tcp, self.timeouts.tcp),
            tcp_fin: keep(timeouts.tcp_fin, self.timeouts.tcp_fin),
            udp: keep(timeouts.udp, self.timeouts.udp),
        };
        Ok(())
    }

    fn start_daemon(&mut self, daemon: &Daemon) -> Result<(), KernelError> {
        self.changes += 1;
        if self.daemons.iter().any(|other| other.role == daemon.role) {
            return Err(KernelError::Exists);
        }
        self.daemons.push(daemon.clone());
        Ok(())
    }

    fn stop_daemon(&mut self, role: DaemonRole) -> Result<(), KernelError> {
        self.changes += 1;
        let before = self.daemons.len();
        self.daemons.retain(|other| other.role != role);
        if self.daemons.len() == before {
            return Err(KernelError::NoService);
        }
        Ok(())
    }

    fn zero(&mut self, id: Option<&ServiceId>) -> Result<(), KernelError> {
        self.changes += 1;
        if let Some(id) = id {
            self.live(id)?;
        }
        let zeroed = |live: &&mut LiveService| id.is_none_or(|id| live.service.id == *id);
        for live in self.services.iter_mut().filter(zeroed) {
            live.statistics = Statistics::default();
            live.rates = Rates::default();
            for server in &mut live.destinations {
                server.statistics = Statistics::default();
                server.rates = Rates::default();
            }
        }
        Ok(())
    }

    fn services(&mut self) -> Result<Vec<LiveService>, KernelError> {
        Ok(self.services.clone())
    }

    fn service(&mut self, id: &ServiceId) -> Result<LiveService, KernelError> {
        self.live(id).cloned()
    }

    fn timeouts(&mut self) -> Result<Timeouts, KernelError> {
        Ok(self.timeouts)
    }

    fn daemons(&mut self) -> Result<Vec<Daemon>, KernelError> {
        Ok(self.daemons.clone())
    }

    fn connections(&mut self, each: &mut dyn FnMut(&Connection)) -> Result<(), KernelError> {
        self.connections.iter().for_each(each);
        Ok(())
    }
}

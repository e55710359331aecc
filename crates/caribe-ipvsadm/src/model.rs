//! Between IPVS's vocabulary and that of `caribe_model`, which is what the data plane can do.

use caribe_model::{Scheduler, Server, ServerKey, ServiceKey};

use crate::{
    Destination, DestinationId, Forwarding, Netmask, Protocol, SchedulerFlags, SchedulerName,
    Service, ServiceId, Tunnel,
};

/// Something of IPVS that this release cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not supported in this release: {what}")]
pub struct Unsupported {
    /// What, as an administrator would say it.
    pub what: String,
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Unsupported> {
    Err(Unsupported { what: what.into() })
}

impl TryFrom<ServiceId> for ServiceKey {
    type Error = Unsupported;

    fn try_from(id: ServiceId) -> Result<Self, Unsupported> {
        let (protocol, address, port) = match id {
            ServiceId::Mark { .. } => return unsupported("firewall marks (-f)"),
            ServiceId::Address { port: 0, .. } => return unsupported("services of all ports"),
            ServiceId::Address {
                protocol,
                address,
                port,
            } => (protocol, address, port),
        };
        let protocol = match protocol {
            Protocol::Tcp => caribe_model::Protocol::Tcp,
            Protocol::Udp => caribe_model::Protocol::Udp,
            Protocol::Sctp => return unsupported("SCTP (--sctp-service)"),
        };
        Ok(ServiceKey::Address {
            protocol,
            address,
            port,
        })
    }
}

impl From<ServiceKey> for ServiceId {
    fn from(key: ServiceKey) -> Self {
        match key {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => ServiceId::Address {
                protocol: match protocol {
                    caribe_model::Protocol::Tcp => Protocol::Tcp,
                    caribe_model::Protocol::Udp => Protocol::Udp,
                    caribe_model::Protocol::Sctp => Protocol::Sctp,
                },
                address,
                port,
            },
            ServiceKey::Mark { mark, family } => ServiceId::Mark { mark, family },
        }
    }
}

impl From<ServerKey> for DestinationId {
    fn from(key: ServerKey) -> Self {
        DestinationId {
            address: key.address,
            port: key.port,
        }
    }
}

impl From<DestinationId> for ServerKey {
    fn from(id: DestinationId) -> Self {
        ServerKey {
            address: id.address,
            port: id.port,
        }
    }
}

impl From<caribe_model::Forwarding> for Forwarding {
    fn from(forwarding: caribe_model::Forwarding) -> Self {
        match forwarding {
            caribe_model::Forwarding::Nat => Forwarding::Masquerade,
            caribe_model::Forwarding::Direct => Forwarding::Direct,
            caribe_model::Forwarding::Tunnel => Forwarding::Tunnel(Tunnel::Ipip),
        }
    }
}

/// What the data plane knows of a service: identity, scheduler and its flags.
type PlainService = (ServiceKey, Scheduler, caribe_model::SchedulerFlags);

impl Service {
    /// A service that has nothing but a scheduler with its flags.
    pub fn plain(
        key: ServiceKey,
        scheduler: Scheduler,
        flags: caribe_model::SchedulerFlags,
    ) -> Self {
        Service {
            id: key.into(),
            scheduler: SchedulerName::new(scheduler.name()),
            flags: SchedulerFlags::from_bits(flags.bits()),
            persistence: None,
            netmask: Netmask::whole(key.family()),
            engine: None,
            one_packet: false,
        }
    }

    /// Identity, scheduler and its flags, if there is nothing else to it.
    ///
    /// # Errors
    ///
    /// Names the first thing that this release cannot do. A scheduler that IPVS does not have
    /// either is `Ok(None)`.
    pub fn to_model(&self) -> Result<Option<PlainService>, Unsupported> {
        let key = ServiceKey::try_from(self.id);
        if self.persistence.is_some() {
            return unsupported("persistence (-p)");
        }
        let key = key?;
        if self.engine.is_some() {
            return unsupported("persistence engines (--pe)");
        }
        if self.one_packet {
            return unsupported("one-packet scheduling (-o)");
        }
        if !self.netmask.is_whole() {
            return unsupported("netmasks (-M)");
        }
        let name = self.scheduler.as_str();
        let flags = caribe_model::SchedulerFlags::from_bits(self.flags.bits());
        match name.parse() {
            // There are three bits on both sides.
            Ok(scheduler) => Ok(Some((key, scheduler, flags.unwrap_or_default()))),
            Err(_) if SchedulerName::KNOWN.contains(&name) => {
                unsupported(format!("scheduler {name}"))
            }
            Err(_) => Ok(None),
        }
    }
}

impl TryFrom<&Destination> for Server {
    type Error = Unsupported;

    fn try_from(server: &Destination) -> Result<Self, Unsupported> {
        if server.upper_threshold != 0 || server.lower_threshold != 0 {
            return unsupported("thresholds (-x, -y)");
        }
        let forwarding = match server.forwarding {
            Forwarding::Masquerade => caribe_model::Forwarding::Nat,
            Forwarding::Direct => caribe_model::Forwarding::Direct,
            Forwarding::Tunnel(Tunnel::Ipip) => caribe_model::Forwarding::Tunnel,
            Forwarding::Tunnel(Tunnel::Gue { .. }) => return unsupported("GUE (--tun-type gue)"),
            Forwarding::Tunnel(Tunnel::Gre { .. }) => return unsupported("GRE (--tun-type gre)"),
            Forwarding::Local => return unsupported("local delivery"),
        };
        Ok(Server {
            key: server.id.into(),
            forwarding,
            weight: server.weight,
            encapsulation: Default::default(),
            thresholds: Default::default(),
        })
    }
}

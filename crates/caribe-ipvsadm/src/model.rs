//! Between IPVS's vocabulary and that of `caribe_model`, which is what the data plane can do.

use std::num::NonZeroU16;

use caribe_model::{
    Encapsulation, GueChecksum, Policy, SchedulerOptions, Server, ServerKey, ServiceKey,
    Thresholds, ThresholdsCrossed,
};

use crate::{
    Checksum, Destination, DestinationId, Forwarding, Netmask, Persistence, Protocol,
    SchedulerFlags, SchedulerName, Service, ServiceId, Tunnel,
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

impl From<Protocol> for caribe_model::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => caribe_model::Protocol::Tcp,
            Protocol::Udp => caribe_model::Protocol::Udp,
            Protocol::Sctp => caribe_model::Protocol::Sctp,
        }
    }
}

impl From<caribe_model::Protocol> for Protocol {
    fn from(protocol: caribe_model::Protocol) -> Self {
        match protocol {
            caribe_model::Protocol::Tcp => Protocol::Tcp,
            caribe_model::Protocol::Udp => Protocol::Udp,
            caribe_model::Protocol::Sctp => Protocol::Sctp,
        }
    }
}

impl From<ServiceId> for ServiceKey {
    fn from(id: ServiceId) -> Self {
        match id {
            ServiceId::Address {
                protocol,
                address,
                port,
            } => ServiceKey::Address {
                protocol: protocol.into(),
                address,
                port,
            },
            ServiceId::Mark { mark, family } => ServiceKey::Mark { mark, family },
        }
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
                protocol: protocol.into(),
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

impl Service {
    /// A service of the model; its servers and its policy are not told here.
    pub fn from_model(key: ServiceKey, service: &caribe_model::Service) -> Self {
        let persistence = service.persistence;
        Service {
            id: key.into(),
            scheduler: SchedulerName::new(service.scheduler.name()),
            flags: SchedulerFlags::from_bits(service.options.flags.bits()),
            persistence: persistence.map(|it| Persistence {
                timeout: it.timeout,
            }),
            netmask: match persistence.map(|it| it.netmask) {
                Some(caribe_model::Netmask::V4(mask)) => Netmask::V4(mask),
                Some(caribe_model::Netmask::V6(prefix)) => Netmask::V6(prefix.into()),
                None => Netmask::whole(key.family()),
            },
            engine: None,
            one_packet: service.one_packet,
        }
    }

    /// The service in the model's words, without servers and with IPVS's policy. A scheduler that
    /// IPVS does not have either is `Ok(None)`.
    ///
    /// A netmask without persistence is left out: it means nothing, and the next edit says it
    /// anew. A timeout longer than [`caribe_model::Persistence::LONGEST`] is shortened to that.
    ///
    /// # Errors
    ///
    /// Names what this release cannot do.
    pub fn to_model(&self) -> Result<Option<(ServiceKey, caribe_model::Service)>, Unsupported> {
        if self.engine.is_some() {
            return unsupported("persistence engines (--pe)");
        }
        let Ok(scheduler) = self.scheduler.as_str().parse() else {
            let name = self.scheduler.as_str();
            if SchedulerName::KNOWN.contains(&name) {
                return unsupported(format!("scheduler {name}"));
            }
            return Ok(None);
        };
        // There are three bits on both sides.
        let flags = caribe_model::SchedulerFlags::from_bits(self.flags.bits()).unwrap_or_default();
        let netmask = match self.netmask {
            Netmask::V4(mask) => caribe_model::Netmask::V4(mask),
            // A prefix that no address has is the table's to refuse.
            Netmask::V6(prefix) => {
                caribe_model::Netmask::V6(u8::try_from(prefix).unwrap_or(u8::MAX))
            }
        };
        let persistence = self.persistence.map(|it| caribe_model::Persistence {
            timeout: it.timeout.min(caribe_model::Persistence::LONGEST),
            netmask,
        });
        let service = caribe_model::Service {
            scheduler,
            options: SchedulerOptions {
                flags,
                ..SchedulerOptions::IPVS
            },
            persistence,
            one_packet: self.one_packet,
            policy: Policy::default(),
            servers: Vec::new(),
        };
        Ok(Some((self.id.into(), service)))
    }
}

/// Why a server cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerRefusal {
    /// IPVS: `EINVAL`.
    #[error("GUE needs a port")]
    NoPort,
    /// IPVS: `ERANGE`.
    #[error(transparent)]
    Thresholds(#[from] ThresholdsCrossed),
    /// Not here.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

impl TryFrom<&Destination> for Server {
    type Error = ServerRefusal;

    fn try_from(server: &Destination) -> Result<Self, ServerRefusal> {
        let (forwarding, encapsulation) = match server.forwarding {
            Forwarding::Masquerade => (caribe_model::Forwarding::Nat, Encapsulation::Ipip),
            Forwarding::Direct => (caribe_model::Forwarding::Direct, Encapsulation::Ipip),
            Forwarding::Tunnel(tunnel) => {
                (caribe_model::Forwarding::Tunnel, encapsulation(tunnel)?)
            }
            Forwarding::Local => unsupported("local delivery by name")?,
        };
        Ok(Server {
            key: server.id.into(),
            forwarding,
            weight: server.weight,
            encapsulation,
            thresholds: Thresholds::new(server.upper_threshold, server.lower_threshold)?,
        })
    }
}

fn encapsulation(tunnel: Tunnel) -> Result<Encapsulation, ServerRefusal> {
    Ok(match tunnel {
        Tunnel::Ipip => Encapsulation::Ipip,
        Tunnel::Gue { port, checksum } => Encapsulation::Gue {
            port: NonZeroU16::new(port).ok_or(ServerRefusal::NoPort)?,
            checksum: match checksum {
                Checksum::Without => GueChecksum::None,
                Checksum::With => GueChecksum::Full,
                Checksum::Remote => GueChecksum::Remote,
            },
        },
        Tunnel::Gre { checksum } => Encapsulation::Gre {
            // The parser knows no other for GRE.
            checksum: checksum != Checksum::Without,
        },
    })
}

impl From<&Server> for Destination {
    fn from(server: &Server) -> Self {
        Destination {
            id: server.key.into(),
            forwarding: match server.forwarding {
                caribe_model::Forwarding::Nat => Forwarding::Masquerade,
                caribe_model::Forwarding::Direct => Forwarding::Direct,
                caribe_model::Forwarding::Tunnel => {
                    Forwarding::Tunnel(match server.encapsulation {
                        Encapsulation::Ipip => Tunnel::Ipip,
                        Encapsulation::Gue { port, checksum } => Tunnel::Gue {
                            port: port.get(),
                            checksum: match checksum {
                                GueChecksum::None => Checksum::Without,
                                GueChecksum::Full => Checksum::With,
                                GueChecksum::Remote => Checksum::Remote,
                            },
                        },
                        Encapsulation::Gre { checksum } => Tunnel::Gre {
                            checksum: if checksum {
                                Checksum::With
                            } else {
                                Checksum::Without
                            },
                        },
                    })
                }
            },
            weight: server.weight,
            upper_threshold: server.thresholds.upper(),
            lower_threshold: server.thresholds.lower(),
        }
    }
}

#[cfg(test)]
mod tests;

//! What the blocks would be in the table, were every server up.

use caribe_model::{Family, Server, ServerKey, Service, ServiceKey};

use super::{RealServer, VirtualService};

impl VirtualService {
    /// What makes it unique. Several blocks may share a mark; they are one service then.
    pub fn key(&self) -> ServiceKey {
        match self.mark {
            Some(mark) => ServiceKey::Mark {
                family: Family::from(self.address.address),
                mark,
            },
            None => ServiceKey::Address {
                protocol: self.protocol,
                address: self.address.address,
                port: self.port,
            },
        }
    }

    /// The service with its active servers, in the order of the file, each with its whole weight.
    pub fn service(&self) -> Service {
        let active = self.servers.iter().filter(|server| server.active);
        Service {
            scheduler: self.scheduler,
            options: self.options,
            persistence: self.persistence,
            one_packet: self.one_packet,
            policy: self.policy,
            servers: active.map(RealServer::server).collect(),
        }
    }
}

impl RealServer {
    /// The server with its whole weight.
    pub fn server(&self) -> Server {
        Server {
            key: self.key(),
            forwarding: self.forwarding,
            weight: self.weight,
            encapsulation: self.encapsulation,
            thresholds: self.thresholds,
        }
    }

    /// What makes it unique in its service.
    pub fn key(&self) -> ServerKey {
        ServerKey {
            address: self.address,
            port: self.port,
        }
    }
}

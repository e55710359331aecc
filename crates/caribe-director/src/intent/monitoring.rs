//! How a service's servers are watched and weighed, in the terms of `caribe-health`.

use std::net::SocketAddr;
use std::sync::Arc;

use caribe_config::config::{MonitorKind, RealServer, VirtualService};
use caribe_health::probe::tcp::TcpCheck;
use caribe_health::probe::{Check, Target};
use caribe_health::weight::cadence;
use caribe_health::{MonitorName, PoolRules, ServerRules, Settings, Timing};
use caribe_model::{Server, ServerKey};

/// The rules for a service's servers together.
pub(super) fn pool(block: &VirtualService) -> PoolRules {
    PoolRules {
        sorry: block.sorry_server.is_some(),
        ..PoolRules::default()
    }
}

/// The sorry server: at the service's port, as Piranha has it.
pub(super) fn sorry(block: &VirtualService) -> Option<Server> {
    let address = block.sorry_server?;
    let server = block.servers.first()?;
    Some(Server {
        key: ServerKey {
            address,
            port: block.port,
        },
        forwarding: server.forwarding,
        weight: 1,
        encapsulation: Default::default(),
        thresholds: Default::default(),
    })
}

/// What is configured about a server's weight.
pub(super) fn rules(block: &VirtualService, server: &RealServer) -> ServerRules {
    ServerRules {
        weight: server.weight,
        quiesce: block.quiesce,
        ramp: Some(cadence(block.monitor.timeout)),
        by_load: false,
    }
}

/// The monitors of a server.
pub(super) fn monitors(block: &VirtualService, server: &RealServer) -> Vec<Arc<Settings>> {
    let address = SocketAddr::new(server.address, server.port);
    match block.monitor.kind {
        MonitorKind::None => Vec::new(),
        MonitorKind::Tcp => vec![Arc::new(Settings {
            name: MonitorName::from("tcp"),
            check: Arc::new(Check::Tcp(TcpCheck::default())),
            target: Target::new(address),
            timing: Timing::piranha(block.monitor.timeout, block.monitor.reentry),
            advises: false,
        })],
    }
}

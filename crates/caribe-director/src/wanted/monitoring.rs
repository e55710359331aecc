//! How a service's servers are watched and weighed, in the terms of `caribe-health`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use caribe_config::config::{
    self, LoadMonitor, MonitorBlock, RealServer, SlowStart, VirtualService,
};
use caribe_health::probe::{Check, InterfaceName, Target, Through};
use caribe_health::weight::cadence;
use caribe_health::{Initial, MonitorName, PoolRules, ServerRules, Settings, Timing};

use super::checks::{self, Reason};
use super::{WantedServer, server};

/// The rules for a service's servers together.
pub(super) fn pool(block: &VirtualService) -> PoolRules {
    PoolRules {
        quorum: block.quorum.down_below,
        regain: block.quorum.up_from,
        keep_below: block.quorum.keep_below,
        sorry: block.sorry_server.is_some(),
    }
}

/// Every server with its rules and monitors.
pub(super) fn servers(block: &VirtualService) -> Result<Vec<WantedServer>, Reason> {
    let mut shared = Vec::new();
    if let Some(check) = checks::piranha(block)? {
        let name = check.kind();
        let timing = Timing::piranha(block.monitor.timeout, block.monitor.reentry);
        shared.push(Plan::new(name, check, timing));
    }
    for monitor in &block.monitors {
        Plan::add(monitor, &mut shared)?;
    }
    if let Some(load) = &block.load {
        let timeout = block.monitor.timeout;
        let timing = Timing {
            interval: load.interval.unwrap_or_else(|| cadence(timeout)),
            limit: timeout,
            ..Timing::piranha(timeout, timeout)
        };
        shared.push(Plan {
            port: match load.source {
                LoadMonitor::Agent { port } => Some(port.get()),
                _ => None,
            },
            advises: true,
            ..Plan::new("load", checks::load(&load.source)?, timing)
        });
    }
    let wanted = block.servers.iter().map(|own| {
        let mut plans = shared.clone();
        for monitor in &own.monitors {
            Plan::add(monitor, &mut plans)?;
        }
        Ok(WantedServer {
            name: own.name.clone(),
            active: own.active,
            server: server(own),
            rules: rules(block, own),
            monitors: name(plans, block, own),
        })
    });
    wanted.collect()
}

/// What is configured about a server's weight.
fn rules(block: &VirtualService, server: &RealServer) -> ServerRules {
    ServerRules {
        weight: server.weight,
        quiesce: block.quiesce,
        ramp: match block.slow_start {
            SlowStart::Nanny => Some(cadence(block.monitor.timeout)),
            SlowStart::Every(time) => Some(time),
            SlowStart::Off => None,
        },
        by_load: block.load.is_some(),
    }
}

/// A monitor before it is known whom it watches.
#[derive(Debug, Clone)]
struct Plan {
    name: &'static str,
    check: Arc<Check>,
    timing: Timing,
    /// Another port than the server's.
    port: Option<u16>,
    source: Option<std::net::IpAddr>,
    interface: Option<InterfaceName>,
    /// Addressed to the VIP, and led to the server.
    through_vip: bool,
    advises: bool,
}

impl Plan {
    fn new(name: &'static str, check: Check, timing: Timing) -> Self {
        Plan {
            name,
            check: Arc::new(check),
            timing,
            port: None,
            source: None,
            interface: None,
            through_vip: false,
            advises: false,
        }
    }

    fn add(block: &MonitorBlock, plans: &mut Vec<Plan>) -> Result<(), Reason> {
        let interface = block.interface.clone().map(InterfaceName::try_from);
        let interface = interface.transpose().map_err(|error| error.to_string())?;
        let check = checks::of_block(&block.probe)?;
        plans.push(Plan {
            port: block.port.map(std::num::NonZero::get),
            source: block.source,
            interface,
            through_vip: block.through_vip,
            ..Plan::new(block.probe.kind(), check, timing(&block.timing))
        });
        Ok(())
    }
}

impl Plan {
    /// Whom it is addressed to.
    fn target(&self, service: &VirtualService, server: &RealServer) -> Target {
        let at_server = SocketAddr::new(server.address, self.port.unwrap_or(server.port));
        let (address, through) = if self.through_vip {
            // A service of all ports leaves ports as they are.
            let port = Some(service.port).filter(|port| *port != 0);
            let port = self.port.or(port).unwrap_or(server.port);
            let through = Through {
                server: at_server,
                forwarding: server.forwarding,
                encapsulation: server.encapsulation,
            };
            let vip = SocketAddr::new(service.address.address, port);
            (vip, Some(through))
        } else {
            (at_server, None)
        };
        Target {
            source: self.source,
            interface: self.interface.clone(),
            through,
            ..Target::new(address)
        }
    }
}

/// Addresses the monitors to a server. Of several of a name the second is `NAME-2`.
fn name(plans: Vec<Plan>, service: &VirtualService, server: &RealServer) -> Vec<Arc<Settings>> {
    let mut used: BTreeMap<&str, u32> = BTreeMap::new();
    let settings = plans.into_iter().map(|plan| {
        let count = used.entry(plan.name).or_default();
        *count += 1;
        let name = match *count {
            1 => MonitorName::from(plan.name),
            count => MonitorName::from(format!("{}-{count}", plan.name)),
        };
        let target = plan.target(service, server);
        Arc::new(Settings {
            name,
            check: plan.check,
            target,
            timing: plan.timing,
            advises: plan.advises,
        })
    });
    settings.collect()
}

fn timing(timing: &config::Timing) -> Timing {
    Timing {
        interval: timing.interval,
        limit: timing.timeout,
        rise: timing.rise,
        fall: timing.fall,
        fast_interval: timing.fast_interval,
        jitter: timing.jitter,
        initial: match timing.initial {
            config::Initial::Checking => Initial::Checking,
            config::Initial::Up => Initial::Up,
            config::Initial::LastKnown => Initial::LastKnown,
        },
    }
}

//! `-S`: the table as words that `-R` reads.
//!
//! As in ipvsadm, thresholds, timeouts and daemons are not saved, nor is the netmask of a service
//! without persistence.

use std::fmt::Write as _;

use caribe_model::Family;

use crate::listing::{order, place};
use crate::{Checksum, Forwarding, LiveService, Names, Protocol, Service, ServiceId, Tunnel};

/// Writes all services and their servers, sorted.
pub(crate) fn save(services: &[LiveService], names: &dyn Names) -> String {
    let mut text = String::new();
    for live in order::services(services) {
        let id = live.service.id;
        let identity = identity(&id, names);
        let _infallible = writeln!(text, "-A {identity}{}", properties(&live.service));
        for live in order::destinations(&live.destinations) {
            let server = &live.destination;
            let place = place(server.id.address, server.id.port, id.protocol(), names);
            let _infallible = writeln!(
                text,
                "-a {identity} -r {place} {} -w {}{}",
                method(server.forwarding),
                server.weight,
                tunnel(server.forwarding),
            );
        }
    }
    text
}

fn identity(id: &ServiceId, names: &dyn Names) -> String {
    match id {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => {
            let option = match protocol {
                Protocol::Tcp => "-t",
                Protocol::Udp => "-u",
                Protocol::Sctp => "--sctp-service",
            };
            format!(
                "{option} {}",
                place(*address, *port, Some(*protocol), names)
            )
        }
        ServiceId::Mark {
            mark,
            family: Family::V4,
        } => format!("-f {mark}"),
        ServiceId::Mark {
            mark,
            family: Family::V6,
        } => format!("-f {mark} -6"),
    }
}

fn properties(service: &Service) -> String {
    let mut text = format!(" -s {}", service.scheduler);
    if let Some(persistence) = service.persistence {
        let _infallible = write!(text, " -p {}", persistence.timeout);
        if !service.netmask.is_whole() {
            let _infallible = write!(text, " -M {}", service.netmask);
        }
    }
    if let Some(engine) = &service.engine {
        let _infallible = write!(text, " --pe {engine}");
    }
    if service.one_packet {
        text.push_str(" -o");
    }
    if !service.flags.is_empty() {
        let _infallible = write!(text, " -b {}", service.flags.names(&service.scheduler));
    }
    text
}

fn method(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Masquerade => "-m",
        Forwarding::Tunnel(_) => "-i",
        // No option asks for local delivery: the kernel finds it out again.
        Forwarding::Direct | Forwarding::Local => "-g",
    }
}

fn tunnel(forwarding: Forwarding) -> String {
    let option = |checksum| match checksum {
        Checksum::Without => "--tun-nocsum",
        Checksum::With => "--tun-csum",
        Checksum::Remote => "--tun-remcsum",
    };
    match forwarding {
        Forwarding::Tunnel(Tunnel::Ipip) => " --tun-type ipip".to_owned(),
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => {
            format!(" --tun-type gre {}", option(checksum))
        }
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => {
            format!(" --tun-type gue --tun-port {port} {}", option(checksum))
        }
        _ => String::new(),
    }
}

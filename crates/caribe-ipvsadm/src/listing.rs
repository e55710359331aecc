//! `-L`: IPVS's listing, to the column. Blanks at the ends of lines are real.

pub(crate) mod amount;
pub(crate) mod columns;
pub(crate) mod connections;
pub(crate) mod daemons;
pub(crate) mod order;
mod place;

use std::fmt::Write as _;

use caribe_model::Family;

pub(crate) use place::place;

use crate::{LiveDestination, LiveService, Names, Service, ServiceId, Table};

/// The first line; the size is that of IPVS's hash table by default, for programs that parse it.
const VERSION: &str = "IP Virtual Server version 1.2.1 (size=4096)\n";

/// Longest IPv4 name of a service, the protocol's columns included.
const SERVICE_NAME: usize = 33;
/// Longest IPv4 name of a server, and the width of its column.
const SERVER_NAME: usize = 28;

/// The listing of services and their servers.
pub(crate) fn table(services: &[LiveService], table: &Table, names: &dyn Names) -> String {
    let mut text = String::new();
    if table.only.is_none() {
        text.push_str(VERSION);
    }
    text.push_str(&columns::header(table.view));
    let listed = if table.sorted {
        order::services(services)
    } else {
        services.iter().collect()
    };
    for live in listed {
        let name = service_name(&live.service.id, names);
        text.push_str(&columns::service(live, &name, table));
        let destinations: Vec<&LiveDestination> = if table.sorted {
            order::destinations(&live.destinations)
        } else {
            live.destinations.iter().collect()
        };
        for destination in destinations {
            let id = destination.destination.id;
            // No protocol, no service name: the port of a mark's server is always a number.
            let place = place(id.address, id.port, live.service.id.protocol(), names);
            let name = place::cut(place, id.address, SERVER_NAME);
            text.push_str(&columns::destination(destination, &name, table));
        }
    }
    text
}

fn service_name(id: &ServiceId, names: &dyn Names) -> String {
    match id {
        ServiceId::Address {
            protocol,
            address,
            port,
        } => {
            let place = place(*address, *port, Some(*protocol), names);
            place::cut(format!("{protocol:<4} {place}"), *address, SERVICE_NAME)
        }
        ServiceId::Mark {
            mark,
            family: Family::V4,
        } => format!("FWM  {mark}"),
        ServiceId::Mark {
            mark,
            family: Family::V6,
        } => format!("FWM  {mark} IPv6"),
    }
}

/// Scheduler and flags of a service.
fn properties(service: &Service) -> String {
    let mut text = service.scheduler.to_string();
    if !service.flags.is_empty() {
        let _infallible = write!(text, " ({})", service.flags.names(&service.scheduler));
    }
    if let Some(persistence) = service.persistence {
        let _infallible = write!(text, " persistent {}", persistence.timeout);
        if !service.netmask.is_whole() {
            let _infallible = write!(text, " mask {}", service.netmask);
        }
        if let Some(engine) = &service.engine {
            let _infallible = write!(text, " pe {engine}");
        }
    }
    if service.one_packet {
        text.push_str(" ops");
    }
    text
}

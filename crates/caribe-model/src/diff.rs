//! The difference between two tables, as the smallest list of changes.

use crate::{Server, ServerKey, Service, ServiceKey, Table};

/// One step from one table to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// A service that is new, with all its servers.
    AddService(ServiceKey, &'a Service),
    /// A service whose scheduler or flags changed; its servers come as changes of their own.
    EditService(ServiceKey, &'a Service),
    /// A service that is gone, and its servers with it.
    RemoveService(ServiceKey),
    /// A server that is new in its service.
    AddServer(ServiceKey, &'a Server),
    /// A server whose weight or forwarding method changed.
    EditServer(ServiceKey, &'a Server),
    /// A server that is gone from its service.
    RemoveServer(ServiceKey, ServerKey),
}

/// What must change to make `from` equal to `to`: removals first, so that an identity can be
/// taken over, then edits and additions in the order of `to`.
///
/// The order of servers counts when one is added: it becomes the newest of its service.
/// A mere change of order between servers that stay is no change.
pub fn diff<'a>(from: &Table, to: &'a Table) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    for (key, before) in from.services() {
        let Some(after) = to.service(key) else {
            changes.push(Change::RemoveService(*key));
            continue;
        };
        for server in &before.servers {
            if !after.servers.iter().any(|other| other.key == server.key) {
                changes.push(Change::RemoveServer(*key, server.key));
            }
        }
    }
    for (key, after) in to.services() {
        let Some(before) = from.service(key) else {
            changes.push(Change::AddService(*key, after));
            continue;
        };
        if (before.scheduler, before.options) != (after.scheduler, after.options) {
            changes.push(Change::EditService(*key, after));
        }
        for server in &after.servers {
            match before.servers.iter().find(|other| other.key == server.key) {
                None => changes.push(Change::AddServer(*key, server)),
                Some(old) if old != server => changes.push(Change::EditServer(*key, server)),
                Some(_) => {}
            }
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::{Forwarding, Protocol, Scheduler, SchedulerFlags, SchedulerOptions};

    /// Applies changes the way a data plane does, to prove that they lead to `to`.
    fn apply(table: &Table, changes: &[Change<'_>]) -> Table {
        let mut services: Vec<(ServiceKey, Service)> = table
            .services()
            .map(|(key, service)| (*key, service.clone()))
            .collect();
        let find = |services: &[(ServiceKey, Service)], key| {
            services
                .iter()
                .position(|(other, _)| *other == key)
                .expect("service exists")
        };
        for change in changes {
            match change {
                Change::AddService(key, service) => services.push((*key, (*service).clone())),
                Change::EditService(key, service) => {
                    let at = find(&services, *key);
                    services[at].1.scheduler = service.scheduler;
                    services[at].1.options = service.options;
                }
                Change::RemoveService(key) => services.retain(|(other, _)| other != key),
                Change::AddServer(key, server) => {
                    let at = find(&services, *key);
                    services[at].1.servers.push((*server).clone());
                }
                Change::EditServer(key, server) => {
                    let at = find(&services, *key);
                    let servers = &mut services[at].1.servers;
                    let old = servers.iter_mut().find(|other| other.key == server.key);
                    *old.expect("server exists") = (*server).clone();
                }
                Change::RemoveServer(key, server) => {
                    let at = find(&services, *key);
                    services[at].1.servers.retain(|other| other.key != *server);
                }
            }
        }
        let mut table = Table::default();
        for (key, service) in services {
            table
                .insert(key, service)
                .expect("changes keep the table legal");
        }
        table
    }

    fn sorted(table: &Table) -> Vec<(ServiceKey, Scheduler, Vec<Server>)> {
        table
            .services()
            .map(|(key, service)| {
                let mut servers = service.servers.clone();
                servers.sort_by_key(|server| server.key);
                (*key, service.scheduler, servers)
            })
            .collect()
    }

    fn any_table() -> impl Strategy<Value = Table> {
        let server = (0u8..6, 0u32..3, 0usize..3).prop_map(|(host, weight, method)| Server {
            key: ServerKey {
                address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
                port: 80,
            },
            forwarding: [Forwarding::Nat, Forwarding::Direct, Forwarding::Tunnel][method],
            weight,
        });
        let service = (
            0u16..4,
            (0usize..4, 0u8..8),
            prop::collection::vec(server, 0..6),
        );
        prop::collection::vec(service, 0..5).prop_map(|services| {
            let mut table = Table::default();
            for (port, (scheduler, flags), servers) in services {
                let key = ServiceKey::Address {
                    protocol: Protocol::Tcp,
                    address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
                    port,
                };
                let scheduler = Scheduler::ALL[scheduler];
                // Repeated services and servers are refused; the generator leaves them out.
                let options = SchedulerOptions {
                    flags: SchedulerFlags::from_bits(flags).expect("three bits"),
                    ..SchedulerOptions::IPVS
                };
                let service = Service {
                    scheduler,
                    options,
                    servers,
                };
                let _ = table.insert(key, service);
            }
            table
        })
    }

    proptest! {
        #[test]
        fn changes_lead_from_one_table_to_the_other(from in any_table(), to in any_table()) {
            prop_assert_eq!(sorted(&apply(&from, &diff(&from, &to))), sorted(&to));
        }

        #[test]
        fn equal_tables_need_no_change(table in any_table()) {
            prop_assert!(diff(&table, &table.clone()).is_empty());
        }
    }
}

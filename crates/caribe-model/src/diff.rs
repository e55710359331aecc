//! The difference between two tables, as the smallest list of changes.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::{MarkRule, Server, ServerKey, Service, ServiceKey, Table};

/// One step from one table to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// A service that is new, with all its servers.
    AddService(ServiceKey, &'a Service),
    /// A service whose scheduler, persistence or policy changed; its servers come as changes of
    /// their own.
    EditService(ServiceKey, &'a Service),
    /// A service that is gone, and its servers with it.
    RemoveService(ServiceKey),
    /// A server that is new in its service.
    AddServer(ServiceKey, &'a Server),
    /// A server of which anything changed but its identity.
    EditServer(ServiceKey, &'a Server),
    /// A server that is gone from its service.
    RemoveServer(ServiceKey, ServerKey),
    /// Other rules for marks.
    SetMarks(&'a [MarkRule]),
}

/// What must change to make `from` equal to `to`: removals first, so that an identity can be
/// taken over, then edits and additions in the order of `to`.
///
/// The order of servers counts when one is added: it becomes the newest of its service.
/// A mere change of order between servers that stay is no change.
pub fn diff<'a>(from: &'a Table, to: &'a Table) -> Vec<Change<'a>> {
    let mut removals = Vec::new();
    let mut changes = Vec::new();
    for (key, before, after) in pairs(from, to) {
        match (before, after) {
            // Tables that are derived from each other share what does not change.
            (Some(before), Some(after)) if Arc::ptr_eq(before, after) => {}
            (Some(before), Some(after)) => {
                compare(*key, before, after, &mut removals, &mut changes);
            }
            (Some(_), None) => removals.push(Change::RemoveService(*key)),
            (None, Some(after)) => changes.push(Change::AddService(*key, after)),
            (None, None) => {}
        }
    }
    removals.extend(changes);
    if from.marks() != to.marks() {
        removals.push(Change::SetMarks(to.marks()));
    }
    removals
}

/// A service, as it is in one table and in the other.
type Pair<'a> = (
    &'a ServiceKey,
    Option<&'a Arc<Service>>,
    Option<&'a Arc<Service>>,
);

/// The services of both tables, by one walk through both.
fn pairs<'a>(from: &'a Table, to: &'a Table) -> impl Iterator<Item = Pair<'a>> {
    let (mut from, mut to) = (from.shared().peekable(), to.shared().peekable());
    std::iter::from_fn(move || {
        let order = match (from.peek(), to.peek()) {
            (Some((before, _)), Some((after, _))) => before.cmp(after),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let before = if order.is_le() { from.next() } else { None };
        let after = if order.is_ge() { to.next() } else { None };
        let key = before.or(after).map(|(key, _)| key)?;
        Some((
            key,
            before.map(|(_, service)| service),
            after.map(|(_, service)| service),
        ))
    })
}

/// The changes of a service that both tables have.
fn compare<'a>(
    key: ServiceKey,
    before: &Service,
    after: &'a Service,
    removals: &mut Vec<Change<'a>>,
    changes: &mut Vec<Change<'a>>,
) {
    let by_key = |service: &'_ Service| -> HashMap<ServerKey, usize> {
        let servers = service.servers.iter().enumerate();
        servers.map(|(at, server)| (server.key, at)).collect()
    };
    let (old, new) = (by_key(before), by_key(after));
    let gone = before.servers.iter().map(|server| server.key);
    let gone = gone.filter(|server| !new.contains_key(server));
    removals.extend(gone.map(|server| Change::RemoveServer(key, server)));
    if settings(before) != settings(after) {
        changes.push(Change::EditService(key, after));
    }
    for server in &after.servers {
        match old.get(&server.key).map(|at| &before.servers[*at]) {
            None => changes.push(Change::AddServer(key, server)),
            Some(old) if old != server => changes.push(Change::EditServer(key, server)),
            Some(_) => {}
        }
    }
}

/// Everything of a service but its servers.
fn settings(service: &Service) -> impl PartialEq + use<> {
    (
        service.scheduler,
        service.options,
        service.persistence,
        service.one_packet,
        service.policy,
    )
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        Encapsulation, Family, Forwarding, Netmask, Persistence, Policy, Protocol, Scheduler,
        SchedulerFlags, SchedulerOptions, Thresholds,
    };

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
        let mut marks = table.marks().to_vec();
        for change in changes {
            match change {
                Change::SetMarks(rules) => marks = rules.to_vec(),
                Change::AddService(key, service) => services.push((*key, (*service).clone())),
                Change::EditService(key, service) => {
                    let at = find(&services, *key);
                    let servers = std::mem::take(&mut services[at].1.servers);
                    services[at].1 = Service {
                        servers,
                        ..(*service).clone()
                    };
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
        table.set_marks(marks).expect("the rules are legal");
        table
    }

    fn sorted(table: &Table) -> Table {
        let mut ordered = Table::default();
        for (key, service) in table.services() {
            let mut service = service.clone();
            service.servers.sort_by_key(|server| server.key);
            ordered.insert(*key, service).expect("it was legal before");
        }
        let marks = table.marks().to_vec();
        ordered.set_marks(marks).expect("they were legal before");
        ordered
    }

    fn any_server() -> impl Strategy<Value = Server> {
        (0u8..6, 0u32..3, 0usize..3, any::<bool>(), 0u32..2).prop_map(
            |(host, weight, method, checksum, upper)| Server {
                key: ServerKey {
                    address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
                    port: 80,
                },
                forwarding: [Forwarding::Nat, Forwarding::Direct, Forwarding::Tunnel][method],
                weight,
                encapsulation: Encapsulation::Gre { checksum },
                thresholds: Thresholds::new(upper, 0).expect("no lower bound"),
            },
        )
    }

    fn any_service() -> impl Strategy<Value = Service> {
        (
            (0usize..4, 0u8..8),
            prop::option::of(1u32..3),
            any::<bool>(),
            any::<bool>(),
            prop::collection::vec(any_server(), 0..6),
        )
            .prop_map(
                |((scheduler, flags), timeout, one_packet, sloppy_tcp, servers)| Service {
                    scheduler: Scheduler::ALL[scheduler],
                    options: SchedulerOptions {
                        flags: SchedulerFlags::from_bits(flags).expect("three bits"),
                        ..SchedulerOptions::IPVS
                    },
                    persistence: timeout.map(|timeout| Persistence {
                        timeout,
                        netmask: Netmask::host(Family::V4),
                    }),
                    one_packet,
                    policy: Policy {
                        sloppy_tcp,
                        ..Policy::default()
                    },
                    servers,
                },
            )
    }

    fn any_table() -> impl Strategy<Value = Table> {
        let mark = (1u32..3, 0u8..33).prop_map(|(mark, prefix)| MarkRule {
            mark: NonZeroU32::new(mark).expect("from 1"),
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            prefix,
            protocol: None,
            ports: Vec::new(),
        });
        (
            prop::collection::vec((1u16..5, any_service()), 0..5),
            prop::collection::vec(mark, 0..3),
        )
            .prop_map(|(services, marks)| {
                let mut table = Table::default();
                for (port, service) in services {
                    let key = ServiceKey::Address {
                        protocol: Protocol::Tcp,
                        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
                        port,
                    };
                    // Repeated services and servers are refused; the generator leaves them out.
                    let _ = table.insert(key, service);
                }
                table.set_marks(marks).expect("prefixes fit");
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

//! What was changed by hand, on top of the configuration.
//!
//! The table is derived from (configuration, verdicts, overrides). An override says what its
//! administrator wants; a monitor still decides whether a server that it watches serves. A server
//! that only an override names has no monitor, and serves.

mod describe;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use caribe_health::ServerId;
use caribe_model::{Server, ServerKey, Service, ServiceKey, TableError, Timeouts};

use crate::{Change, ChangeRefusal, Intent, ServiceSettings, WantedServer, WantedService};

/// Everything that was changed by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    /// Shared with what they were before the last change.
    services: BTreeMap<ServiceKey, Arc<ServiceOverride>>,
    /// Timeouts in force, if they are not the configured ones.
    pub(crate) timeouts: Option<Timeouts>,
}

/// What became of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ServiceOverride {
    /// It is configured, and gone.
    Removed,
    /// It is all by hand, whatever is configured.
    Replaced {
        settings: ServiceSettings,
        /// Oldest first.
        servers: Vec<Server>,
    },
    /// It is as configured, but for this.
    Adjusted {
        settings: Option<ServiceSettings>,
        /// Servers in the order in which they were changed; `None` is gone.
        servers: Vec<(ServerKey, Option<Server>)>,
    },
}

impl ServiceOverride {
    const NOTHING: Self = ServiceOverride::Adjusted {
        settings: None,
        servers: Vec::new(),
    };
}

/// The rule for servers that are configured: their weight by what their monitors say, `None`
/// while they are out.
pub(crate) type WeightRule<'a> = &'a dyn Fn(&WantedService, &WantedServer) -> Option<u32>;

impl Overrides {
    /// Whether everything is as configured.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Overrides::default()
    }

    /// Makes a change to a service, or to the timeouts that are in force.
    ///
    /// # Errors
    ///
    /// IPVS's: what exists cannot be added, what does not exist cannot be changed.
    pub(crate) fn change(
        &mut self,
        change: &Change,
        intent: &Intent,
        weight: WeightRule<'_>,
    ) -> Result<(), ChangeRefusal> {
        let known = |overrides: &Self, key: &ServiceKey| {
            let known = overrides.has(key, intent);
            known.then_some(()).ok_or(ChangeRefusal::NoService(*key))
        };
        let illegal = |error: TableError| ChangeRefusal::Refused(error.to_string());
        match change {
            Change::AddService(key, settings) => {
                if known(self, key).is_ok() {
                    return Err(ChangeRefusal::ServiceExists(*key));
                }
                key.admits_persistence(settings.persistence.as_ref())
                    .map_err(illegal)?;
                let service = ServiceOverride::Replaced {
                    settings: *settings,
                    servers: Vec::new(),
                };
                self.services.insert(*key, Arc::new(service));
            }
            Change::EditService(key, settings) => {
                known(self, key)?;
                key.admits_persistence(settings.persistence.as_ref())
                    .map_err(illegal)?;
                self.edit_service(*key, *settings);
            }
            Change::RemoveService(key) => {
                known(self, key)?;
                match intent.service(key) {
                    Some(_) => self
                        .services
                        .insert(*key, Arc::new(ServiceOverride::Removed)),
                    None => self.services.remove(key),
                };
            }
            Change::Clear => {
                let removed = Arc::new(ServiceOverride::Removed);
                self.services = intent
                    .services
                    .iter()
                    .map(|service| (service.key, Arc::clone(&removed)))
                    .collect();
            }
            Change::AddServer(key, server) => {
                known(self, key)?;
                match self.presence(key, server.key, intent, weight) {
                    Presence::There => {
                        return Err(ChangeRefusal::ServerExists(*key, server.key));
                    }
                    Presence::KeptOut => return Err(ChangeRefusal::Down(*key, server.key)),
                    Presence::Absent => {}
                }
                key.admits(server).map_err(illegal)?;
                self.put_server(*key, server.clone());
            }
            Change::EditServer(key, server) => {
                known(self, key)?;
                if self.presence(key, server.key, intent, weight) != Presence::There {
                    return Err(ChangeRefusal::NoServer(*key, server.key));
                }
                key.admits(server).map_err(illegal)?;
                self.put_server(*key, server.clone());
            }
            Change::RemoveServer(key, server) => {
                known(self, key)?;
                if self.presence(key, *server, intent, weight) != Presence::There {
                    return Err(ChangeRefusal::NoServer(*key, *server));
                }
                let configured = intent.service(key).is_some_and(|service| {
                    let mut servers = service.active_servers();
                    servers.any(|known| known.server.key == *server)
                });
                self.take_server(*key, *server, configured);
            }
            Change::SetTimeouts { tcp, tcp_fin, udp } => {
                let before = self.timeouts.unwrap_or(intent.timeouts);
                let keep = |new: u32, old| match new {
                    0 => old,
                    seconds => Duration::from_secs(u64::from(seconds)),
                };
                self.timeouts = Some(Timeouts {
                    tcp: keep(*tcp, before.tcp),
                    tcp_fin: keep(*tcp_fin, before.tcp_fin),
                    udp: keep(*udp, before.udp),
                });
            }
            Change::Revert => *self = Overrides::default(),
        }
        if let Some(key) = change.service()
            && let Some(service) = self.services.get(key)
            && service.as_ref() == &ServiceOverride::NOTHING
        {
            self.services.remove(key);
        }
        Ok(())
    }

    /// Whether the table shall hold a service.
    fn has(&self, key: &ServiceKey, intent: &Intent) -> bool {
        match self.services.get(key).map(Arc::as_ref) {
            Some(ServiceOverride::Removed) => false,
            Some(ServiceOverride::Replaced { .. }) => true,
            Some(ServiceOverride::Adjusted { .. }) | None => intent.service(key).is_some(),
        }
    }

    /// Whether the table shall hold a server of a service: the same as [`Overrides::service`]
    /// says, without making the service.
    fn presence(
        &self,
        key: &ServiceKey,
        server: ServerKey,
        intent: &Intent,
        weight: WeightRule<'_>,
    ) -> Presence {
        let there = |is: bool| {
            if is {
                Presence::There
            } else {
                Presence::Absent
            }
        };
        let changed = match self.services.get(key).map(Arc::as_ref) {
            Some(ServiceOverride::Removed) => return Presence::Absent,
            Some(ServiceOverride::Replaced { servers, .. }) => {
                return there(servers.iter().any(|it| it.key == server));
            }
            Some(ServiceOverride::Adjusted { servers, .. }) => {
                let changed = servers.iter().find(|(other, _)| *other == server);
                changed.map(|(_, change)| change.is_some())
            }
            None => None,
        };
        let wanted = intent.service(key);
        let configured = wanted.and_then(|wanted| {
            let mut servers = wanted.active_servers();
            let known = servers.find(|known| known.server.key == server)?;
            Some(weight(wanted, known).is_some())
        });
        match configured {
            Some(false) => Presence::KeptOut,
            Some(true) => there(changed != Some(false)),
            None => there(changed == Some(true)),
        }
    }

    fn edit_service(&mut self, key: ServiceKey, new: ServiceSettings) {
        match self.entry(key) {
            ServiceOverride::Replaced { settings, .. } => *settings = new,
            ServiceOverride::Adjusted { settings, .. } => *settings = Some(new),
            // What is gone was refused.
            ServiceOverride::Removed => {}
        }
    }

    fn entry(&mut self, key: ServiceKey) -> &mut ServiceOverride {
        let entry = self.services.entry(key);
        Arc::make_mut(entry.or_insert_with(|| Arc::new(ServiceOverride::NOTHING)))
    }

    fn put_server(&mut self, key: ServiceKey, server: Server) {
        match self.entry(key) {
            ServiceOverride::Replaced { servers, .. } => {
                let known = servers.iter_mut().find(|other| other.key == server.key);
                match known {
                    Some(other) => *other = server,
                    None => servers.push(server),
                }
            }
            ServiceOverride::Adjusted { servers, .. } => {
                match servers.iter_mut().find(|(other, _)| *other == server.key) {
                    Some((_, other)) => *other = Some(server),
                    None => servers.push((server.key, Some(server))),
                }
            }
            ServiceOverride::Removed => {}
        }
    }

    fn take_server(&mut self, key: ServiceKey, server: ServerKey, configured: bool) {
        match self.entry(key) {
            ServiceOverride::Replaced { servers, .. } => {
                servers.retain(|other| other.key != server);
            }
            ServiceOverride::Adjusted { servers, .. } => {
                servers.retain(|(other, _)| *other != server);
                if configured {
                    servers.push((server, None));
                }
            }
            ServiceOverride::Removed => {}
        }
    }

    /// Forgets what changed services that the new configuration does not have.
    pub(crate) fn prune(&mut self, intent: &Intent) {
        self.services.retain(|key, change| {
            matches!(**change, ServiceOverride::Replaced { .. }) || intent.service(key).is_some()
        });
    }

    /// A service as the table shall hold it.
    pub(crate) fn service(
        &self,
        key: &ServiceKey,
        intent: &Intent,
        weight: WeightRule<'_>,
    ) -> Option<Service> {
        let wanted = intent.service(key);
        let (settings, changed) = match (self.services.get(key).map(Arc::as_ref), wanted) {
            (Some(ServiceOverride::Removed), _) => return None,
            (Some(ServiceOverride::Replaced { settings, servers }), _) => {
                return Some(Service {
                    policy: wanted.map_or(intent.policy, |wanted| wanted.policy),
                    servers: servers.clone(),
                    ..settings.service()
                });
            }
            (Some(ServiceOverride::Adjusted { settings, servers }), _) => {
                (settings.as_ref(), &servers[..])
            }
            (None, _) => (None, &[][..]),
        };
        Some(adjusted(wanted?, settings, changed, weight))
    }

    /// The weight that a configured server was given by hand.
    pub(crate) fn weight(&self, id: &ServerId) -> Option<u32> {
        let ServiceOverride::Adjusted { servers, .. } = self.services.get(&id.service)?.as_ref()
        else {
            return None;
        };
        let (_, changed) = servers.iter().find(|(key, _)| *key == id.server)?;
        Some(changed.as_ref()?.weight)
    }

    /// The service is all by hand, whatever is configured.
    pub(crate) fn replaces(&self, key: &ServiceKey) -> bool {
        matches!(
            self.services.get(key).map(Arc::as_ref),
            Some(ServiceOverride::Replaced { .. })
        )
    }

    /// Services that are not configured at all.
    pub(crate) fn added<'a>(&'a self, intent: &'a Intent) -> impl Iterator<Item = &'a ServiceKey> {
        let replaced = self.services.iter();
        let replaced =
            replaced.filter(|(_, change)| matches!(***change, ServiceOverride::Replaced { .. }));
        replaced
            .map(|(key, _)| key)
            .filter(|key| intent.service(key).is_none())
    }

    /// Addresses of servers that were put in by hand.
    pub(crate) fn server_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.services.values().flat_map(|change| {
            let (whole, changed) = match change.as_ref() {
                ServiceOverride::Removed => (&[][..], &[][..]),
                ServiceOverride::Replaced { servers, .. } => (&servers[..], &[][..]),
                ServiceOverride::Adjusted { servers, .. } => (&[][..], &servers[..]),
            };
            let changed = changed.iter().filter_map(|(_, server)| server.as_ref());
            whole.iter().chain(changed).map(|server| server.key.address)
        })
    }
}

/// Whether the table shall hold a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    Absent,
    /// It is configured, and its monitor keeps it out.
    KeptOut,
}

/// A configured service with its changes.
fn adjusted(
    wanted: &WantedService,
    settings: Option<&ServiceSettings>,
    changed: &[(ServerKey, Option<Server>)],
    weight: WeightRule<'_>,
) -> Service {
    let change = |key: ServerKey| changed.iter().find(|(other, _)| *other == key);
    let configured = wanted.active_servers().filter_map(|known| {
        if changed.is_empty() {
            let weight = weight(wanted, known)?;
            return Some(Server {
                weight,
                ..known.server.clone()
            });
        }
        let server = match change(known.server.key) {
            Some((_, change)) => change.clone()?,
            None => known.server.clone(),
        };
        let known = WantedServer {
            server,
            ..known.clone()
        };
        Some(Server {
            weight: weight(wanted, &known)?,
            ..known.server
        })
    });
    let mut servers: Vec<Server> = configured.collect();
    let own = changed.iter().filter(|(key, _)| {
        let mut known = wanted.active_servers();
        !known.any(|known| known.server.key == *key)
    });
    servers.extend(own.filter_map(|(_, server)| server.clone()));
    let mut service = wanted.without_servers();
    if let Some(settings) = settings {
        settings.put(&mut service);
    }
    service.servers = servers;
    service
}

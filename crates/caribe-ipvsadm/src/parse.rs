//! Words into a [`Command`].
//!
//! The order of checks is part of the behaviour: options are read and their values judged from
//! left to right, then left-over words are refused, then the table of [`crate::validity`] is
//! consulted, and what concerns several options comes last.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use caribe_model::Family;

use crate::options::{Counted, Meaning, Verb};
use crate::popt::{Reader, Typed};
use crate::scheduling::{FlagError, cut};
use crate::validity::{self, TUNNEL_OPTIONS, TunnelKind};
use crate::{
    Checksum, Command, Daemon, DaemonRole, Destination, DestinationId, Forwarding, Listed, Names,
    Netmask, Persistence, Protocol, Refusal, SchedulerFlags, SchedulerName, Service, ServiceId,
    Table, Timeouts, Tunnel, View, address, number,
};

/// Longest persistence timeout and longest value of `--set`: 31 days.
const LONGEST_TIMEOUT: u64 = 31 * 24 * 60 * 60;
/// Largest C `int`.
const INT_MAX: u64 = i32::MAX as u64;
/// Longest name of a persistence engine, in bytes.
const LONGEST_ENGINE: usize = 16;
/// Longest name of an interface, in bytes.
const LONGEST_INTERFACE: usize = 15;

/// Reads the words after the program's name. None at all are a listing.
///
/// # Errors
///
/// The first thing that ipvsadm would complain of.
pub fn parse(words: &[String], names: &dyn Names) -> Result<Command, Refusal> {
    if words.is_empty() {
        return Ok(Command::List(Listed::Table(Table {
            sorted: true,
            ..Table::default()
        })));
    }
    let mut reader = Reader::new(words);
    let Ok(Some(Typed {
        meaning: Meaning::Verb(verb),
        value,
    })) = reader.next()
    else {
        return Err(Refusal::NoCommand);
    };
    let role = value.and_then(DaemonRole::parse);
    match (verb, role) {
        (Verb::Help, _) => return Ok(Command::Help),
        (Verb::Version, _) => return Ok(Command::Version),
        (Verb::StartDaemon, None) => return Err(Refusal::StartDaemon),
        (Verb::StopDaemon, None) => return Err(Refusal::StopDaemon),
        _ => {}
    }
    let mut given = Given::default();
    while let Some(typed) = reader.next()? {
        if let Meaning::Verb(_) = typed.meaning {
            return Err(Refusal::SecondCommand(reader.last().to_owned()));
        }
        given.take(&typed, names)?;
    }
    let mut left = reader.left();
    let timeouts = match verb {
        Verb::Set => Some(timeouts(&mut left)?),
        _ => None,
    };
    if let Some(word) = left.pop_front() {
        return Err(Refusal::Unexpected(word.to_owned()));
    }
    let flags = given.scheduler_flags()?;
    validity::of_command(verb, &given.options)?;
    let missing = |option: Counted| Refusal::Missing {
        option: option.name(),
        command: verb.name(),
    };
    // The validity of the options has made sure of these wherever they are needed.
    let service = given.service.ok_or(missing(Counted::ServiceAddress));
    let server = given.server.ok_or(missing(Counted::RealServer));
    Ok(match verb {
        Verb::AddService => Command::AddService(given.service(service?, flags)?),
        Verb::EditService => Command::EditService(given.service(service?, flags)?),
        Verb::DeleteService => Command::DeleteService(service?),
        Verb::Flush => Command::Flush,
        Verb::List => Command::List(given.listed()?),
        Verb::AddServer => {
            let service = service?;
            Command::AddServer(service, given.destination(&service, server?)?)
        }
        Verb::EditServer => {
            let service = service?;
            Command::EditServer(service, given.destination(&service, server?)?)
        }
        Verb::DeleteServer => Command::DeleteServer(service?, server?),
        Verb::Set => Command::SetTimeouts(timeouts.ok_or(Refusal::ThreeTimeouts)?),
        Verb::StartDaemon => Command::StartDaemon(given.daemon(role.ok_or(Refusal::StartDaemon)?)),
        Verb::StopDaemon => Command::StopDaemon(role.ok_or(Refusal::StopDaemon)?),
        Verb::Restore => Command::Restore,
        Verb::Save => Command::Save {
            numeric: given.has(Counted::Numeric),
        },
        Verb::Zero => Command::Zero(given.service),
        Verb::Help => Command::Help,
        Verb::Version => Command::Version,
    })
}

fn timeouts(words: &mut VecDeque<&str>) -> Result<Timeouts, Refusal> {
    // All three have to be there before one of them is looked at.
    let mut next = || words.pop_front().ok_or(Refusal::ThreeTimeouts);
    let (tcp, tcp_fin, udp) = (next()?, next()?, next()?);
    Ok(Timeouts {
        tcp: seconds(tcp, 0)?,
        tcp_fin: seconds(tcp_fin, 0)?,
        udp: seconds(udp, 0)?,
    })
}

fn seconds(word: &str, least: u64) -> Result<u32, Refusal> {
    number::within(word, least, LONGEST_TIMEOUT)
        .and_then(|seconds| u32::try_from(seconds).ok())
        .ok_or_else(|| Refusal::Timeout(word.to_owned()))
}

/// A number with an exact type of its own; `what` names it in the refusal.
fn bounded<T: TryFrom<u64>>(
    word: &str,
    least: u64,
    most: u64,
    what: &'static str,
) -> Result<T, Refusal> {
    number::within(word, least, most)
        .and_then(|number| T::try_from(number).ok())
        .ok_or(Refusal::Number(what))
}

/// The options of one command, as far as they have been read.
#[derive(Debug, Default)]
struct Given {
    options: BTreeSet<Counted>,
    service: Option<ServiceId>,
    server: Option<DestinationId>,
    scheduler: Option<SchedulerName>,
    flags: Option<String>,
    persistence: Option<Persistence>,
    netmask: Option<Netmask>,
    engine: Option<String>,
    forwarding: Option<Meaning>,
    weight: Option<u32>,
    upper_threshold: u32,
    lower_threshold: u32,
    tunnel: TunnelKind,
    tunnel_port: u16,
    interface: Option<String>,
    sync_id: u8,
    longest: Option<u16>,
    group: Option<IpAddr>,
    port: Option<u16>,
    ttl: Option<u8>,
}

impl Given {
    fn has(&self, option: Counted) -> bool {
        self.options.contains(&option)
    }

    fn count(&mut self, option: Counted) -> Result<(), Refusal> {
        if self.options.insert(option) {
            Ok(())
        } else {
            Err(Refusal::Repeated(option.name()))
        }
    }

    fn family(&self) -> Family {
        self.service.map_or(Family::V4, |service| service.family())
    }

    fn take(&mut self, typed: &Typed<'_>, names: &dyn Names) -> Result<(), Refusal> {
        // Options with a value always come with one, but for `-p`.
        let value = typed.value.unwrap_or_default();
        match typed.meaning {
            Meaning::TcpService => self.address_service(Protocol::Tcp, value, names),
            Meaning::UdpService => self.address_service(Protocol::Udp, value, names),
            Meaning::SctpService => self.address_service(Protocol::Sctp, value, names),
            Meaning::FirewallMark => self.mark(value),
            Meaning::Ipv6 => self.ipv6(),
            Meaning::Direct | Meaning::Tunnel | Meaning::Masquerade => {
                self.count(Counted::ForwardingMethod)?;
                self.forwarding = Some(typed.meaning);
                Ok(())
            }
            Meaning::Plain(option) => {
                self.count(option)?;
                self.plain(option, typed.value, names)
            }
            // A command was refused by the caller.
            Meaning::Sort | Meaning::Verb(_) => Ok(()),
        }
    }

    fn plain(
        &mut self,
        option: Counted,
        value: Option<&str>,
        names: &dyn Names,
    ) -> Result<(), Refusal> {
        let text = value.unwrap_or_default();
        match option {
            Counted::Scheduler => self.scheduler = Some(SchedulerName::new(text)),
            Counted::SchedulerFlags => self.flags = Some(text.to_owned()),
            Counted::Persistent => {
                self.persistence = Some(match value {
                    Some(text) => Persistence {
                        timeout: seconds(text, 1)?,
                    },
                    None => Persistence::DEFAULT,
                });
            }
            Counted::Netmask => self.netmask = Some(netmask(self.family(), text, names)?),
            Counted::Engine => {
                self.engine = Some(cut(text, LONGEST_ENGINE).to_owned()).filter(|e| !e.is_empty());
            }
            Counted::RealServer => self.real_server(text, names)?,
            Counted::Weight => self.weight = Some(bounded(text, 0, INT_MAX, "weight")?),
            Counted::UpperThreshold => {
                self.upper_threshold = bounded(text, 0, INT_MAX, "u_threshold")?;
            }
            Counted::LowerThreshold => {
                self.lower_threshold = bounded(text, 0, INT_MAX, "l_threshold")?;
            }
            Counted::TunnelType => {
                self.tunnel = TunnelKind::parse(text).ok_or(Refusal::Number("tunnel type"))?;
            }
            Counted::TunnelPort => self.tunnel_port = bounded(text, 1, 65_535, "tunnel port")?,
            Counted::MulticastInterface => {
                self.interface = Some(cut(text, LONGEST_INTERFACE).to_owned());
            }
            Counted::SyncId => self.sync_id = bounded(text, 0, 255, "syncid")?,
            Counted::SyncMaxlen => self.longest = Some(bounded(text, 1, 65_507, "sync-maxlen")?),
            Counted::MulticastGroup => self.group = Some(multicast_group(text)?),
            Counted::MulticastPort => self.port = Some(bounded(text, 1, 65_535, "mcast-port")?),
            Counted::MulticastTtl => self.ttl = Some(bounded(text, 1, 255, "mcast-ttl")?),
            // These say all by being there.
            _ => {}
        }
        Ok(())
    }

    fn address_service(
        &mut self,
        protocol: Protocol,
        text: &str,
        names: &dyn Names,
    ) -> Result<(), Refusal> {
        self.count(Counted::ServiceAddress)?;
        let place = address::place(text, Some(protocol), names).ok_or(Refusal::Service)?;
        self.name_service(ServiceId::Address {
            protocol,
            address: place.address,
            port: place.port.unwrap_or(0),
        });
        Ok(())
    }

    fn mark(&mut self, text: &str) -> Result<(), Refusal> {
        self.count(Counted::ServiceAddress)?;
        let mark = number::within(text, 1, u64::from(u32::MAX))
            .and_then(|mark| NonZeroU32::new(u32::try_from(mark).ok()?))
            .ok_or_else(|| Refusal::Mark(text.to_owned()))?;
        self.service = Some(ServiceId::Mark {
            mark,
            family: Family::V4,
        });
        Ok(())
    }

    fn ipv6(&mut self) -> Result<(), Refusal> {
        let Some(ServiceId::Mark { mark, .. }) = self.service else {
            return Err(Refusal::Ipv6BeforeMark);
        };
        self.name_service(ServiceId::Mark {
            mark,
            family: Family::V6,
        });
        Ok(())
    }

    /// A netmask that came before its IPv6 service was read as one of IPv4, and is forgotten.
    fn name_service(&mut self, service: ServiceId) {
        if service.family() == Family::V6 {
            self.netmask = None;
        }
        self.service = Some(service);
    }

    fn real_server(&mut self, text: &str, names: &dyn Names) -> Result<(), Refusal> {
        let protocol = match self.service {
            Some(ServiceId::Address { protocol, .. }) => Some(protocol),
            // Ports of a firewall mark's servers may be typed by their TCP names.
            Some(ServiceId::Mark { .. }) => Some(Protocol::Tcp),
            None => None,
        };
        let place = address::place(text, protocol, names).ok_or(Refusal::RealServer)?;
        let service_port = self.service.map_or(0, |service| service.port());
        self.server = Some(DestinationId {
            address: place.address,
            port: place.port.unwrap_or(service_port),
        });
        Ok(())
    }

    fn scheduler_flags(&self) -> Result<SchedulerFlags, Refusal> {
        let scheduler = self.scheduler.clone().unwrap_or_default();
        let words = self.flags.as_deref().unwrap_or_default();
        SchedulerFlags::parse(&scheduler, words).map_err(|error| match error {
            FlagError::Unknown(word) => Refusal::Flag(word.to_owned()),
            FlagError::Incompatible(word) => Refusal::IncompatibleFlag(word.to_owned()),
        })
    }

    fn service(self, id: ServiceId, flags: SchedulerFlags) -> Result<Service, Refusal> {
        if let ServiceId::Address { protocol, port, .. } = id {
            if port == 0 && self.persistence.is_none() {
                return Err(Refusal::ZeroPort);
            }
            if self.has(Counted::Ops) && protocol != Protocol::Udp {
                return Err(Refusal::OnePacket);
            }
        }
        Ok(Service {
            one_packet: self.has(Counted::Ops),
            id,
            scheduler: self.scheduler.unwrap_or_default(),
            flags,
            persistence: self.persistence,
            netmask: self.netmask.unwrap_or(Netmask::whole(id.family())),
            engine: self.engine,
        })
    }

    fn destination(
        &self,
        service: &ServiceId,
        mut server: DestinationId,
    ) -> Result<Destination, Refusal> {
        let method = self.forwarding.unwrap_or(Meaning::Direct);
        // Only a rewritten packet can go to another port.
        if let ServiceId::Address { port, .. } = service
            && method != Meaning::Masquerade
        {
            server.port = *port;
        }
        if Family::from(server.address) != service.family() && method != Meaning::Tunnel {
            return Err(Refusal::Family);
        }
        if method != Meaning::Tunnel && TUNNEL_OPTIONS.iter().any(|option| self.has(*option)) {
            return Err(Refusal::NoTunnel);
        }
        validity::of_tunnel(self.tunnel, &self.options)?;
        Ok(Destination {
            id: server,
            forwarding: match method {
                Meaning::Masquerade => Forwarding::Masquerade,
                Meaning::Tunnel => Forwarding::Tunnel(self.tunnel()),
                _ => Forwarding::Direct,
            },
            weight: self.weight.unwrap_or(1),
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
        })
    }

    fn tunnel(&self) -> Tunnel {
        let checksum = if self.has(Counted::TunnelCsum) {
            Checksum::With
        } else if self.has(Counted::TunnelRemcsum) {
            Checksum::Remote
        } else {
            Checksum::Without
        };
        match self.tunnel {
            TunnelKind::Ipip => Tunnel::Ipip,
            TunnelKind::Gue => Tunnel::Gue {
                port: self.tunnel_port,
                checksum,
            },
            TunnelKind::Gre => Tunnel::Gre { checksum },
        }
    }

    fn listed(&self) -> Result<Listed, Refusal> {
        let numeric = self.has(Counted::Numeric);
        let engines = self.has(Counted::PersistentConnections);
        let (connections, timeouts, daemons) = (
            self.has(Counted::Connection),
            self.has(Counted::Timeout),
            self.has(Counted::Daemon),
        );
        let counters =
            self.has(Counted::Stats) || self.has(Counted::Rate) || self.has(Counted::Thresholds);
        if (connections || timeouts || daemons) && counters || (timeouts || daemons) && engines {
            return Err(Refusal::List);
        }
        let views = [
            (Counted::Stats, View::Statistics),
            (Counted::Rate, View::Rates),
            (Counted::Thresholds, View::Thresholds),
            (Counted::PersistentConnections, View::Persistent),
            (Counted::TunnelInfo, View::Tunnels),
        ];
        let view = views.iter().find(|(option, _)| self.has(*option));
        Ok(if connections {
            Listed::Connections { numeric, engines }
        } else if timeouts {
            Listed::Timeouts
        } else if daemons {
            Listed::Daemons
        } else {
            Listed::Table(Table {
                only: self.service,
                numeric,
                sorted: !self.has(Counted::Nosort),
                exact: self.has(Counted::Exact),
                view: view.map_or(View::Plain, |(_, view)| *view),
            })
        })
    }

    fn daemon(self, role: DaemonRole) -> Daemon {
        Daemon {
            role,
            interface: self
                .interface
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| Daemon::INTERFACE.to_owned()),
            sync_id: self.sync_id,
            longest: self.longest,
            group: self.group,
            port: self.port,
            ttl: self.ttl,
        }
    }
}

fn netmask(family: Family, text: &str, names: &dyn Names) -> Result<Netmask, Refusal> {
    match family {
        Family::V4 => address::host_v4(text, names)
            .map(Netmask::V4)
            .ok_or(Refusal::Netmask4),
        Family::V6 => u32::try_from(number::leading(text))
            .ok()
            .filter(|prefix| (1..=128).contains(prefix))
            .map(Netmask::V6)
            .ok_or(Refusal::Netmask6),
    }
}

fn multicast_group(text: &str) -> Result<IpAddr, Refusal> {
    if text.contains(':') {
        let group = text.parse().ok().map(IpAddr::V6);
        let group = group.filter(IpAddr::is_multicast);
        return group.ok_or_else(|| Refusal::Group6(text.to_owned()));
    }
    let group = text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    let group = group.filter(IpAddr::is_multicast);
    group.ok_or_else(|| Refusal::Group4(text.to_owned()))
}

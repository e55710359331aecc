//! Lines of the log. Where Piranha had a line for it, the wording is Piranha's.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use caribe_config::config::FloatingAddress;
use caribe_health::probe::Finding;
use caribe_health::{Order, ServerId};
use caribe_model::{Family, NextHop, ServerKey, ServiceKey};

use crate::Change;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The normal course of things.
    Info,
    /// Something an administrator should know.
    Warning,
    /// Something does not work.
    Error,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A reload began.
    Rereading,
    /// A reload is in force.
    Reloaded {
        /// `serial_no` of the file.
        serial_no: i64,
    },
    /// A reload was refused; nothing was changed.
    Refused,
    /// One warning or error of the configuration file.
    Diagnostic {
        /// Rendered, possibly over several lines.
        text: String,
        /// Whether it belongs to a file that was refused.
        refused: bool,
    },
    /// A virtual service begins.
    ServiceStarted {
        /// Its name in the file.
        name: String,
        /// Its identity.
        key: ServiceKey,
    },
    /// A virtual service ends.
    ServiceStopped {
        /// Its name in the file.
        name: String,
        /// Its identity.
        key: ServiceKey,
    },
    /// A monitor begins.
    MonitorStarted(ServerId),
    /// A server was admitted.
    ServerUp(ServerId),
    /// A server was removed or quiesced.
    ServerDown(ServerId, Finding),
    /// No server of a service can serve.
    NoServers {
        /// The service's name in the file.
        name: String,
        /// Its identity.
        key: ServiceKey,
    },
    /// The sorry server takes over, or is not needed any more.
    SorryServer {
        /// The service's name in the file.
        name: String,
        /// Its identity.
        key: ServiceKey,
        /// The sorry server.
        sorry: ServerKey,
        /// It takes over, with so many real servers left.
        serving: Option<usize>,
    },
    /// An operator gave an order about a server, or lifted it.
    Ordered {
        /// The server.
        id: ServerId,
        /// The order that holds now.
        order: Option<Order>,
        /// Who.
        by: String,
    },
    /// The way to a server is known.
    WayFound(IpAddr, NextHop),
    /// The way to a server got lost.
    WayLost(IpAddr),
    /// Replies of a NAT server come in where the data plane is not attached.
    RepliesUnseen {
        /// The server.
        server: ServerKey,
        /// Index of the interface that leads to it.
        interface: u32,
    },
    /// NAT without the kernel's forwarding.
    ForwardingOff(Family),
    /// An address was put on its interface.
    AddressAdded(FloatingAddress),
    /// An address was there before the director and is not its own.
    AddressForeign(FloatingAddress),
    /// An address was taken off its interface.
    AddressRemoved(FloatingAddress),
    /// Every announcement of newly added addresses was sent.
    AnnouncementsFinished,
    /// A size of the data plane was changed in the file, and only a start can change it.
    LimitsNeedRestart,
    /// A server left the configuration: it may finish its connections for so long.
    DrainStarted(ServiceKey, ServerKey, Duration),
    /// A server that drained has no connection any more, and is removed.
    Drained(ServiceKey, ServerKey),
    /// A server's time to drain is up, and it is removed.
    DrainOver {
        /// The service.
        service: ServiceKey,
        /// The server.
        server: ServerKey,
        /// Connections that it still had.
        left: u64,
    },
    /// A server that drained is in the configuration again.
    DrainCancelled(ServiceKey, ServerKey),
    /// Something was changed by hand.
    Changed(Change),
    /// The data plane refused what was changed by hand.
    ChangeTakenBack,
    /// A reload left in place what was changed by hand; each change.
    OverridesKept(Vec<String>),
    /// A reload dropped what was changed by hand; each change.
    OverridesDropped(Vec<String>),
    /// The shell could not do something; it will be tried again where that makes sense.
    Trouble(String),
    /// The director is going down.
    Stopping {
        /// The data plane and the addresses stay.
        keep: bool,
    },
}

impl Notice {
    /// How much the line matters.
    pub fn level(&self) -> Level {
        match self {
            Notice::Refused | Notice::Trouble(_) | Notice::Diagnostic { refused: true, .. } => {
                Level::Error
            }
            Notice::Diagnostic { refused: false, .. }
            | Notice::ServerDown(..)
            | Notice::NoServers { .. }
            | Notice::SorryServer {
                serving: Some(_), ..
            }
            | Notice::WayLost(_)
            | Notice::RepliesUnseen { .. }
            | Notice::ForwardingOff(_)
            | Notice::AddressForeign(_)
            | Notice::LimitsNeedRestart
            | Notice::DrainOver { left: 1.., .. }
            | Notice::ChangeTakenBack
            | Notice::OverridesDropped(_) => Level::Warning,
            Notice::Rereading
            | Notice::DrainStarted(..)
            | Notice::Drained(..)
            | Notice::DrainOver { .. }
            | Notice::DrainCancelled(..)
            | Notice::Reloaded { .. }
            | Notice::ServiceStarted { .. }
            | Notice::ServiceStopped { .. }
            | Notice::MonitorStarted(_)
            | Notice::ServerUp(_)
            | Notice::SorryServer { serving: None, .. }
            | Notice::Ordered { .. }
            | Notice::WayFound(..)
            | Notice::AddressAdded(_)
            | Notice::AddressRemoved(_)
            | Notice::AnnouncementsFinished
            | Notice::Changed(_)
            | Notice::OverridesKept(_)
            | Notice::Stopping { .. } => Level::Info,
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Rereading => f.write_str("rereading configuration file"),
            Notice::Reloaded { serial_no } => {
                write!(f, "configuration with serial_no {serial_no} is in force")
            }
            Notice::Refused => f.write_str(
                "the configuration file was refused and nothing was changed: correct it and \
                 reload again",
            ),
            Notice::Diagnostic { text, .. } | Notice::Trouble(text) => f.write_str(text),
            Notice::ServiceStarted { name, key } => {
                write!(f, "starting virtual service {name} active: {}", Port(key))
            }
            Notice::ServiceStopped { name, .. } => {
                write!(f, "shutting down virtual service {name}")
            }
            Notice::MonitorStarted(id) => write!(
                f,
                "starting LVS client monitor for {} -> {}",
                Virtual(&id.service),
                id.server
            ),
            Notice::ServerUp(id) => write!(f, "[ active ] making {} available", id.server),
            Notice::ServerDown(id, _) => write!(
                f,
                "[inactive] shutting down {} due to connection failure",
                id.server
            ),
            Notice::NoServers { name, .. } => {
                write!(f, "Virtual Server {name}: No real servers")
            }
            Notice::SorryServer {
                name,
                sorry,
                serving: Some(0),
                ..
            } => write!(
                f,
                "Virtual Server {name}: No real servers; activate sorry_server {sorry}"
            ),
            Notice::SorryServer {
                name,
                sorry,
                serving: Some(left),
                ..
            } => write!(
                f,
                "Virtual Server {name}: only {left} real servers; activate sorry_server {sorry}"
            ),
            Notice::SorryServer {
                name,
                sorry,
                serving: None,
                ..
            } => write!(
                f,
                "Virtual Server {name}: enough real servers; deactivate sorry_server {sorry}"
            ),
            Notice::Ordered { id, order, by } => match order {
                Some(order) => write!(
                    f,
                    "{} in {}: {order}, ordered by {by}",
                    id.server, id.service
                ),
                None => write!(f, "{} in {}: ready, ordered by {by}", id.server, id.service),
            },
            Notice::WayFound(address, _) => write!(f, "the way to real server {address} is known"),
            Notice::WayLost(address) => write!(
                f,
                "real server {address} cannot be reached: its MAC address, or that of the \
                 gateway towards it, is unknown; packets for it are dropped until it is found"
            ),
            Notice::RepliesUnseen { server, .. } => write!(
                f,
                "replies of NAT server {server} will come in on an interface where the data \
                 plane is not attached and will not be translated back: add the interface to \
                 the key `interface` in the configuration, or to --interface"
            ),
            Notice::ForwardingOff(family) => {
                let sysctl = match family {
                    Family::V4 => "net.ipv4.ip_forward",
                    Family::V6 => "net.ipv6.conf.all.forwarding",
                };
                write!(
                    f,
                    "real servers are reached by NAT but {sysctl} is 0: what they send on their \
                     own account, and what the data plane leaves to the kernel, is not \
                     forwarded; `sysctl {sysctl}=1` changes that"
                )
            }
            Notice::AddressAdded(floating) => write!(
                f,
                "{}/{} is on {}",
                floating.address,
                floating.prefix,
                place(floating)
            ),
            Notice::AddressForeign(floating) => write!(
                f,
                "{}/{} was on {} already: it is used, and will be left there",
                floating.address, floating.prefix, floating.interface
            ),
            Notice::AddressRemoved(floating) => write!(
                f,
                "{}/{} is off {}",
                floating.address, floating.prefix, floating.interface
            ),
            Notice::AnnouncementsFinished => f.write_str("gratuitous lvs arps finished"),
            Notice::LimitsNeedRestart => f.write_str(
                "`connections`, `max_services` or `max_servers` changed: the data plane keeps its \
                 sizes until a clean stop and a new start",
            ),
            Notice::DrainStarted(service, server, timeout) => write!(
                f,
                "{server} of {service} left the configuration: it takes no new connections, and \
                 has {} s to finish those that it has",
                timeout.as_secs()
            ),
            Notice::Drained(service, server) => {
                write!(f, "{server} of {service} has drained: it is removed")
            }
            Notice::DrainOver {
                service,
                server,
                left,
            } => write!(
                f,
                "the time of {server} of {service} to drain is up: it is removed, with {left} \
                 connections"
            ),
            Notice::DrainCancelled(service, server) => write!(
                f,
                "{server} of {service} is in the configuration again: it drains no longer"
            ),
            Notice::Changed(change) => write!(f, "changed by hand: {change}"),
            Notice::ChangeTakenBack => f.write_str(
                "the data plane refused what was changed by hand: the change is taken back",
            ),
            Notice::OverridesKept(changes) => write!(
                f,
                "what was changed by hand stays in place: {}",
                changes.join("; ")
            ),
            Notice::OverridesDropped(changes) => write!(
                f,
                "what was changed by hand is dropped by the reload (`keep_overrides = 1` keeps \
                 it): {}",
                changes.join("; ")
            ),
            Notice::Stopping { keep: false } => f.write_str("shutting down"),
            Notice::Stopping { keep: true } => {
                f.write_str("shutting down; the data plane and its addresses stay")
            }
        }
    }
}

/// Where an address is: its label, or the interface for IPv6, which has no labels.
pub(crate) fn place(floating: &FloatingAddress) -> &str {
    if floating.address.is_ipv4() {
        &floating.label
    } else {
        &floating.interface
    }
}

/// `VIP:PORT` of a service, or its mark.
struct Virtual<'a>(&'a ServiceKey);

impl fmt::Display for Virtual<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ServiceKey::Address { address, port, .. } => SocketAddr::new(*address, *port).fmt(f),
            ServiceKey::Mark { .. } => self.0.fmt(f),
        }
    }
}

/// The port of a service, or its mark.
struct Port<'a>(&'a ServiceKey);

impl fmt::Display for Port<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ServiceKey::Address { port, .. } => port.fmt(f),
            ServiceKey::Mark { .. } => self.0.fmt(f),
        }
    }
}

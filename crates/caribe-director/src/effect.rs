//! What a director wants done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use caribe_config::config::FloatingAddress;
use caribe_health::{MonitorId, Presumption, ServerId, Settings};
use caribe_model::{NextHop, Table, Timeouts, Tuning};

use crate::{Happening, Notice, NotifyProgram, StandingOrder};

/// One thing to be done in the world. Effects are run in their order, each to its end, except
/// [`Effect::ReadConfig`], [`Effect::Sweep`] and [`Effect::Sample`], whose ends come as events
/// later.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write a line to the log.
    Log(Notice),
    /// Tell the service manager.
    Notify(Notification),
    /// Read and parse the configuration file.
    ReadConfig,
    /// Make the data plane hold this table.
    Apply(Table),
    /// Set the idle timeouts of connections.
    SetTimeouts(Timeouts),
    /// Set what concerns every service alike.
    SetTuning(Tuning),
    /// Tell the data plane the way to an address.
    SetNextHop(IpAddr, Option<NextHop>),
    /// Have the data plane on exactly these interfaces.
    Attach(BTreeSet<String>),
    /// Remove expired connections.
    Sweep,
    /// Read the data plane's counters.
    Sample,
    /// Take down the data plane, leaving nothing of it.
    RemoveDataplane,
    /// Keep the ways to exactly these addresses warm.
    Watch(BTreeSet<IpAddr>),
    /// Begin to watch a server.
    StartMonitor(ServerId, Arc<Settings>, Presumption),
    /// Watch a server differently.
    RetuneMonitor(ServerId, Arc<Settings>),
    /// Stop watching a server.
    StopMonitor(MonitorId),
    /// Store, so that it outlives this process, that these addresses are the director's own.
    Remember(Vec<FloatingAddress>),
    /// Store, so that they outlive this process, the operators' orders that stand.
    KeepOrders(BTreeMap<ServerId, StandingOrder>),
    /// Let this group use the control socket, besides root; with `None` nobody else.
    ShareControl(Option<String>),
    /// Put an address on its interface.
    AddAddress(FloatingAddress),
    /// Take an address off its interface.
    RemoveAddress(FloatingAddress),
    /// Tell the neighbours that the address lives here: one gratuitous ARP or unsolicited
    /// neighbour advertisement.
    Announce(FloatingAddress),
    /// Tell listeners what happened, and run this program, if any, because of it.
    Tell(Box<Happening>, Option<NotifyProgram>),
    /// End the process. Always the last effect.
    End(Ending),
}

/// What the service manager is told (`sd_notify`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// Start or reload is complete.
    Ready,
    /// A reload has begun.
    Reloading,
    /// The director is going down.
    Stopping,
    /// One line about how it is.
    Status(String),
}

/// How a director ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// All that was to be taken down is down.
    Clean,
    /// Something could not be done; why.
    Failed(String),
}

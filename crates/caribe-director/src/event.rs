//! What happens to a director.

use std::net::IpAddr;

use caribe_config::config::{Config, FloatingAddress};
use caribe_dataplane::{Applied, Snapshot, Swept};
use caribe_health::Report;
use caribe_model::NextHop;
use caribe_network::AddressOutcome;

/// Everything that can happen to a director. What the shell tried and could not do comes back as
/// the `Err` of an event, in words that already say what was tried, on what and why.
#[derive(Debug, Clone)]
pub enum Event {
    /// The administrator asked to read the configuration again (SIGHUP).
    ReloadRequested,
    /// The file was read and is legal.
    ConfigLoaded {
        /// What it means.
        config: Box<Config>,
        /// Its warnings, rendered, one element each.
        warnings: Vec<String>,
        /// How the kernel forwards, read at the same time.
        forwarding: KernelForwarding,
    },
    /// The file could not be read or has errors.
    ConfigRefused {
        /// Every error and warning, rendered, one element each.
        diagnostics: Vec<String>,
    },
    /// News of a monitor.
    Report(Report),
    /// The way to a real server was found, changed or lost.
    NextHop(IpAddr, Option<NextHop>),
    /// [`crate::Effect::SetNextHop`] could not be done.
    NextHopRefused(IpAddr, String),
    /// [`crate::Effect::SetTimeouts`] could not be done.
    TimeoutsRefused(String),
    /// [`crate::Effect::SetTuning`] could not be done.
    TuningRefused(String),
    /// The end of [`crate::Effect::Apply`].
    Applied(Result<Applied, String>),
    /// The end of [`crate::Effect::Attach`].
    Attached(Result<(), String>),
    /// The end of [`crate::Effect::AddAddress`].
    AddressAdded(FloatingAddress, Result<AddressOutcome, String>),
    /// The end of [`crate::Effect::RemoveAddress`]; `false` when it was not there.
    AddressRemoved(FloatingAddress, Result<bool, String>),
    /// [`crate::Effect::Announce`] could not be done.
    AnnouncementFailed(FloatingAddress, String),
    /// [`crate::Effect::Remember`] could not be done.
    NotRemembered(String),
    /// [`crate::Effect::KeepOrders`] could not be done.
    OrdersNotKept(String),
    /// [`crate::Effect::ShareControl`] could not be done; root alone may use the socket.
    ControlNotShared(String),
    /// The end of [`crate::Effect::Sweep`].
    Swept(Result<Swept, String>),
    /// The end of [`crate::Effect::Sample`].
    Sampled(Result<Box<Snapshot>, String>),
    /// The end of [`crate::Effect::RemoveDataplane`].
    DataplaneRemoved(Result<(), String>),
    /// Half a second or so has passed.
    Tick,
    /// The administrator asked to stop (SIGTERM, SIGINT).
    ShutdownRequested,
}

impl Event {
    /// True when it leaves the status line as it is: those of which thousands may come.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(
            self,
            Event::NextHop(..) | Event::NextHopRefused(..) | Event::Swept(_)
        )
    }
}

/// Whether the kernel forwards packets between interfaces; `None` where it could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelForwarding {
    /// `net.ipv4.ip_forward`.
    pub v4: Option<bool>,
    /// `net.ipv6.conf.all.forwarding`.
    pub v6: Option<bool>,
}

//! What is asked for.

use crate::{Daemon, DaemonRole, Destination, DestinationId, Service, ServiceId, Timeouts};

/// A command, with everything that it needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `-A`.
    AddService(Service),
    /// `-E`: replaces everything but the identity. What was not said is the default again.
    EditService(Service),
    /// `-D`.
    DeleteService(ServiceId),
    /// `-C`.
    Flush,
    /// `-L`, and no words at all.
    List(Listed),
    /// `-a`.
    AddServer(ServiceId, Destination),
    /// `-e`: replaces everything but the identity.
    EditServer(ServiceId, Destination),
    /// `-d`.
    DeleteServer(ServiceId, DestinationId),
    /// `--set`.
    SetTimeouts(Timeouts),
    /// `--start-daemon`.
    StartDaemon(Daemon),
    /// `--stop-daemon`.
    StopDaemon(DaemonRole),
    /// `-R`.
    Restore,
    /// `-S`.
    Save {
        /// `-n`: numbers, and so safe to read again.
        numeric: bool,
    },
    /// `-Z`: one service, or all.
    Zero(Option<ServiceId>),
    /// `-h`.
    Help,
    /// `-v`.
    Version,
}

impl Command {
    /// Whether it changes the table or the timeouts, and answers with nothing but success.
    pub fn is_change(&self) -> bool {
        match self {
            Command::AddService(_)
            | Command::EditService(_)
            | Command::DeleteService(_)
            | Command::Flush
            | Command::AddServer(..)
            | Command::EditServer(..)
            | Command::DeleteServer(..)
            | Command::SetTimeouts(_) => true,
            Command::List(_)
            | Command::StartDaemon(_)
            | Command::StopDaemon(_)
            | Command::Restore
            | Command::Save { .. }
            | Command::Zero(_)
            | Command::Help
            | Command::Version => false,
        }
    }
}

/// What `-L` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Services and their servers.
    Table(Table),
    /// `-c`: connections.
    Connections {
        /// `-n`.
        numeric: bool,
        /// `--persistent-conn`: with what persistence engines keep.
        engines: bool,
    },
    /// `--timeout`.
    Timeouts,
    /// `--daemon`.
    Daemons,
}

/// How the table is listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Table {
    /// One service, without the version line.
    pub only: Option<ServiceId>,
    /// `-n`.
    pub numeric: bool,
    /// Not `--nosort`.
    pub sorted: bool,
    /// `-X`: numbers in full.
    pub exact: bool,
    /// Which columns.
    pub view: View,
}

/// Columns of a listing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum View {
    /// Method, weight and connections.
    #[default]
    Plain,
    /// `--stats`.
    Statistics,
    /// `--rate`.
    Rates,
    /// `--thresholds`.
    Thresholds,
    /// `--persistent-conn`.
    Persistent,
    /// `--tun-info`.
    Tunnels,
}

//! How a server is watched by one monitor.

use std::sync::Arc;

use crate::probe::{Check, Target};
use crate::{MonitorName, Timing};

/// The settings of one monitor of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Its name among the monitors of its server.
    pub name: MonitorName,
    /// What a probe does; shared by the servers that are checked alike.
    pub check: Arc<Check>,
    /// Whom it is addressed to.
    pub target: Target,
    /// When, and how many results make up its mind.
    pub timing: Timing,
    /// It only reads load or an agent's wishes: whatever becomes of its probes, the server may
    /// serve, unless the agent itself says that it does not.
    pub advises: bool,
}

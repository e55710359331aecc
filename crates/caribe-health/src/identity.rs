//! What is watched, and by which monitor.

use std::fmt;
use std::sync::Arc;

use caribe_model::{ServerKey, ServiceKey};
use serde::{Deserialize, Serialize};

/// A real server as an entry of one virtual service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerId {
    /// The service.
    pub service: ServiceKey,
    /// The server in it.
    pub server: ServerKey,
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.service, self.server)
    }
}

/// The name of a monitor among those of its server, e.g. `http`; of several of a kind the second
/// is `http-2`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct MonitorName(Arc<str>);

impl MonitorName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for MonitorName {
    fn from(name: &str) -> Self {
        MonitorName(name.into())
    }
}

impl From<String> for MonitorName {
    fn from(name: String) -> Self {
        MonitorName(name.into())
    }
}

impl From<MonitorName> for String {
    fn from(name: MonitorName) -> String {
        name.as_str().to_owned()
    }
}

impl fmt::Display for MonitorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One monitor of one server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MonitorId {
    /// Whom it watches.
    pub server: ServerId,
    /// Which one it is.
    pub name: MonitorName,
}

impl fmt::Display for MonitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.server, self.name)
    }
}

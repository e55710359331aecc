//! What is known about a real server by its monitors, its agent and its operator.

use std::net::IpAddr;

use caribe_health::probe::{Code, Text};
use caribe_health::{MonitorName, Occurrence};
use caribe_model::{ServerKey, ServiceKey};
use serde::{Deserialize, Serialize};

use crate::StandingOrder;

/// How a real server is watched, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchStatus {
    /// What each of its monitors says.
    pub monitors: Vec<MonitorStatus>,
    /// How often it went from up to down since it is watched.
    pub flaps: u64,
    /// Its weight is still climbing after a recovery.
    pub climbing: bool,
    /// It has failed and serves all the same, because too few would be left (`keep_below`).
    pub kept: bool,
    /// An operator's order that stands.
    pub order: Option<StandingOrder>,
    /// What its agent wants: `drain` or `maint`.
    pub wish: Option<String>,
}

/// What one monitor says of a real server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonitorStatus {
    /// Its name.
    pub name: MonitorName,
    /// The server may serve by its word; `None` before the first.
    pub passed: Option<bool>,
    /// It only advises about weights.
    pub advises: bool,
    /// Seconds since its verdict changed.
    pub since_seconds: u64,
    /// What its last probe found.
    pub last: Option<ProbeStatus>,
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeStatus {
    /// Layer and result.
    pub code: Code,
    /// In words.
    pub text: Text,
    /// How long it took, in microseconds.
    pub latency_us: u64,
}

/// A service's quorum and its sorry server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QuorumStatus {
    /// Too few real servers can serve.
    pub lost: bool,
    /// The sorry server, if there is one; it serves while the quorum is lost.
    pub sorry: Option<ServerKey>,
}

/// What happened to a real server in the last day: an element of the answer of
/// `GET /v1/history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerHistory {
    /// The service.
    pub service: ServiceKey,
    /// Its name in the configuration.
    pub service_name: String,
    /// The server.
    pub server: ServerKey,
    /// Its name in the configuration.
    pub server_name: String,
    /// What happened, the latest last.
    pub past: Vec<Past>,
}

/// Something that happened to a real server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Seconds before the answer.
    pub seconds_ago: u64,
    /// What it was.
    pub what: Occurrence,
}

/// What is asked of `GET /v1/history`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Only services of this VIP.
    pub vip: Option<IpAddr>,
    /// Only servers of this address.
    pub server: Option<IpAddr>,
}

//! What happens to services and servers, for whoever listens.

use caribe_health::probe::Finding;
use caribe_health::{MonitorName, Order, Standing};
use caribe_model::{ServerKey, ServiceKey};
use serde::{Deserialize, Serialize};

/// Something that happened to a service or one of its servers: an event of `GET /v1/events`, and
/// what a `notify` program is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happening {
    /// Counts from 1 at the director's start, without a gap.
    pub number: u64,
    /// The service.
    pub service: ServiceKey,
    /// Its name in the configuration.
    pub name: String,
    /// The server's name in the configuration, if it is about a server of it.
    pub server_name: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum What {
    /// A server stands differently.
    Server {
        /// Which.
        server: ServerKey,
        /// How it stands now.
        standing: Standing,
        /// Why, when it is down.
        reason: Option<Finding>,
    },
    /// One monitor of a server changed its mind.
    Verdict {
        /// Whom it watches.
        server: ServerKey,
        /// Which monitor.
        monitor: MonitorName,
        /// What it thinks now.
        passed: bool,
        /// Why.
        finding: Finding,
    },
    /// An operator gave an order, or lifted it.
    Order {
        /// About which server.
        server: ServerKey,
        /// The order that holds now.
        order: Option<Order>,
        /// Who gave or lifted it.
        by: String,
    },
    /// A service lost its quorum, or has it again.
    Quorum {
        /// It is lost.
        lost: bool,
    },
}

impl What {
    /// The server that it is about.
    pub fn server(&self) -> Option<ServerKey> {
        match self {
            What::Server { server, .. }
            | What::Verdict { server, .. }
            | What::Order { server, .. } => Some(*server),
            What::Quorum { .. } => None,
        }
    }

    /// Its one word: `server`, `verdict`, `order` or `quorum`.
    pub fn word(&self) -> &'static str {
        match self {
            What::Server { .. } => "server",
            What::Verdict { .. } => "verdict",
            What::Order { .. } => "order",
            What::Quorum { .. } => "quorum",
        }
    }
}

/// A happening with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Milliseconds since 1970, by the director's clock.
    pub at: u64,
    /// What happened.
    #[serde(flatten)]
    pub happening: Happening,
}

/// An answer of `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HappeningsPage {
    /// Number of the last happening; to be given as `after` when asking again.
    pub last: u64,
    /// What happened, in the order of the numbers. A gap means that some are forgotten.
    pub happenings: Vec<Told>,
}

/// What is asked of `GET /v1/events`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HappeningsQuery {
    /// Only what has a larger number.
    #[serde(default)]
    pub after: u64,
    /// If there is none yet, wait for it so many seconds, at most [`HappeningsQuery::LONGEST`].
    #[serde(default)]
    pub wait: u64,
}

impl HappeningsQuery {
    /// The longest wait, in seconds.
    pub const LONGEST: u64 = 20;
}

//! An operator's orders about servers, as they are given, kept and shown.

use caribe_health::{Order, ServerId};
use caribe_model::Server;
use serde::{Deserialize, Serialize};

/// An order that stands until it is lifted: over reloads and restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingOrder {
    /// What is ordered.
    pub order: Order,
    /// Who gave it.
    pub by: String,
    /// When, in seconds since 1970.
    pub given: u64,
}

/// An operator's order, or its end, as it reaches the director.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// About which server.
    pub id: ServerId,
    /// The order; `None` lifts the one that stands.
    pub order: Option<Order>,
}

/// Why an order was not taken; nothing was changed then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum OrderRefusal {
    /// Orders are about servers that are configured and active.
    #[error(
        "there is no active real server {} in a virtual service {} of the configuration: \
         `caribe status` lists them", .0.server, .0.service
    )]
    NoServer(ServerId),
    /// A weight beyond what IPVS takes.
    #[error("weight {0} is above {max}, the largest that there is", max = Server::MAX_WEIGHT)]
    Weight(u32),
    /// The director is starting or going down.
    #[error("the director is starting or going down: try again when it runs")]
    NotRunning,
    /// It could not be written down, and would be lost with a restart.
    #[error("the order could not be written down: {0}")]
    NotKept(String),
}

//! The live table and its connections as documents: what `ipvsadm` lists.

use std::net::IpAddr;

use caribe_dataplane::LiveService;
use caribe_dataplane::xdp::LiveConnection;
use caribe_model::{Protocol, Timeouts};
use serde::{Deserialize, Serialize};

use crate::TrafficRates;

/// What `GET /v1/table` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveTable {
    /// Services, ordered by key.
    pub services: Vec<TableService>,
    /// Idle timeouts in force.
    pub timeouts: Timeouts,
}

/// A service of a [`LiveTable`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableService {
    /// As the data plane holds it, with counters since they were zeroed.
    pub live: LiveService,
    /// Its rates.
    pub rates: TrafficRates,
    /// Those of its servers, in their order.
    pub server_rates: Vec<TrafficRates>,
}

/// What `POST /v1/save` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveReport {
    /// The configuration file.
    pub file: String,
    /// Whether its text had to be changed.
    pub changed: bool,
    /// What could not be written down, and why, one element each.
    pub unsaved: Vec<String>,
}

/// What `GET /v1/connections` can be asked, as parameters of its path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionsQuery {
    /// Where the page before ended: its `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Most connections of a page, about: 1 to [`ConnectionsQuery::MOST`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only those of this client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Only those to this VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip: Option<IpAddr>,
    /// Only those to this real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<IpAddr>,
    /// Only those of this protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Only those in this state, as `ipvsadm -Lnc` names it; upper or lower case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

impl ConnectionsQuery {
    /// Most connections of one page.
    pub const MOST: u32 = 20_000;

    /// Whether a connection is asked for.
    pub fn matches(&self, connection: &LiveConnection) -> bool {
        let is = |wanted: Option<IpAddr>, address: IpAddr| wanted.is_none_or(|it| it == address);
        is(self.client, connection.client.ip())
            && is(self.vip, connection.vip.ip())
            && is(self.server, connection.server.ip())
            && self
                .protocol
                .is_none_or(|it| it.number() == connection.protocol)
            && self
                .state
                .as_ref()
                .is_none_or(|it| it.eq_ignore_ascii_case(&connection.state))
    }
}

/// A page of connections. The table is read while packets flow: a connection that ends or begins
/// between two pages is in one of them or in none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionsPage {
    /// Some connections; there may be none though more pages follow.
    pub connections: Vec<LiveConnection>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<u64>,
}

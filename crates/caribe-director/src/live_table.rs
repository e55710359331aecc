//! The live table and its connections as documents: what `ipvsadm` lists.

use std::net::{IpAddr, SocketAddr};

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
    /// Only those of this port of a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_port: Option<u16>,
    /// Only those to this VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip: Option<IpAddr>,
    /// Only those to this port of a VIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip_port: Option<u16>,
    /// Only those to this real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<IpAddr>,
    /// Only those to this port of a real server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_port: Option<u16>,
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
        let is = |address: Option<IpAddr>, port: Option<u16>, end: SocketAddr| {
            address.is_none_or(|it| it == end.ip()) && port.is_none_or(|it| it == end.port())
        };
        is(self.client, self.client_port, connection.client)
            && is(self.vip, self.vip_port, connection.vip)
            && is(self.server, self.server_port, connection.server)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use caribe_model::Forwarding;

    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn a_connection_is_found_by_each_of_its_ends_and_by_its_state() {
        let connection = LiveConnection {
            protocol: Protocol::Tcp.number(),
            client: "198.51.100.7:40000".parse().expect("a client"),
            vip: "192.0.2.80:443".parse().expect("a VIP"),
            server: "10.0.0.2:8443".parse().expect("a server"),
            state: "ESTABLISHED".to_owned(),
            forwarding: Forwarding::Nat,
            active: true,
            template: false,
            left: Duration::from_secs(900),
        };
        let any = ConnectionsQuery::default;
        let good = ConnectionsQuery {
            client: address("198.51.100.7"),
            client_port: Some(40_000),
            vip: address("192.0.2.80"),
            vip_port: Some(443),
            server: address("10.0.0.2"),
            server_port: Some(8443),
            protocol: Some(Protocol::Tcp),
            state: Some("established".to_owned()),
            ..any()
        };
        assert!(any().matches(&connection) && good.matches(&connection));
        let other = address("203.0.113.1");
        let wrong = [
            ConnectionsQuery {
                client: other,
                ..any()
            },
            ConnectionsQuery {
                client_port: Some(1),
                ..any()
            },
            ConnectionsQuery {
                vip: other,
                ..any()
            },
            ConnectionsQuery {
                vip_port: Some(1),
                ..any()
            },
            ConnectionsQuery {
                server: other,
                ..any()
            },
            ConnectionsQuery {
                server_port: Some(1),
                ..any()
            },
            ConnectionsQuery {
                protocol: Some(Protocol::Udp),
                ..any()
            },
            ConnectionsQuery {
                state: Some("SYN_RECV".to_owned()),
                ..any()
            },
        ];
        for query in wrong {
            assert!(!query.matches(&connection), "{query:?}");
        }
    }
}

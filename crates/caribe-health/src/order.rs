//! What an operator orders about a server, over and above what is configured.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operator's order about one server of one service. It stands until it is lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// No new connections; those that are there go on (weight 0).
    Drain,
    /// Out of the table.
    Maintenance,
    /// This weight instead of the configured one.
    Weight(u32),
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::Drain => f.write_str("drain"),
            Order::Maintenance => f.write_str("maintenance"),
            Order::Weight(weight) => write!(f, "weight {weight}"),
        }
    }
}

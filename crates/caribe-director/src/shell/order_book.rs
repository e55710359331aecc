//! Operators' orders in a file that outlives director and machine.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use caribe_health::{Order, ServerId};
use caribe_model::Server;
use serde::{Deserialize, Serialize};

use super::kept_file::{self, KeptFileError};
use crate::StandingOrder;

/// More than any operator's orders; a larger file is not ours.
const LARGEST: u64 = 16 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    orders: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: ServerId,
    order: StandingOrder,
}

/// Why the file cannot be believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderBookError {
    #[error(transparent)]
    File(#[from] KeptFileError),
    #[error("it has two orders about {0}")]
    Twice(ServerId),
    #[error("it has a weight of {0}, which is above {max}", max = Server::MAX_WEIGHT)]
    Weight(u32),
}

/// Reads the file; a missing one has no orders.
pub(super) fn read(path: &Path) -> Result<BTreeMap<ServerId, StandingOrder>, OrderBookError> {
    let Some(book) = kept_file::read::<Book>(path, LARGEST)? else {
        return Ok(BTreeMap::new());
    };
    let mut orders = BTreeMap::new();
    for Entry { id, order } in book.orders {
        if let Order::Weight(weight) = order.order
            && weight > Server::MAX_WEIGHT
        {
            return Err(OrderBookError::Weight(weight));
        }
        if orders.insert(id, order).is_some() {
            return Err(OrderBookError::Twice(id));
        }
    }
    Ok(orders)
}

/// Replaces the file.
pub(super) fn write(path: &Path, orders: BTreeMap<ServerId, StandingOrder>) -> io::Result<()> {
    let orders = orders.into_iter().map(|(id, order)| Entry { id, order });
    let book = Book {
        orders: orders.collect(),
    };
    kept_file::replace(path, &book)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use caribe_model::{Protocol, ServerKey, ServiceKey};

    use super::*;

    fn id(host: u8) -> ServerId {
        ServerId {
            service: ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: "2001:db8::1".parse().expect("an address"),
                port: 80,
            },
            server: ServerKey {
                address: [10, 0, 0, host].into(),
                port: 80,
            },
        }
    }

    fn standing(order: Order) -> StandingOrder {
        StandingOrder {
            order,
            by: "root (uid 0)".to_owned(),
            given: 1_700_000_000,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("orders.json");
        assert!(read(&path).expect("a missing file is empty").is_empty());
        let orders = BTreeMap::from([
            (id(1), standing(Order::Drain)),
            (id(2), standing(Order::Maintenance)),
            (id(3), standing(Order::Weight(Server::MAX_WEIGHT))),
        ]);
        write(&path, orders.clone()).expect("written");
        assert_eq!(read(&path).expect("read"), orders);
        write(&path, BTreeMap::new()).expect("written again");
        assert!(read(&path).expect("read").is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_is_not_believed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("orders.json");
        let orders = BTreeMap::from([(id(1), standing(Order::Weight(7)))]);
        write(&path, orders).expect("written");
        let good = fs::read_to_string(&path).expect("text");
        let entry = good
            .trim()
            .trim_start_matches("{\n  \"orders\": [")
            .trim_end_matches("]\n}")
            .trim();
        for text in [
            String::new(),
            "{}".to_owned(),
            "[]".to_owned(),
            r#"{"orders":[],"more":1}"#.to_owned(),
            good.replace("\"weight\": 7", "\"weight\": 4294967295"),
            good.replace("\"weight\": 7", "\"weight\": -1"),
            good.replace("\"weight\": 7", "\"wait\": 7"),
            good.replace("10.0.0.1", "10.0.0.256"),
            format!(r#"{{"orders":[{entry},{entry}]}}"#),
        ] {
            assert_ne!(text, good);
            fs::write(&path, &text).expect("written");
            read(&path).expect_err(&text);
        }
        fs::write(&path, format!(r#"{{"orders":[{entry}]}}"#)).expect("written");
        assert_eq!(read(&path).expect("legal").len(), 1);
    }
}

//! Operators' orders about servers.

use caribe_model::{Monotonic, Server};

use super::{Director, Watched};
use crate::{Effect, Notice, OrderRefusal, OrderRequest, Phase, StandingOrder, What};

impl Director {
    /// Takes an operator's order, or its end. `by` tells who gives it, `given` when, in seconds
    /// since 1970.
    ///
    /// # Errors
    ///
    /// Refuses an order about a server that is not configured and active, and a weight beyond
    /// IPVS's. An order about a server that has left the configuration can still be lifted.
    pub fn order(
        &mut self,
        request: OrderRequest,
        by: &str,
        given: u64,
        now: Monotonic,
    ) -> Result<Vec<Effect>, OrderRefusal> {
        if !matches!(self.phase, Phase::Running | Phase::Reloading) {
            return Err(OrderRefusal::NotRunning);
        }
        let OrderRequest { id, order } = request;
        if let Some(caribe_health::Order::Weight(weight)) = order
            && weight > Server::MAX_WEIGHT
        {
            return Err(OrderRefusal::Weight(weight));
        }
        let lifted = order.is_none() && self.orders.contains_key(&id);
        let ordered = |watched: &mut Watched| watched.health.ordered(order, by.to_owned(), now);
        match self.servers.change(&id, ordered) {
            Some(()) => {}
            None if lifted => {}
            None => return Err(OrderRefusal::NoServer(id)),
        }
        match order {
            Some(order) => {
                let by = by.to_owned();
                self.orders.insert(id, StandingOrder { order, by, given });
            }
            None => {
                self.orders.remove(&id);
            }
        }
        let by = by.to_owned();
        let mut effects = vec![
            Effect::KeepOrders(self.orders.clone()),
            Effect::Log(Notice::Ordered {
                id,
                order,
                by: by.clone(),
            }),
        ];
        let server = id.server;
        self.happened(id.service, What::Order { server, order, by }, &mut effects);
        self.stale.add(id.service);
        self.reconcile(&mut effects);
        self.settle(false, &mut effects);
        Ok(effects)
    }
}

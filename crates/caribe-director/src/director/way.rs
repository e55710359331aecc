//! Ways to real servers, passed on to the data plane.

use std::collections::BTreeSet;
use std::net::IpAddr;

use caribe_dataplane::Snapshot;
use caribe_model::{Forwarding, NextHop};

use super::Director;
use crate::{Effect, Notice};

impl Director {
    /// True when a server's address is watched, and no way to it is known.
    pub(crate) fn lacks_way(&self, address: IpAddr) -> bool {
        self.hops.get(&address).is_some_and(Option::is_none)
    }

    pub(super) fn way(&mut self, address: IpAddr, hop: Option<NextHop>, effects: &mut Vec<Effect>) {
        // An address that is not watched any more.
        let Some(known) = self.hops.get_mut(&address) else {
            return;
        };
        match (known.is_some(), hop) {
            (false, Some(hop)) => effects.push(Effect::Log(Notice::WayFound(address, hop))),
            (true, None) => effects.push(Effect::Log(Notice::WayLost(address))),
            _ => {}
        }
        *known = hop;
        effects.push(Effect::SetNextHop(address, hop));
    }

    /// Watches the ways to exactly these addresses.
    pub(super) fn renew_watch(&mut self, wanted: BTreeSet<IpAddr>, effects: &mut Vec<Effect>) {
        if self.hops.keys().eq(wanted.iter()) {
            return;
        }
        let before = std::mem::take(&mut self.hops);
        for address in before.keys().filter(|address| !wanted.contains(address)) {
            effects.push(Effect::SetNextHop(*address, None));
        }
        self.hops = wanted
            .iter()
            .map(|address| (*address, before.get(address).copied().flatten()))
            .collect();
        effects.push(Effect::Watch(wanted));
    }

    /// NAT works only where the data plane sees the replies.
    pub(super) fn complain_of_unseen_replies(
        &mut self,
        snapshot: &Snapshot,
        effects: &mut Vec<Effect>,
    ) {
        for server in snapshot
            .services
            .iter()
            .flat_map(|service| &service.servers)
        {
            let Some(hop) = server.next_hop else { continue };
            let attached = snapshot
                .interfaces
                .iter()
                .any(|interface| interface.index == hop.interface);
            if server.forwarding == Forwarding::Nat
                && !attached
                && self.unseen.insert(hop.interface)
            {
                effects.push(Effect::Log(Notice::RepliesUnseen {
                    server: server.key,
                    interface: hop.interface,
                }));
            }
        }
    }
}

//! Where NAT servers answer from, for `nat_icmp_send`: kept in the kernel only while it is asked
//! for.

use std::collections::BTreeSet;

use caribe_model::{Forwarding, ServiceKey};
use caribe_packet::server::NatEnd;

use super::maps::Hash;
use super::{XdpDataplane, encoding};
use crate::DataplaneError;
use crate::table::LiveServer;

/// A [`NatEnd`] as bytes.
pub(super) type KeyBytes = [u8; size_of::<NatEnd>()];

/// The set in the kernel, and what it holds.
pub(super) struct NatEnds {
    map: Hash<KeyBytes, u32>,
    held: BTreeSet<KeyBytes>,
}

impl NatEnds {
    /// Takes over a map with all that it holds.
    pub(super) fn take(map: Hash<KeyBytes, u32>) -> Result<Self, DataplaneError> {
        let held = map.all()?.into_iter().map(|(key, _)| key).collect();
        Ok(NatEnds { map, held })
    }

    /// Makes the set hold these, and only these.
    fn set(&mut self, wanted: BTreeSet<KeyBytes>) -> Result<(), DataplaneError> {
        let superfluous: Vec<_> = self.held.difference(&wanted).copied().collect();
        for key in superfluous {
            self.map.delete(&key)?;
            self.held.remove(&key);
        }
        for key in wanted {
            if !self.held.contains(&key) {
                self.map.put(&key, &1)?;
                self.held.insert(key);
            }
        }
        Ok(())
    }
}

impl XdpDataplane {
    /// Makes the set what the servers in service make it.
    pub(super) fn put_nat_ends(&mut self) -> Result<(), DataplaneError> {
        let wanted = if self.tuning.nat_icmp_send {
            self.live.servers.values().filter_map(end).collect()
        } else {
            BTreeSet::new()
        };
        self.maps.nat_ends.set(wanted)
    }
}

/// Where a server answers from, if it is a NAT server with a port of its own: without one it is
/// known by no port, in IPVS either.
fn end(server: &LiveServer) -> Option<KeyBytes> {
    if server.forwarding != Forwarding::Nat || server.key.port == 0 {
        return None;
    }
    let mut key = [0; size_of::<NatEnd>()];
    key[..16].copy_from_slice(&encoding::wide(server.key.address));
    key[16..18].copy_from_slice(&server.key.port.to_be_bytes());
    key[18] = match server.service {
        ServiceKey::Address { protocol, .. } => protocol.number(),
        ServiceKey::Mark { .. } => 0,
    };
    key[19] = if server.key.address.is_ipv4() { 4 } else { 6 };
    Some(key)
}

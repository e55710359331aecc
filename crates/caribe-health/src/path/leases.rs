//! Which port belongs to which probe, and what is done with its packets on the way out and in.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use caribe_model::{Encapsulation, Forwarding, Monotonic, NextHop};
use caribe_packet::ethernet::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6};

use super::inside::{INSIDE_V4, INSIDE_V6};
use super::packet::{End, IcmpError, Segment, Transport};
use super::wrap;
use crate::probe::Through;

/// The first port that is lent; beyond those that Linux chooses for connections by default.
pub(super) const FIRST_PORT: u16 = 61_000;
/// How many there are, and so how many probes through VIPs go on at a time, by TCP and by UDP.
pub const PORTS: u16 = 2048;
/// How long a port rests after a probe, whose last packets may still be under way.
pub const REST: Duration = Duration::from_secs(1);

/// The way of one probe's packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// What the probe is addressed to.
    vip: SocketAddr,
    /// Where the packets really go.
    server: SocketAddr,
    forwarding: Forwarding,
    encapsulation: Encapsulation,
    hop: NextHop,
    /// Where they come from, for the server.
    source: IpAddr,
}

impl Route {
    pub(super) fn new(vip: SocketAddr, through: &Through, hop: NextHop) -> Route {
        Route {
            vip,
            server: through.server,
            forwarding: through.forwarding,
            encapsulation: through.encapsulation,
            hop,
            source: hop.source_address,
        }
    }

    /// Where packets may come from, the best first.
    pub(super) fn sources(&self) -> Vec<IpAddr> {
        match self.forwarding {
            Forwarding::Nat => vec![self.vip.ip(), self.hop.source_address],
            // The outer source is the way's; the inner one must be of the VIP's family.
            Forwarding::Direct | Forwarding::Tunnel => vec![self.hop.source_address],
        }
    }

    pub(super) fn from(self, source: IpAddr) -> Route {
        Route { source, ..self }
    }

    /// Whom the server's packets come from.
    fn answerer(&self) -> SocketAddr {
        match self.forwarding {
            Forwarding::Nat => self.server,
            Forwarding::Direct | Forwarding::Tunnel => self.vip,
        }
    }
}

#[derive(Debug)]
struct Entry {
    route: Route,
    /// Since when the port rests.
    released: Option<Monotonic>,
}

/// All ports on lease.
#[derive(Debug, Default)]
pub(super) struct Leases {
    entries: BTreeMap<(Transport, u16), Entry>,
    /// The port that is tried next, so that each rests as long as can be.
    next: u16,
}

impl Leases {
    /// Ports that can be lent now, the best first.
    pub(super) fn vacant(
        &mut self,
        transport: Transport,
        now: Monotonic,
    ) -> impl Iterator<Item = u16> + use<'_> {
        let first = self.next;
        (0..PORTS)
            .map(move |step| FIRST_PORT + (first + step) % PORTS)
            .filter(move |port| match self.entries.get(&(transport, *port)) {
                None => true,
                Some(entry) => entry
                    .released
                    .is_some_and(|released| now.since(released) >= REST),
            })
    }

    pub(super) fn lend(&mut self, transport: Transport, port: u16, route: Route) {
        self.next = (port - FIRST_PORT + 1) % PORTS;
        let entry = Entry {
            route,
            released: None,
        };
        self.entries.insert((transport, port), entry);
    }

    pub(super) fn release(&mut self, transport: Transport, port: u16, now: Monotonic) {
        if let Some(entry) = self.entries.get_mut(&(transport, port)) {
            entry.released = Some(now);
        }
    }

    /// What a probe sent, as a frame for the network and the interface that it leaves by. What is
    /// no probe's (the kernel's own neighbour and group messages) goes nowhere.
    pub(super) fn outgoing(&self, packet: &mut [u8]) -> Option<(u32, Vec<u8>)> {
        let segment = Segment::parse(packet)?;
        let from = segment.at(packet, End::Source);
        let entry = self.entries.get(&(segment.transport, from.port()))?;
        let route = &entry.route;
        if segment.at(packet, End::Destination) != route.vip || from.ip() != inside(segment.v6) {
            return None;
        }
        let source = SocketAddr::new(route.source, from.port());
        segment.rewrite(packet, End::Source, source);
        let hop = &route.hop;
        let packet = &mut packet[..segment.end];
        let mut frame = Vec::with_capacity(packet.len() + 128);
        frame.extend(hop.destination_mac.0);
        frame.extend(hop.source_mac.0);
        let ether_type = |v6: bool| if v6 { ETHER_TYPE_IPV6 } else { ETHER_TYPE_IPV4 };
        match route.forwarding {
            Forwarding::Direct => {
                frame.extend(ether_type(segment.v6));
            }
            Forwarding::Nat => {
                segment.rewrite(packet, End::Destination, route.server);
                frame.extend(ether_type(segment.v6));
            }
            Forwarding::Tunnel => {
                let server = route.server.ip();
                frame.extend(ether_type(server.is_ipv6()));
                let between = (hop.source_address, server);
                wrap::outer(&segment, packet, route.encapsulation, between, &mut frame)?;
            }
        }
        frame.extend_from_slice(packet);
        Some((hop.interface, frame))
    }

    /// A packet from the network as the probe's socket is to get it; `None` for what is no answer
    /// to a probe.
    pub(super) fn incoming<'a>(&self, bytes: &'a mut [u8]) -> Option<&'a [u8]> {
        if let Some(segment) = Segment::parse(bytes) {
            let to = segment.at(bytes, End::Destination);
            let route = self.route(segment.transport, to)?;
            if segment.at(bytes, End::Source) != route.answerer() {
                return None;
            }
            segment.finish_checksum(bytes);
            let probe = SocketAddr::new(inside(segment.v6), to.port());
            segment.rewrite(bytes, End::Destination, probe);
            segment.rewrite(bytes, End::Source, route.vip);
            return Some(&bytes[..segment.end]);
        }
        let error = IcmpError::parse(bytes)?;
        let from = error.quoted.at(bytes, End::Source);
        let route = self.route(error.quoted.transport, from)?;
        let to = error.quoted.at(bytes, End::Destination);
        if to != route.answerer() || error.destination(bytes) != from.ip() {
            return None;
        }
        let probe = SocketAddr::new(inside(error.quoted.v6), from.port());
        error.rewrite(bytes, probe, route.vip);
        Some(&bytes[..error.end])
    }

    /// The way of the probe that sends from there.
    fn route(&self, transport: Transport, source: SocketAddr) -> Option<&Route> {
        let entry = self.entries.get(&(transport, source.port()))?;
        (entry.route.source == source.ip()).then_some(&entry.route)
    }
}

/// Every probe's address inside.
fn inside(v6: bool) -> IpAddr {
    if v6 {
        INSIDE_V6.into()
    } else {
        INSIDE_V4.into()
    }
}

#[cfg(test)]
mod tests;

//! `ipvsadm -L`: IPVS's listing, to the column.
//!
//! Pure text from a [`Snapshot`]; names come from a [`Names`], so that nothing here resolves.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use caribe_dataplane::{LiveServer, LiveService, Snapshot};
use caribe_model::{Protocol, ServerKey, ServiceKey};

/// Where host and service names come from when numbers are not asked for.
pub trait Names {
    /// The host name of an address; `None` prints the address.
    fn host(&self, address: IpAddr) -> Option<String>;
    /// The name of a port in the services database; `None` prints the number.
    fn service(&self, protocol: Protocol, port: u16) -> Option<String>;
}

/// `-n`: addresses and ports stay numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numeric;

impl Names for Numeric {
    fn host(&self, _address: IpAddr) -> Option<String> {
        None
    }

    fn service(&self, _protocol: Protocol, _port: u16) -> Option<String> {
        None
    }
}

/// The first line; the size is that of IPVS's hash table by default, for programs that parse it.
const VERSION: &str = "IP Virtual Server version 1.2.1 (size=4096)\n";
const HEADER: &str = "Prot LocalAddress:Port Scheduler Flags\n  \
                      -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n";

/// Longest IPv4 name of a service, the protocol's columns included.
const SERVICE_NAME: usize = 33;
/// Longest IPv4 name of a server, and the width of its column.
const SERVER_NAME: usize = 28;

/// The listing of a whole data plane, or with `only` of one service without the version line;
/// `None` when there is no such service.
pub fn listing(
    snapshot: &Snapshot,
    only: Option<&ServiceKey>,
    names: &dyn Names,
) -> Option<String> {
    let mut services: Vec<&LiveService> = snapshot.services.iter().collect();
    let mut text = String::new();
    match only {
        Some(key) => {
            services.retain(|service| service.key == *key);
            if services.is_empty() {
                return None;
            }
        }
        None => text.push_str(VERSION),
    }
    text.push_str(HEADER);
    for service in merge_sort(services, |a, b| compare_services(&a.key, &b.key)) {
        let _infallible = writeln!(
            text,
            "{} {}",
            service_name(&service.key, names),
            service.scheduler
        );
        let servers: Vec<&LiveServer> = service.servers.iter().collect();
        for server in merge_sort(servers, |a, b| compare_servers(&a.key, &b.key)) {
            let _infallible = writeln!(
                text,
                "  -> {:<28} {:<7} {:<6} {:<10} {:<10}",
                server_name(&service.key, &server.key, names),
                server.forwarding.listing_name(),
                server.weight,
                server.active,
                server.inactive,
            );
        }
    }
    Some(text)
}

fn service_name(key: &ServiceKey, names: &dyn Names) -> String {
    match key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let place = place(*address, *port, Some(*protocol), names);
            cut(format!("{protocol:<4} {place}"), *address, SERVICE_NAME)
        }
        ServiceKey::Mark { mark, .. } if key.family() == caribe_model::Family::V4 => {
            format!("FWM  {mark}")
        }
        ServiceKey::Mark { mark, .. } => format!("FWM  {mark} IPv6"),
    }
}

fn server_name(service: &ServiceKey, server: &ServerKey, names: &dyn Names) -> String {
    let protocol = match service {
        ServiceKey::Address { protocol, .. } => Some(*protocol),
        // No protocol, no service name: the port of a mark's server is always a number.
        ServiceKey::Mark { .. } => None,
    };
    let place = place(server.address, server.port, protocol, names);
    cut(place, server.address, SERVER_NAME)
}

fn place(address: IpAddr, port: u16, protocol: Option<Protocol>, names: &dyn Names) -> String {
    let host = names.host(address);
    let service = protocol.and_then(|protocol| names.service(protocol, port));
    if host.is_none() && service.is_none() {
        return SocketAddr::new(address, port).to_string();
    }
    let host = host.unwrap_or_else(|| address.to_string());
    let service = service.unwrap_or_else(|| port.to_string());
    match address {
        IpAddr::V4(_) => format!("{host}:{service}"),
        IpAddr::V6(_) => format!("[{host}]:{service}"),
    }
}

/// IPv4 names are cut to their column; IPv6 names push the columns aside.
fn cut(name: String, address: IpAddr, columns: usize) -> String {
    if address.is_ipv6() {
        return name;
    }
    name.chars().take(columns).collect()
}

/// The order of services: mark, family, protocol, address, port.
fn compare_services(a: &ServiceKey, b: &ServiceKey) -> Ordering {
    let mark = |key: &ServiceKey| match key {
        ServiceKey::Mark { mark, .. } => mark.get(),
        ServiceKey::Address { .. } => 0,
    };
    let address = |key: &ServiceKey| match key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => (u32::from(protocol.number()), words(*address), *port),
        ServiceKey::Mark { .. } => (0, [0; 4], 0),
    };
    let (protocol_a, words_a, port_a) = address(a);
    let (protocol_b, words_b, port_b) = address(b);
    wrapping(mark(a), mark(b))
        .then(a.family().cmp(&b.family()))
        .then(wrapping(protocol_a, protocol_b))
        .then_with(|| compare_words(words_a, words_b))
        .then(port_a.cmp(&port_b))
}

fn compare_servers(a: &ServerKey, b: &ServerKey) -> Ordering {
    compare_words(words(a.address), words(b.address)).then(a.port.cmp(&b.port))
}

fn compare_words(a: [u32; 4], b: [u32; 4]) -> Ordering {
    a.into_iter()
        .zip(b)
        .map(|(a, b)| wrapping(a, b))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// ipvsadm's comparison: the sign of a 32-bit difference, which puts 207.0.0.0 before 10.0.0.0.
fn wrapping(a: u32, b: u32) -> Ordering {
    a.wrapping_sub(b).cast_signed().cmp(&0)
}

/// The C library's merge sort. The comparison above is not transitive over the whole range of
/// addresses, which the standard library's sorts answer with a panic and C's with *an* order:
/// this one.
fn merge_sort<T: Copy>(items: Vec<T>, compare: impl Fn(&T, &T) -> Ordering + Copy) -> Vec<T> {
    if items.len() < 2 {
        return items;
    }
    let mut left = items;
    let right = left.split_off(left.len() / 2);
    let mut left = merge_sort(left, compare).into_iter().peekable();
    let mut right = merge_sort(right, compare).into_iter().peekable();
    let mut sorted = Vec::with_capacity(left.len() + right.len());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let from = if compare(a, b).is_le() {
            &mut left
        } else {
            &mut right
        };
        sorted.extend(from.next());
    }
    sorted.extend(left);
    sorted.extend(right);
    sorted
}

/// An address as the words that are compared, in host order.
fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [address.to_bits(), 0, 0, 0],
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [96, 64, 32, 0].map(|shift| {
                // Truncated on purpose: one word at a time.
                (bits >> shift) as u32
            })
        }
    }
}

#[cfg(test)]
mod tests;
